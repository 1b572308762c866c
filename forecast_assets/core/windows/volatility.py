"""Volatility forecast that targets are standardised by: a regression of the log variance of the sessions ahead.

HAR (Corsi 2009) in logs, one regression per horizon for all tickers, with further regressors, hence HAR-X. Of the ticker:
the last sessions and weeks one by one, the means of the last half year and of the last two years, the EWMA variance, returns
in units of volatility, losses and gains apart (the leverage effect, Corsi and Reno 2012), unusual volume, fat tails. Of the
announcements (``core.panel.announcements``): the variance that an expected one adds to a horizon, its usual size, past ones,
and the variances without them and without the market's part. Of the date, few and linear, since few dates are there to be
learnt from: the volatility of the tickers of the exchange, the market's losses, and VIX where there is one.

All were chosen on the years 2014 to 2018, before the first test year. The columns of the user's own series come on top
(``core.panel.covariates``), in units of their deviation over the training rows; a missing one counts as its mean.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.reads import is_covariate
from forecast_assets.core.windows.tensors import PanelTensors

LAGS = {"har_1": (0, 1, 2, 3, 4), "har_5": (0, 5, 10), "har_22": (0,)}
"""Log variances of a day, a week and a month -> lags in sessions."""

LONG_LAGS = ((22, 44, 66, 88), tuple(range(110, 507, 44)))
"""Lags of the monthly log variance whose means are the long memory: half a year, and two years."""

MARKET_LAGS = {"market_variance": ((0,), (0, 1, 2, 3, 4)), "market_volatility": ((0,), (20, 40, 60, 80))}
"""The exchange's volatility -> groups of lags that it is averaged over."""

RETURNS: Mapping[int, tuple[str, tuple[int, ...]]] = {
    1: ("log_return", (0,)),
    5: ("return_5", (0,)),
    20: ("return_20", (0,)),
    60: ("return_20", (0, 20, 40)),
    250: ("return_20", tuple(range(0, 240, 20))),
}
"""Sessions of a return -> the feature and lags that add up to it; the last one is ten sessions short."""
SHORT = (1, 5, 20)  # returns whose losses are among the plain regressors, and the market's
MAX_RETURN = 5.0  # returns are clipped to this many standard deviations
OTHERS = ("volume_z_", "kurt_")  # prefixes of further features, whose names end in their window

ANNOUNCEMENTS = (
    "announcement_jump",
    *("announced_5", "announced_22", "surprise_5", "surprise_22", "announced_since"),
    *("unusual_volume_1", "unusual_volume_5", "unusual_volume_22"),
    "residual_level",
)
"""Columns of the announcements that all horizons read, beside the expected variance of each."""
VARIANCES = {
    **{"quiet_variance_1": "har_1", "quiet_variance_5": "har_5", "quiet_variance_22": "har_22"},
    **{"quiet_variance_66": "har_22", "residual_variance_5": "har_5", "residual_variance_22": "har_22"},
    "residual_variance_66": "har_22",
}
"""Log variances without announcements, or without the market's part -> what they are taken relative to. Where nobody has
reported yet the two are nearly the same, and a regression on both would make much of nothing."""
LARGE_MOVES = "large_moves"
PERCENT = 100.0

RIDGE = 10.0
"""Rows' worth of penalty on the squared slope of every regressor beyond the plain ones. Each is of the order of one, so on a
panel of some rows slopes stay of that order, and a large one does not notice."""

VIX = "vix"
USUAL_VIX = -1.75  # log of a usual level
VIX_MEANS = (tuple(range(0, 66, 6)), tuple(range(0, 251, 25)))
VIX_CHANGES = (1, 5, 20)

FLOOR = 1e-4  # smallest one-session volatility: a stale price would otherwise have none
SMALLEST_DEVIATION = 1e-8  # of a covariate, as a share of its size, below which it counts as constant
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


def covariate_names(feature_names: Sequence[str]) -> tuple[str, ...]:
    """Return the features of the user's own series in the order in which they are read, whatever that of the panel."""
    return tuple(sorted(filter(is_covariate, feature_names)))


