"""Historical volatility of the last 20 sessions, scaled by the square root of the horizon."""

import numpy as np

from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import ROOT_HORIZON, location_scale_quantiles


def fit_predict(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return quantiles (len(origins), 3, 7): 20-session volatility x sqrt(h) x pooled standardised training quantiles."""
    scale = panel.volatility_20[:, None] * ROOT_HORIZON  # (N, 1) * (3,) -> (N, 3)
    return location_scale_quantiles(
        panel, location=np.zeros_like(panel.targets), scale=scale, train=train, origins=origins
    )
