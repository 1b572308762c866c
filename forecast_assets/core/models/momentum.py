"""20-session momentum: the last 20 sessions' return, times a coefficient learned on the training labels."""

import numpy as np

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import ewma_scale, location_scale_quantiles

SESSIONS = 20


def fit_predict(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return quantiles (len(origins), 3, 7): coefficient x past return as location, EWMA volatility x sqrt(h) as scale."""
    past = past_return(panel)
    location = past[:, None] * fit_coefficients(panel, past=past, train=train)  # (N, 1) * (3,) -> (N, 3)
    return location_scale_quantiles(panel, location=location, scale=ewma_scale(panel), train=train, origins=origins)


def fit_coefficients(panel: PanelArrays, *, past: Floats, train: Rows) -> Floats:
    """Fit the coefficient of each horizon's label on the past return, (3,), never negative: momentum by definition.

    Its size is that of the pooled least-squares slope (with intercept) over the training labels. Its sign is fixed: on the
    reference panel the slope itself is negative in most folds, and trading reversal would be another strategy. The
    intercept is left to the empirical residuals, which hold the unconditional mean anyway.
    """
    coefficients = np.zeros(len(HORIZONS))
    for column in range(len(HORIZONS)):
        label, regressor = panel.targets[train, column], past[train]
        known = np.isfinite(label) & np.isfinite(regressor)
        if not known.any():
            raise ValueError(f"momentum20: no training row has {SESSIONS} past sessions and a label")
        centred = regressor[known] - regressor[known].mean()
        spread = centred @ centred
        coefficients[column] = abs(centred @ label[known]) / spread if spread > 0 else 0.0
    return coefficients


def past_return(panel: PanelArrays) -> Floats:
    """Return the log return over the last 20 sessions of the ticker's calendar, (N,); NaN in a segment's first 20 rows."""
    returns, segment = np.nan_to_num(panel.observed_return, nan=0.0), panel.segment  # a filled session adds nothing
    total = np.full(len(returns), np.nan)
    ends = np.arange(SESSIONS, len(returns))
    ends = ends[segment[ends] == segment[ends - SESSIONS]]
    # Twenty shifted additions: unlike a running sum, no rounding error carries over from another ticker.
    total[ends] = sum(returns[ends - lag] for lag in range(SESSIONS))
    return total
