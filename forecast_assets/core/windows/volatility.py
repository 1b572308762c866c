"""The volatility forecast that targets are measured in: a regression of the log variance of the sessions ahead.

HAR (Corsi 2009) in logs, one regression per horizon for all tickers, with what else the window knows of the ticker alone:
last sessions and weeks one by one, the mean of the last half year, the EWMA variance, losses in units of volatility (the
leverage effect, Corsi and Reno 2012), unusual volume and fat tails. Chosen on 2016 to 2018, before the first test year.
No date-level regressor: a market's state has too few dates to be learnt from.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.float64]

LAGS = {"har_1": (0, 1, 2, 3, 4), "har_5": (0, 5, 10), "har_22": (0,)}
"""Log variances of a day, a week and a month, each as it was this many sessions ago."""

LONG_LAGS = (22, 44, 66, 88)
"""Months whose mean is the long memory."""

RETURNS = {"log_return": 1, "return_5": 5, "return_20": 20}
"""Returns whose losses raise volatility -> their sessions."""

MAX_LOSS = 5.0
"""Losses are clipped to this many standard deviations."""

OTHERS = ("volume_z_", "kurt_")
"""Beginnings of the names of further features, whatever window they are computed over."""

FLOOR = 1e-4
"""Smallest one-session volatility that is believed: a stale price would otherwise stand for certainty."""

BLOCK_ROWS = 1 << 16
"""Rows of the regression held at once."""


def volatility(panel: PanelTensors, rows: Tensor, *, weights: Tensor) -> Tensor:
    """Volatility of the log return over each horizon after rows ``rows`` (B,), log-return units, (B, 3).

    ``weights`` (3, 1 + R) are those of ``fit_volatility``. The rows have to be complete.
    """
    log_variance = _regressors(panel, rows).to(weights.dtype) @ weights[:, 1:].T + weights[:, 0]  # (B, 3)
    root = torch.tensor(HORIZONS, dtype=weights.dtype, device=weights.device).sqrt()
    return torch.exp(0.5 * log_variance).clamp(min=FLOOR) * root


def fit_volatility(panel: PanelTensors, train: Tensor) -> Tensor:
    """Intercept and slopes of each horizon's regression over the decisions at rows ``train``, (3, 1 + R) float64.

    The intercept holds half the residual variance: the mean of a log-normal variance. A decision counts for a horizon
    where it has a valid label: where it has, the sessions that the outcome is made of lie before the next split. Raises
    ValueError without a usable decision.
    """
    har_1 = panel.column("har_1").double().numpy()
    segment = np.cumsum(panel.segment_start.numpy(), dtype=np.int64)
    observed, rows = panel.observed.numpy(), train.numpy()
    ahead = [forward_log_variance(har_1, observed=observed, segment=segment, horizon=h)[rows] for h in HORIZONS]
    outcome = torch.from_numpy(np.stack(ahead))  # (3, T)
    outcome = torch.where(torch.isfinite(panel.targets[train].T), outcome, float("nan"))
    regressors = sum(map(len, LAGS.values())) + 1 + 1 + len(RETURNS) + len(OTHERS)
    normal = torch.zeros(len(HORIZONS), 1 + regressors, 1 + regressors, dtype=torch.float64)
    moment, square = normal.new_zeros(normal.shape[:2]), normal.new_zeros(len(HORIZONS))
    count = normal.new_zeros(len(HORIZONS))
    for begin in range(0, len(train), BLOCK_ROWS):
        x = _regressors(panel, train[begin : begin + BLOCK_ROWS]).double()
        x = torch.cat([x.new_ones(len(x), 1), x], dim=1)  # (n, 1 + R)
        for k, y in enumerate(outcome[:, begin : begin + BLOCK_ROWS]):
            known = torch.isfinite(y)
            design, y = x[known], y[known]
            normal[k] += design.T @ design
            moment[k] += design.T @ y
            square[k] += y @ y
            count[k] += len(y)
    if not bool((count > 0).all()):
        horizon = HORIZONS[int((count > 0).long().argmin())]
        raise ValueError(f"volatility: no training decision has a {horizon}-session label and a variance after it")
    # Least squares of least norm: a panel without volume has a constant regressor.
    weights = torch.linalg.lstsq(normal, moment[..., None], driver="gelsd").solution[..., 0]  # (3, 1 + R)
    residual = (square - (weights * moment).sum(dim=1)).clamp(min=0.0) / count
    weights[:, 0] += 0.5 * residual
    return weights


def forward_log_variance(
    log_variance: Floats, *, observed: NDArray[np.bool_], segment: NDArray[np.int64], horizon: int
) -> Floats:
    """Log of the mean one-session variance over the ``horizon`` sessions after each row, (N,).

    ``log_variance`` (N,) is that of each row's own session; a filled session has none and is passed over. NaN where the
    segment ends first, or no session after the row was observed.
    """
    counted = observed & np.isfinite(log_variance)
    variance = np.exp(np.where(counted, log_variance, -np.inf))
    total, sessions = _sum_ahead(variance, horizon), _sum_ahead(counted.astype(np.float64), horizon)
    inside = np.zeros(len(segment), dtype=bool)
    inside[:-horizon] = segment[horizon:] == segment[:-horizon]
    usable = inside & (total > 0)
    return np.log(total / np.where(usable, sessions, 1.0), out=np.full(len(segment), np.nan), where=usable)


def _sum_ahead(values: Floats, horizon: int) -> Floats:
    """Sum of the ``horizon`` values after each row, (N,), by doubling: unlike a running sum it depends on those alone."""
    power, done, start = _ahead(values, 1), 0, np.zeros_like(values)
    size = 1
    while done < horizon:
        if horizon & size:
            start = start + _ahead(power, done)
            done += size
        power, size = power + _ahead(power, size), 2 * size
    return start


def _ahead(values: Floats, rows: int) -> Floats:
    moved = np.zeros_like(values)
    moved[: len(values) - rows] = values[rows:]
    return moved


def _regressors(panel: PanelTensors, rows: Tensor) -> Tensor:
    """What volatility is forecast from at rows ``rows``, (B, R), in the features' precision.

    Where a history is shorter than a lag, its oldest complete row stands for what was before.
    """
    reach = panel.run_length[rows].long() - 1  # complete rows before each

    def value(name: str, lag: int = 0) -> Tensor:
        at = rows - reach.clamp(max=lag) if lag else rows
        return panel.features[at, panel.feature_names.index(name)]

    def named(beginning: str) -> Tensor:
        found = [name for name in panel.feature_names if name.startswith(beginning)]
        return value(found[0]) if found else torch.zeros_like(ewma)

    ewma = panel.scale[rows].clamp(min=FLOOR)
    losses = [(value(name) / (ewma * h**0.5)).clamp(-MAX_LOSS, 0.0) for name, h in RETURNS.items()]
    long = torch.stack([value("har_22", lag) for lag in LONG_LAGS]).mean(dim=0)
    variances = [value(name, lag) for name, lags in LAGS.items() for lag in lags]
    return torch.stack([*variances, long, ewma.log(), *losses, *map(named, OTHERS)], dim=1)
