"""Quantile forecasts as location + scale x the empirical shape of the training residuals.

Filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper 1999): whatever constant a volatility forecast is
wrong by, and however fat the tails are, the pooled quantiles of the standardised training labels put it right per
horizon.
"""

import numpy as np

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows

SCALE_FLOOR = 1e-4
"""Smallest scale that is believed, log-return units: a stale price would otherwise stand for certainty."""

ROOT_HORIZON = np.sqrt(np.array(HORIZONS, dtype=np.float64))
"""(3,) turns a one-session volatility into that of each horizon, were sessions independent."""


def location_scale_quantiles(
    panel: PanelArrays, *, location: Floats, scale: Floats, train: Rows, decide: Rows
) -> Floats:
    """Forecast quantiles of the log return at rows ``decide``, (len(decide), 3, 7), finite and non-decreasing.

    ``location`` and ``scale`` are (N, 3), log-return units. The shape of each horizon is pooled over the valid labels
    of rows ``train``. Raises ValueError where a horizon has no label to learn from, or a decision no finite forecast.
    """
    scale = np.maximum(scale, SCALE_FLOOR)  # keeps NaN
    shape = _pooled_shape((panel.targets[train] - location[train]) / scale[train])  # (3, 7)
    quantiles = location[decide, :, None] + scale[decide, :, None] * shape  # (D, 3, 1) + (D, 3, 1) * (3, 7)
    undefined = decide[~np.isfinite(quantiles).all(axis=(1, 2))]
    if undefined.size:
        raise ValueError(
            f"baselines: {undefined.size} of {decide.size} decisions have no finite location and scale "
            f"(the first is row {undefined[0]}); decide only on rows past the features' warm-up"
        )
    return quantiles


def _pooled_shape(residuals: Floats) -> Floats:
    """Empirical quantiles of standardised residuals (n, 3) per horizon, (3, 7)."""
    shape = np.empty((len(HORIZONS), len(QUANTILES)))
    for column, horizon in enumerate(HORIZONS):
        known = residuals[np.isfinite(residuals[:, column]), column]
        if not known.size:
            raise ValueError(f"baselines: no training decision has a valid {horizon}-session label")
        shape[column] = np.quantile(known, QUANTILES)
    return shape
