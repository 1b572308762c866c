"""Online calibration of quantile forecasts on matured outcomes only, in groups.

Quantile tracking (Gibbs and Candes 2021; Angelopoulos, Candes and Tibshirani 2023) per horizon: where outcomes fall outside
a quantile more often than its level says, that quantile moves away from the median, else towards it. A quantile is moved by
a factor on its distance to the median. The distance is the decision's own volatility forecast, so all tickers of a date
share one state; factors keep both sides of the median apart, and what is left of crossing is sorted away (Chernozhukov,
Fernandez-Val and Galichon 2010: that never costs pinball loss).

A forecast's factor is the product of those of its groups, each of which tracks its own members (the group-conditional ACI of
Ramalingam, Kiyani and Roth 2025; multivalid coverage, Bastani et al. 2022). The volatility regimes are the common part:
together they follow all outcomes. An exchange and a volatility decile follow what their members differ in from all outcomes
that matured with them, so that a day of large returns, which most groups share, is learnt once. That bounds the difference:
while no factor is at its limit, a group's steps add up to its log factor, so over T days on which at least its ``least``
outcomes matured, the mean of its share beyond a quantile less that of all is at most |log factor| slope / (T rate).

The median itself is left alone. Its errors on one date are mostly the market's return, and following them would be
market timing; for the same reason the two tails of a level share one factor.

State and step are apart: ``apply`` and ``update`` are all that a server needs, ``calibrate_online`` is their loop.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILES, horizons_text
from forecast_assets.core.specs import CalibrationSpec
from forecast_assets.core.training.calibration_groups import REGIMES, Groups, Membership
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_LOG_FACTOR = np.log(4.0)  # factors within 1/4 .. 4: beyond, the forecast is wrong rather than miscalibrated

_LEAST = {"exchange": 1, "volatility": 10}
"""Outcomes a day with which a group takes its whole step. An exchange's few tickers are always the same ones and stand for
it; the few in a volatility decile are others on the next day."""

_OVERLAP = {"regime": 0.5, "exchange": 0.5, "volatility": 0.25}
"""Power of the horizon that a rate is divided by, because the labels of successive days overlap. What overlaps is mostly the
market's return; little of it is left in what volatility deciles differ in. Both tables were chosen on 2014-2018."""

_MIDDLE = QUANTILES.index(0.5)
_TAIL = np.minimum(QUANTILES, 1.0 - np.array(QUANTILES))  # (7,) nominal share of outcomes beyond each quantile
_UPPER = np.array(QUANTILES) > 0.5
# How fast the share beyond a quantile falls as the log of its factor grows, for a Normal: |z| phi(z).
_SLOPE = np.array([abs(z) * NormalDist().pdf(z) for z in map(NormalDist().inv_cdf, QUANTILES)])


@dataclass(frozen=True)
class CalibrationState:
    """State of the calibration: for each group the log of its factor on each quantile's distance to the median."""

    names: tuple[str, ...]  # (G,) of the groups
    log_factor: Floats  # (G, 3 horizons, 7 levels), symmetric over levels, zero at the median

    @classmethod
    def initial(cls) -> Self:
        """Return the state that changes nothing, in any groups."""
        return cls((), np.zeros((0, len(HORIZONS), len(QUANTILES))))

    def of(self, names: tuple[str, ...]) -> Floats:
        """Return the log factors of groups ``names`` (G,), (G, 3, 7); zero for one that the state has not met."""
        if names == self.names:
            return self.log_factor
        place = {name: k for k, name in enumerate(self.names)}
        known = [k for k, name in enumerate(names) if name in place]
        found = np.zeros((len(names), len(HORIZONS), len(QUANTILES)))
        found[known] = self.log_factor[[place[names[k]] for k in known]]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain lists by group."""
        return {"log_factor": dict(zip(self.names, self.log_factor.tolist(), strict=True))}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the state that ``to_json`` wrote, bit for bit; an earlier state, a list, is that of the regimes alone.

        Raises BadInput where the factors are those of other horizons.
        """
        given = content["log_factor"]
        named = given if isinstance(given, dict) else {f"regime {k}": factors for k, factors in enumerate(given)}
        if not named:
            return cls.initial()
        log_factor = np.array(list(named.values()), dtype=np.float64)
        if log_factor.shape != (shape := (len(named), len(HORIZONS), len(QUANTILES))):
            raise BadInput(
                f"calibration state: log_factor has shape {log_factor.shape}, forecasts over {horizons_text()} sessions "
                f"need {shape}; nights of other horizons are not continued, begin a new FORECAST_DATA_DIR"
            )
        return cls(tuple(named), log_factor)


class Matured(NamedTuple):
    """B matured outcomes with the calibrated quantiles that were issued for them."""

    outcome: Floats  # (B,) log return
    issued: Floats  # (B, 7)
    horizon: Ints  # (B,) position in HORIZONS
    groups: Membership  # of the B forecasts


class Calibrated(NamedTuple):
    """Calibrated forecasts and the state after the last date's matured outcomes."""

    quantiles: Floats  # (M, 3, 7)
    state: CalibrationState


