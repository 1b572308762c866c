"""Volatility forecast that targets are standardised by: a regression of the log variance of the sessions ahead.

HAR (Corsi 2009) in logs, one regression per horizon for all tickers, with further regressors: the last sessions and
weeks one by one, the means of the last half year and of the last two years, the EWMA variance, losses in units of
volatility (the leverage effect, Corsi and Reno 2012), unusual volume, fat tails, and the common volatility of the tickers
of the exchange. The last are date-level regressors, with few dates to be learnt from; linear and few, they lowered the
pinball loss in every year from 2014 to 2018. All were chosen on those years, before the first test year.
"""

from typing import Protocol

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors

LAGS = {"har_1": (0, 1, 2, 3, 4), "har_5": (0, 5, 10), "har_22": (0,)}
"""Log variances of a day, a week and a month -> lags in sessions."""

LONG_LAGS = ((22, 44, 66, 88), tuple(range(110, 507, 44)))
"""Lags of the monthly log variance whose means are the long memory: half a year, and two years."""

MARKET_LAGS = {"market_variance": ((0,), (0, 1, 2, 3, 4)), "market_volatility": ((0,), (20, 40, 60, 80))}
"""The exchange's volatility -> groups of lags that it is averaged over."""

RETURNS = {"log_return": 1, "return_5": 5, "return_20": 20}  # returns whose losses raise volatility -> their sessions
MAX_LOSS = 5.0  # losses are clipped to this many standard deviations
OTHERS = ("volume_z_", "kurt_")  # prefixes of further features, whose names end in their window
FLOOR = 1e-4  # smallest one-session volatility: a stale price would otherwise have none
BLOCK_ROWS = 1 << 14  # rows of the regression held at once


class Histories(Protocol):
    """What the forecast reads of a panel's N rows: features, EWMA volatility, consecutive complete rows."""

    @property
    def features(self) -> Tensor: ...  # (N, F)

    @property
    def scale(self) -> Tensor: ...  # (N,)

    @property
    def run_length(self) -> Tensor: ...  # (N,)

    @property
    def feature_names(self) -> tuple[str, ...]: ...


def history_sessions() -> int:
    """Return the largest number of complete rows, the origin's own included, that a forecast reads."""
    lags = (*LAGS.values(), *LONG_LAGS, *(lags for groups in MARKET_LAGS.values() for lags in groups))
    return 1 + max(lag for group in lags for lag in group)


def volatility(panel: Histories, rows: Tensor, *, weights: Tensor) -> Tensor:
    """Forecast the volatility of the log return over each of H horizons after rows ``rows`` (B,): (B, H).

    ``weights`` (H, 1 + R) are those of ``fit_volatility``. The rows have to be complete.
    """
    log_variance = _regressors(panel, rows).to(weights.dtype) @ weights[:, 1:].T + weights[:, 0]  # (B, H)
    return torch.exp(0.5 * log_variance).clamp(min=FLOOR) * _root(weights)


def log_excess(panel: PanelTensors, rows: Tensor, *, forecast: Tensor, residual: Tensor) -> Tensor:
    """Return log realised volatility over its ``forecast`` (B, H), expectation zero, (B, H); NaN as realised.

    A label for a network's scale. ``residual`` (H,): residual variance of the log variance, half of which the forecast
    includes.
    """
    expected = 2 * (forecast / _root(forecast)).log() - 0.5 * residual
    return 0.5 * (realised_log_variance(panel, rows) - expected)


def _root(like: Tensor) -> Tensor:
    return torch.tensor(HORIZONS, dtype=like.dtype, device=like.device).sqrt()


