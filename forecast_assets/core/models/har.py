"""HAR: the log variance of the next h sessions, regressed on that of the last session, week and month.

Corsi (2009), "A simple approximate long-memory model of realized volatility", in logs. One regression for all tickers,
with one intercept: the tickers share persistence and level, and the monthly regressor separates volatile from calm ones.
Demeaning by ticker, a level of its own for each, scored worse on the reference panel; a new listing has no level anyway.
"""

from dataclasses import dataclass

import numpy as np

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import location_scale_quantiles


@dataclass(frozen=True)
class HarFit:
    """One horizon's regression: log variance = intercept + slopes . (har_1, har_5, har_22) + residual."""

    intercept: float
    slopes: Floats  # (3,)
    residual_variance: float


def fit_predict(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return quantiles (len(origins), 3, 7): HAR volatility of each horizon x pooled standardised training quantiles."""
    fits = {horizon: fit(panel, horizon=horizon, train=train) for horizon in HORIZONS}
    scale = np.column_stack([predict_scale(panel, har, horizon=horizon) for horizon, har in fits.items()])
    return location_scale_quantiles(panel, scale=scale, train=train, origins=origins)


def fit(panel: PanelArrays, *, horizon: int, train: Rows) -> HarFit:
    """Fit by least squares over the training rows with a valid ``horizon``-session label.

    A valid label respects the purge: the sessions that the outcome is made of lie before the next split. Raises ValueError
    without a usable row.
    """
    labelled = train[np.isfinite(panel.targets[train, HORIZONS.index(horizon)])]
    outcome = forward_log_variance(panel, labelled, horizon=horizon)
    regressors = _regressors(panel)[labelled]
    known = np.isfinite(outcome) & np.isfinite(regressors).all(axis=1)
    if not known.any():
        raise ValueError(f"har: no training row has a {horizon}-session label and all three regressors")
    outcome, regressors = outcome[known], regressors[known]
    design = np.column_stack([np.ones(len(outcome)), regressors])  # (n, 4)
    coefficients = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return HarFit(float(coefficients[0]), coefficients[1:], float(np.mean((outcome - design @ coefficients) ** 2)))


def predict_scale(panel: PanelArrays, har: HarFit, *, horizon: int) -> Floats:
    """Return the volatility of the log return over ``horizon`` sessions, (N,): the root of a log-normal variance's mean."""
    log_variance = har.intercept + _regressors(panel) @ har.slopes
    return np.exp(0.5 * (log_variance + 0.5 * har.residual_variance)) * np.sqrt(horizon)


def forward_log_variance(panel: PanelArrays, rows: Rows, *, horizon: int) -> Floats:
    """Return the log of the mean one-session variance over the ``horizon`` sessions after ``rows``, (len(rows),).

    The one-session variance is ``exp(har_1)``; a filled session has none and is skipped. NaN where the segment
    ends first, or no session after the row was observed.
    """
    last, segment = len(panel.har_1) - 1, panel.segment
    total, sessions = np.zeros(len(rows)), np.zeros(len(rows))
    for ahead in range(1, horizon + 1):
        row = np.minimum(rows + ahead, last)
        inside = (rows + ahead <= last) & (segment[row] == segment[rows])
        counted = inside & ~panel.is_missing[row] & np.isfinite(panel.har_1[row])
        total += np.where(counted, np.exp(np.where(counted, panel.har_1[row], 0.0)), 0.0)
        sessions += np.where(inside, counted, np.nan)
    usable = sessions > 0
    return np.log(total / np.where(usable, sessions, np.nan), out=np.full(len(rows), np.nan), where=usable)


def _regressors(panel: PanelArrays) -> Floats:
    return np.column_stack([panel.har_1, panel.har_5, panel.har_22])  # (N, 3)