def history_sessions() -> int:
    """Return the largest number of complete rows, the origin's own included, that a forecast reads."""
    lags = (*LAGS.values(), *LONG_LAGS, *(lags for groups in MARKET_LAGS.values() for lags in groups), *VIX_MEANS)
    return 1 + max(lag for group in lags for lag in group)


def volatility(panel: Histories, rows: Tensor, *, weights: Tensor) -> Tensor:
    """Forecast the volatility of the log return over each of H horizons after rows ``rows`` (B,): (B, H).

    ``weights`` (H, 1 + R) are those of ``fit_volatility``. The rows have to be complete.
    """
    return predicted(regressors(panel, rows), weights=weights)


def predicted(x: Tensor, *, weights: Tensor) -> Tensor:
    """Return ``volatility`` from the regressors ``x`` (B, R), (B, H)."""
    # In double precision: a sum of sixty products of unscaled numbers would depend on how rows are batched.
    log_variance = (x.double() @ weights[:, 1:].double().T + weights[:, 0].double()).to(weights.dtype)  # (B, H)
    return torch.exp(0.5 * log_variance).clamp(min=FLOOR) * root_horizons(weights)


def log_excess(panel: PanelTensors, rows: Tensor, *, forecast: Tensor, residual: Tensor) -> Tensor:
    """Return log realised volatility over its ``forecast`` (B, H), expectation zero, (B, H); NaN as realised.

    A label for a network's scale. ``residual`` (H,): residual variance of the log variance, half of which the forecast
    includes.
    """
    expected = 2 * (forecast / root_horizons(forecast)).log() - 0.5 * residual
    return 0.5 * (realised_log_variance(panel, rows) - expected)


def root_horizons(like: Tensor) -> Tensor:
    """Return the square roots of the horizons, (H,), in the type of ``like``."""
    return torch.tensor(HORIZONS, dtype=like.dtype, device=like.device).sqrt()


def fit_volatility(panel: PanelTensors, train: Tensor, *, plain: bool = False) -> tuple[Tensor, Tensor]:
    """Fit each horizon's regression at rows ``train``: weights (H, 1 + R) and residual variance (H,), both float64.

    ``plain``: without announcements, gains, the long returns, the market's losses and VIX, whose weights are zero.

    The intercept, the first weight, includes half the residual variance: the mean of a log-normal variance. An origin
    counts for a horizon where it has a valid label: the sessions of that label lie before the next split. Raises
    ValueError without a usable origin.
    """
    scaling = _scaling(panel, train)
    size = 1 + scaling.applied(regressors(panel, train[:1]).double()).shape[1]
    normal = torch.zeros(len(HORIZONS), size, size, dtype=torch.float64)
    moment, square = normal.new_zeros(len(HORIZONS), size), normal.new_zeros(len(HORIZONS))
    count = torch.zeros_like(square)
    used = _used(size - 1, plain=plain, covariates=len(scaling.mean))  # (H, 1 + R)
    for rows in train.split(BLOCK_ROWS):
        x = scaling.applied(regressors(panel, rows).double())
        x = torch.cat([x.new_ones(len(x), 1), x], dim=1)  # (n, 1 + R)
        outcome = realised_log_variance(panel, rows).double()
        for k in range(len(HORIZONS)):
            known = torch.isfinite(outcome[:, k])
            design, y = x[known] * used[k], outcome[known, k]
            normal[k] += design.T @ design
            moment[k] += design.T @ y
            square[k] += y @ y
            count[k] += len(y)
    if not bool((count > 0).all()):
        horizon = HORIZONS[int((count > 0).long().argmin())]
        raise ValueError(
            f"volatility: no training forecast origin has a {horizon}-session label and a variance after it"
        )
    # Least squares of least norm: a panel without volume has a constant regressor, as one that is not used is.
    ridge = torch.full((size,), RIDGE, dtype=torch.float64)
    ridge[: 1 + plain_regressors()] = 0.0
    normal += torch.diag(ridge)
    weights = torch.linalg.lstsq(normal, moment[..., None], driver="gelsd").solution[..., 0]  # (H, 1 + R)
    fitted = torch.einsum("hr,hrs,hs->h", weights, normal - torch.diag(ridge), weights)
    residual = (square - 2 * (weights * moment).sum(dim=1) + fitted).clamp(min=0.0) / count
    weights[:, 0] += 0.5 * residual
    return scaling.undone(weights), residual


