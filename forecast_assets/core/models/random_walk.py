"""The random walk: every forecast is the unconditional distribution of the training labels."""

import numpy as np

from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import location_scale_quantiles


def fit_predict(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return quantiles (len(origins), 3, 7): those of all valid training labels, pooled over tickers, per horizon."""
    everywhere = np.ones_like(panel.targets)
    return location_scale_quantiles(
        panel, location=np.zeros_like(everywhere), scale=everywhere, train=train, origins=origins
    )
