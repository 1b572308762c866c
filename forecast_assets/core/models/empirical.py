"""Quantile forecasts as location + scale x the empirical shape of the training residuals.

Filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper 1999): the pooled quantiles of the standardised
training labels correct a volatility forecast's constant error and give the tails, per horizon.
"""

import numpy as np

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows

SCALE_FLOOR = 1e-4  # log-return units: a stale price would otherwise mean certainty
ROOT_HORIZON = np.sqrt(np.array(HORIZONS, dtype=np.float64))  # (3,) from one session's volatility, if independent


def ewma_scale(panel: PanelArrays) -> Floats:
    """Return the EWMA volatility of the log return over each horizon, (N, 3)."""
    return panel.ewma_vol[:, None] * ROOT_HORIZON  # (N, 1) * (3,) -> (N, 3)


def location_scale_quantiles(
    panel: PanelArrays, *, location: Floats | float = 0.0, scale: Floats, train: Rows, origins: Rows
) -> Floats:
    """Return quantiles of the log return at rows ``origins``, (len(origins), 3, 7), finite and non-decreasing.

    ``location`` and ``scale`` are (N, 3), log-return units. The shape of each horizon is pooled over the valid labels
    of rows ``train``. Raises ValueError where a horizon has no label, or a row of ``origins`` no finite forecast.
    """
    location = np.broadcast_to(location, scale.shape)
    scale = np.maximum(scale, SCALE_FLOOR)  # keeps NaN
    shape = _pooled_shape((panel.targets[train] - location[train]) / scale[train])  # (3, 7)
    quantiles = location[origins, :, None] + scale[origins, :, None] * shape  # (D, 3, 1) + (D, 3, 1) * (3, 7)
    if (undefined := origins[~np.isfinite(quantiles).all(axis=(1, 2))]).size:
        raise ValueError(
            f"baselines: {undefined.size} of {origins.size} forecast origins have no finite location and scale "
            f"(the first is row {undefined[0]}); choose rows past the features' warm-up"
        )
    return quantiles


def _pooled_shape(residuals: Floats) -> Floats:
    """Return empirical quantiles of standardised residuals (n, 3) per horizon, (3, 7)."""
    shape = np.empty((len(HORIZONS), len(QUANTILES)))
    for column, horizon in enumerate(HORIZONS):
        known = residuals[np.isfinite(residuals[:, column]), column]
        if not known.size:
            raise ValueError(f"baselines: no training row has a valid {horizon}-session label")
        shape[column] = np.quantile(known, QUANTILES)
    return shape