class _Scaling(NamedTuple):
    """Mean and deviation of C covariates over the training rows, (C,) each, float64.

    ``regressors`` end in two columns per covariate: its value, 0 where it is missing, and whether it is there. The
    regression is fitted on the standardised value, which is linear in both, so its weights can be those of the two columns.
    """

    mean: Tensor
    std: Tensor

    def applied(self, x: Tensor) -> Tensor:
        """Return the regressors (n, R + 2 C) with one standardised column per covariate, (n, R + C)."""
        count = len(self.mean)
        if not count:
            return x
        value, known = x[:, -2 * count : -count], x[:, -count:]
        return torch.cat([x[:, : -2 * count], (value - self.mean * known) / self.std], dim=1)

    def undone(self, weights: Tensor) -> Tensor:
        """Return the weights (H, 1 + R + C) of standardised covariates as those of ``regressors``, (H, 1 + R + 2 C)."""
        count = len(self.mean)
        if not count:
            return weights
        own = weights[:, -count:] / self.std
        return torch.cat([weights[:, :-count], own, -own * self.mean], dim=1)


def _scaling(panel: PanelTensors, train: Tensor) -> _Scaling:
    """Return mean and deviation of each covariate over the rows ``train`` on which it is there."""
    names = covariate_names(panel.feature_names)
    columns = [panel.column(name)[train].double() for name in names]
    known = [column[torch.isfinite(column)] for column in columns]
    mean = torch.tensor([float(each.mean()) if len(each) else 0.0 for each in known], dtype=torch.float64)
    std = torch.tensor([float(each.std()) if len(each) > 1 else 0.0 for each in known], dtype=torch.float64)
    return _Scaling(mean, torch.where(std > SMALLEST_DEVIATION * (1 + mean.abs()), std, torch.ones_like(std)))


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


def regressor_names() -> tuple[str, ...]:
    """Return the names of the regressors, in order; two for each covariate follow."""
    return (
        *(f"{name}_lag_{lag}" for name, lags in LAGS.items() for lag in lags),
        *("half_year_variance", "two_years_variance"),
        *(f"{name}_mean_{len(lags)}" for name, groups in MARKET_LAGS.items() for lags in groups),
        "ewma_volatility",
        *(f"loss_{n}" for n in SHORT),
        *("unusual_volume", "fat_tails"),
        *(f"gain_{n}" for n in SHORT),
        *(f"{part}_{n}" for n in RETURNS if n not in SHORT for part in ("loss", "gain")),
        *(f"market_loss_{n}" for n in SHORT),
        *(*ANNOUNCEMENTS, *VARIANCES, LARGE_MOVES),
        *("vix", *(f"vix_mean_{lags[-1]}" for lags in VIX_MEANS), *(f"vix_change_{n}" for n in VIX_CHANGES)),
        *(f"announcement_variance_{h}d" for h in HORIZONS),
    )


def plain_regressors() -> int:
    """Return the number of regressors that need nothing but a ticker's own past and its exchange's volatility."""
    lagged = sum(map(len, LAGS.values())) + len(LONG_LAGS) + sum(map(len, MARKET_LAGS.values()))
    return lagged + 1 + len(SHORT) + len(OTHERS)