def log_factors(state: CalibrationState, groups: Membership) -> Floats:
    """Return the log factor of B forecasts, the sum over their groups, (B, 3, 7)."""
    return np.clip(state.of(groups.names)[groups.code].sum(axis=1), -MAX_LOG_FACTOR, MAX_LOG_FACTOR)


def apply(state: CalibrationState, quantiles: Floats, *, groups: Membership) -> Floats:
    """Return calibrated quantiles (B, 3, 7), non-decreasing, of raw ones; ``groups`` are those of the B forecasts."""
    median = quantiles[..., _MIDDLE, None]  # (B, 3, 1)
    return np.sort(median + np.exp(log_factors(state, groups)) * (quantiles - median), axis=-1)


def update(state: CalibrationState, matured: Matured, *, spec: CalibrationSpec) -> CalibrationState:
    """Take one step on outcomes that matured together, in any order; none leaves the state as it is.

    A step closes the group's rate of the gap between the observed and the nominal share beyond a quantile, for Normal
    returns, less at longer horizons (``_OVERLAP``). A regime with few of the outcomes moves in proportion, and so does a
    group with fewer than its ``_LEAST``.
    """
    if not len(matured.outcome):
        return state
    names, code = matured.groups.names, matured.groups.code
    kinds = [name.partition(" ")[0] for name in names]
    outcome = matured.outcome[:, None]
    excess = np.where(_UPPER, outcome > matured.issued, outcome < matured.issued) - _TAIL  # (B, 7)
    excess = (excess + excess[:, ::-1]) / 2  # both tails of a level
    of_all, total = _sums(excess, matured.horizon[:, None], cells=len(HORIZONS))  # (H, 7), (H,)
    of_groups, members = _sums(
        excess, code * len(HORIZONS) + matured.horizon[:, None], cells=len(names) * len(HORIZONS)
    )
    gap, count = of_groups.reshape(len(names), len(HORIZONS), -1), members.reshape(len(names), -1)  # (G, H, 7), (G, H)
    differs = np.array([kind != "regime" for kind in kinds])
    gap = gap - differs[:, None, None] * count[..., None] * (of_all / np.maximum(total, 1)[:, None])
    least = np.stack(
        [np.maximum(total / REGIMES, 1) if kind == "regime" else 0 * total + _LEAST[kind] for kind in kinds]
    )
    rates = {"regime": spec.rate, "exchange": spec.exchange_rate, "volatility": spec.volatility_rate}
    overlap = np.array(HORIZONS, dtype=np.float64) ** np.array([_OVERLAP[kind] for kind in kinds])[:, None]  # (G, H)
    rate = np.array([rates[kind] for kind in kinds])[:, None] / overlap
    step = gap * (rate / np.maximum(count, least))[..., None] / np.where(_SLOPE > 0, _SLOPE, np.inf)
    return CalibrationState(names, np.clip(state.of(names) + step, -MAX_LOG_FACTOR, MAX_LOG_FACTOR))


def _sums(excess: Floats, cell: Ints, *, cells: int) -> tuple[Floats, Floats]:
    """Return the sum (cells, 7) of ``excess`` (B, 7) and the count (cells,), each row in K cells: ``cell`` (B, K)."""
    levels = excess.shape[1]
    at = cell[..., None] * levels + np.arange(levels)  # (B, K, 7)
    weights = np.broadcast_to(excess[:, None], at.shape).ravel()
    total = np.bincount(at.ravel(), weights, minlength=cells * levels).astype(np.float64)
    count = np.bincount(cell.ravel(), minlength=cells).astype(np.float64)
    return total.reshape(cells, levels), count


def calibrate_online(
    quantiles: Floats, *, y: Floats, date: Ints, label_date: Ints, groups: Membership, spec: CalibrationSpec
) -> Calibrated:
    """Calibrate M forecasts, each with the outcomes known before its date.

    ``quantiles`` (M, 3, 7); ``y`` (M, 3), NaN where not matured; ``date`` (M,) and ``label_date`` (M, 3) days, the
    latter the day that the label's last session ends; ``groups`` of the M forecasts. Strictly before the date, not on it:
    on the same day another exchange may close after this forecast. Rows may come in any order. Raises ValueError for a
    label that ends on or before its own date.
    """
    issued = Issued(np.empty_like(quantiles), y, label_date, groups)
    if (issued.known & (label_date <= date[:, None])).any():
        raise ValueError("calibration: a label ends on or before the date of its own forecast")
    by_date = np.argsort(date, kind="stable")
    days, first = np.unique(date[by_date], return_index=True)
    state = CalibrationState.initial()
    steps = _states(state, issued, issued.known, days=days, spec=spec)
    for state, today in zip(steps, np.split(by_date, first[1:]), strict=True):
        issued.quantiles[today] = apply(state, quantiles[today], groups=groups[today])
    return Calibrated(issued.quantiles, state)


