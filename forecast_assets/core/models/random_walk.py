"""The random walk: every decision gets the unconditional distribution of the training labels."""

import numpy as np

from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import location_scale_quantiles


def fit_predict(panel: PanelArrays, *, train: Rows, decide: Rows) -> Floats:
    """Quantiles (len(decide), 3, 7): those of all valid training labels, pooled over tickers, per horizon."""
    everywhere = np.ones_like(panel.targets)
    return location_scale_quantiles(
        panel, location=np.zeros_like(everywhere), scale=everywhere, train=train, decide=decide
    )