def _used(regressors: int, *, plain: bool, covariates: int = 0) -> Tensor:
    """Return which of the intercept and the regressors a horizon uses, (H, 1 + R), as factors.

    The last ``H`` regressors before the covariates are the variances that announcements are expected to add, each for its
    own horizon.
    """
    used = torch.ones(len(HORIZONS), 1 + regressors, dtype=torch.float64)
    end = 1 + regressors - covariates
    used[:, end - len(HORIZONS) : end] = torch.eye(len(HORIZONS), dtype=torch.float64)
    if plain:
        used[:, 1 + plain_regressors() :] = 0.0
    return used


def regressors(panel: Histories, rows: Tensor) -> Tensor:
    """Return the regressors at rows ``rows``, (B, R), in the features' precision.

    Where a history is shorter than a lag, its oldest complete row is used. A feature that the panel lacks counts as zero.
    Each covariate has two columns at the end: all their values, 0 where missing, then whether they are there.
    """
    reach = panel.run_length[rows].long() - 1  # complete rows before each

    def column(name: str) -> int | None:
        return panel.feature_names.index(name) if name in panel.feature_names else None

    def values(name: str, lags: tuple[int, ...]) -> Tensor:
        """Return the values at each of ``lags``, (B, L)."""
        if (place := column(name)) is None:
            return torch.zeros(rows.shape[0], len(lags), dtype=panel.features.dtype, device=rows.device)
        back = torch.minimum(reach[:, None], torch.tensor(lags, device=rows.device))
        return panel.features[rows[:, None] - back, place]

    def value(name: str) -> Tensor:
        return values(name, (0,))[:, 0]

    ewma = panel.scale[rows].clamp(min=FLOOR)
    returns = {n: values(name, lags).sum(dim=1) / (ewma * n**0.5) for n, (name, lags) in RETURNS.items()}
    others = [name for beginning in OTHERS for name in panel.feature_names if name.startswith(beginning)]
    market = values("market_return", tuple(range(SHORT[-1])))
    level = values(VIX, (0,))[:, 0].log()
    vix = [level - USUAL_VIX, *(values(VIX, lags).log().mean(dim=1) - USUAL_VIX for lags in VIX_MEANS)]
    vix += [level - values(VIX, (lag,))[:, 0].log() for lag in VIX_CHANGES]
    own = [
        *(values(name, lags) for name, lags in LAGS.items()),
        *(values("har_22", lags).mean(dim=1) for lags in LONG_LAGS),
        *(values(name, lags).mean(dim=1) for name, groups in MARKET_LAGS.items() for lags in groups),
        ewma.log(),
        *(returns[n].clamp(-MAX_RETURN, 0.0) for n in SHORT),
        *(value(name) for name in others),
        torch.zeros(rows.shape[0], len(OTHERS) - len(others), dtype=ewma.dtype, device=rows.device),
    ]
    more = [
        *(returns[n].clamp(0.0, MAX_RETURN) for n in SHORT),
        *(part for n in RETURNS if n not in SHORT for part in _signed(returns[n])),
        *(PERCENT * market[:, :n].sum(dim=1).clamp(max=0.0) for n in SHORT),
        *(value(name) for name in ANNOUNCEMENTS),
        *(value(name) - value(other) if column(name) is not None else value(name) for name, other in VARIANCES.items()),
        PERCENT * value(LARGE_MOVES),
        # Where VIX is not known, a term is zero: about its usual level, unchanged.
        *(torch.where(torch.isfinite(term), term, 0.0) for term in vix),
        *(values(f"announcement_variance_{h}d", (0,)) for h in HORIZONS),
    ]
    parts = [part if part.dim() == 2 else part[:, None] for part in (*own, *more)]
    if covariates := [value(name) for name in covariate_names(panel.feature_names)]:
        added = torch.stack(covariates, dim=1)  # (B, C)
        known = torch.isfinite(added)
        parts += [torch.where(known, added, 0.0), known.to(added.dtype)]
    return torch.cat(parts, dim=1)


def _signed(returns: Tensor) -> tuple[Tensor, Tensor]:
    return returns.clamp(-MAX_RETURN, 0.0), returns.clamp(0.0, MAX_RETURN)