class Issued(NamedTuple):
    """M issued, calibrated forecasts and their outcomes."""

    quantiles: Floats  # (M, 3, 7)
    y: Floats  # (M, 3), NaN where not matured
    label_date: Ints  # (M, 3) day that each label's last session ends, NO_DATE where there is none
    groups: Membership  # of the M forecasts

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which outcomes are known at some time, (M, 3)."""
        return np.isfinite(self.y) & (self.label_date != NO_DATE)


def follow(
    state: CalibrationState, issued: Issued, *, since: int, days: Sequence[int], spec: CalibrationSpec
) -> CalibrationState:
    """Return the state before the forecasts of the last of ``days``, from that before those of day ``since``.

    One step per day, on the outcomes whose label ended from the day before (``since`` for the first) until strictly
    before it: as ``calibrate_online`` does from date to date, for forecasts issued one night at a time.
    """
    *_, last = state, *_states(state, issued, issued.known & (issued.label_date >= since), days=days, spec=spec)
    return last


def _states(
    state: CalibrationState, issued: Issued, counted: NDArray[np.bool_], *, days: Iterable[int], spec: CalibrationSpec
) -> Iterator[CalibrationState]:
    """Yield the state before each day's forecasts, after a step on the ``counted`` (M, 3) outcomes whose label ended since.

    The forecasts of a day may be filled into ``issued`` once its state is there: their labels end later.
    """
    row, horizon = np.nonzero(counted)
    ends = issued.label_date[row, horizon]
    order = np.lexsort((horizon, row, ends))
    row, horizon, ends, done = row[order], horizon[order], ends[order], 0
    for day in days:
        until = int(np.searchsorted(ends, day, side="left"))
        rows, columns = row[done:until], horizon[done:until]
        matured = Matured(issued.y[rows, columns], issued.quantiles[rows, columns], columns, issued.groups[rows])
        state, done = update(state, matured, spec=spec), until
        yield state


def calibrate_fold(quantiles: Floats, *, panel: PanelTensors, fold: Fold, spec: CalibrationSpec) -> Calibrated:
    """Calibrate a fold's forecasts (validation + test, 3, 7), in the order of ``fold.origins``.

    The state starts with the first validation row, so the test year begins with the state after validation. Validation rows
    are calibrated as they would have been at the time. A row without a forecast (NaN) stays without one, and nothing is
    learnt from its outcome.
    """
    rows = fold.origins.numpy()
    y = panel.targets[rows].double().numpy()
    return calibrate_online(
        quantiles,
        y=np.where(np.isnan(quantiles).any(axis=-1), np.nan, y),
        date=panel.date[rows].numpy().astype(np.int64),
        label_date=label_dates(panel)[rows],
        groups=Groups.fit(panel, train=fold.train).of(panel, fold.origins),
        spec=spec,
    )


def split_conformal_quantile(scores: Floats, *, level: float) -> float:
    """Return the ``ceil((n + 1) level)``-th smallest of n scores: the finite-sample quantile of split conformal prediction.

    Infinite where n is too small for the level (Vovk, Gammerman and Shafer 2005).
    """
    rank = int(np.ceil((len(scores) + 1) * level - 1e-12))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def calibrate_split(quantiles: Floats, *, y: Floats, validation: NDArray[np.bool_]) -> Floats:
    """Calibrate with fixed factors per horizon and level from the ``validation`` (M,) rows alone, (M, 3, 7): for comparison.

    The score is the outcome's distance to the median over that of the quantile on its side; the factor of a pair of
    levels is the split conformal quantile of the band's score.
    """
    median = quantiles[..., _MIDDLE]  # (M, 3)
    calibrated = quantiles.copy()
    for column in range(len(HORIZONS)):
        rows = validation & np.isfinite(y[:, column])
        for low in range(_MIDDLE):
            high = len(QUANTILES) - 1 - low
            above = y[rows, column] > median[rows, column]
            side = np.where(above, quantiles[rows, column, high], quantiles[rows, column, low])
            distance, reach = np.abs(y[rows, column] - median[rows, column]), np.abs(side - median[rows, column])
            level = QUANTILES[high] - QUANTILES[low]
            score = split_conformal_quantile(distance / np.maximum(reach, 1e-12), level=level)
            factor = min(score, float(np.exp(MAX_LOG_FACTOR)))
            for k in (low, high):
                calibrated[:, column, k] = median[:, column] + factor * (quantiles[:, column, k] - median[:, column])
    return np.sort(calibrated, axis=-1)


def label_dates(panel: PanelTensors) -> Ints:
    """Return the day on which each label's last session ends, (N, 3), NO_DATE where there is no valid label.

    Rows are a ticker's own sessions on the default calendar. On a union calendar some are not, and rows don't give a shorter
    horizon's end: all its labels then count as known with the furthest one, which is late but never early.
    """
    date, furthest = panel.date.numpy().astype(np.int64), panel.label_end.numpy().astype(np.int64)
    valid = np.isfinite(panel.targets.numpy())
    last = len(date) - 1
    ahead = np.stack([date[np.minimum(np.arange(len(date)) + h, last)] for h in HORIZONS], axis=1)  # (N, 3)
    counted = np.where(valid, ahead, NO_DATE).max(axis=1)
    ends = ahead if np.array_equal(counted, furthest) else np.broadcast_to(furthest[:, None], ahead.shape)
    return np.where(valid, ends, NO_DATE)
