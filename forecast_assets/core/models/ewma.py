"""RiskMetrics: an exponentially weighted variance (decay 0.94), scaled by the square root of the horizon."""

import numpy as np

from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import ROOT_HORIZON, location_scale_quantiles


def fit_predict(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return quantiles (len(origins), 3, 7): EWMA volatility x sqrt(h) x pooled standardised training quantiles."""
    return location_scale_quantiles(
        panel, location=np.zeros_like(panel.targets), scale=ewma_scale(panel), train=train, origins=origins
    )


def ewma_scale(panel: PanelArrays) -> Floats:
    """Return the volatility of the log return over each horizon, (N, 3)."""
    return panel.ewma_vol[:, None] * ROOT_HORIZON  # (N, 1) * (3,) -> (N, 3)