def fit_volatility(panel: PanelTensors, train: Tensor) -> tuple[Tensor, Tensor]:
    """Fit each horizon's regression at rows ``train``: weights (H, 1 + R) and residual variance (H,), both float64.

    The intercept, the first weight, includes half the residual variance: the mean of a log-normal variance. An origin
    counts for a horizon where it has a valid label: the sessions of that label lie before the next split. Raises
    ValueError without a usable origin.
    """
    size = 1 + _regressors(panel, train[:1]).shape[1]
    normal = torch.zeros(len(HORIZONS), size, size, dtype=torch.float64)
    moment, square = normal.new_zeros(len(HORIZONS), size), normal.new_zeros(len(HORIZONS))
    count = torch.zeros_like(square)
    for rows in train.split(BLOCK_ROWS):
        x = _regressors(panel, rows).double()
        x = torch.cat([x.new_ones(len(x), 1), x], dim=1)  # (n, 1 + R)
        outcome = realised_log_variance(panel, rows).double()
        for k in range(len(HORIZONS)):
            known = torch.isfinite(outcome[:, k])
            design, y = x[known], outcome[known, k]
            normal[k] += design.T @ design
            moment[k] += design.T @ y
            square[k] += y @ y
            count[k] += len(y)
    if not bool((count > 0).all()):
        horizon = HORIZONS[int((count > 0).long().argmin())]
        raise ValueError(
            f"volatility: no training forecast origin has a {horizon}-session label and a variance after it"
        )
    # Least squares of least norm: a panel without volume has a constant regressor.
    weights = torch.linalg.lstsq(normal, moment[..., None], driver="gelsd").solution[..., 0]  # (H, 1 + R)
    residual = (square - (weights * moment).sum(dim=1)).clamp(min=0.0) / count
    weights[:, 0] += 0.5 * residual
    return weights, residual


def realised_log_variance(panel: PanelTensors, rows: Tensor) -> Tensor:
    """Return the log of the mean one-session variance over the sessions of each label at ``rows`` (B,), (B, H).

    The one-session variance is ``exp(har_1)``; filled sessions are left out. NaN where a label is not valid, or none of
    its sessions was observed. A label itself: it looks ahead.
    """
    ahead = torch.arange(1, max(HORIZONS) + 1, device=rows.device)
    at = (rows[:, None] + ahead).clamp(max=panel.rows - 1)  # (B, longest); a valid label ends within its segment
    log_variance = panel.features[at, panel.feature_names.index("har_1")]
    counted = panel.observed[at] & torch.isfinite(log_variance)
    variance = torch.where(counted, log_variance, -torch.inf).exp()
    ends = torch.tensor(HORIZONS, device=rows.device) - 1
    total, sessions = variance.cumsum(dim=1)[:, ends], counted.cumsum(dim=1)[:, ends]  # (B, H)
    known = torch.isfinite(panel.targets[rows]) & (total > 0)
    return torch.where(known, (total / sessions.clamp(min=1)).log(), float("nan"))


def _regressors(panel: Histories, rows: Tensor) -> Tensor:
    """Return the regressors at rows ``rows``, (B, R), in the features' precision.

    Where a history is shorter than a lag, its oldest complete row is used.
    """
    reach = panel.run_length[rows].long() - 1  # complete rows before each

    def value(name: str, lag: int = 0) -> Tensor:
        at = rows - reach.clamp(max=lag) if lag else rows
        return panel.features[at, panel.feature_names.index(name)]

    def mean(name: str, lags: tuple[int, ...]) -> Tensor:
        return torch.stack([value(name, lag) for lag in lags]).mean(dim=0)

    def named(beginning: str) -> Tensor:
        found = [name for name in panel.feature_names if name.startswith(beginning)]
        return value(found[0]) if found else torch.zeros_like(ewma)

    ewma = panel.scale[rows].clamp(min=FLOOR)
    losses = [(value(name) / (ewma * h**0.5)).clamp(-MAX_LOSS, 0.0) for name, h in RETURNS.items()]
    variances = [value(name, lag) for name, lags in LAGS.items() for lag in lags]
    long = [mean("har_22", lags) for lags in LONG_LAGS]
    market = [mean(name, lags) for name, groups in MARKET_LAGS.items() for lags in groups]
    return torch.stack([*variances, *long, *market, ewma.log(), *losses, *map(named, OTHERS)], dim=1)
