"""Walk-forward folds by year and the recent window of a night, purged by label end.

No other module cuts time: no other one compares a date to a year.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import FoldSpec, NightlySpec
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors

MOST_GIVEN_UP = 0.2  # share of the sessions before the validation that earlier spans may take from training


@dataclass(frozen=True)
class Fold:
    """A test year, or a recent window named by the year it ends in. A split is row numbers of forecast origins,
    ascending, int64.

    ``spans`` are further validation rows, of earlier times, first to last. What has a handful of parameters is fitted on all
    of ``train``; a network, which could remember them, is trained on ``sampled`` alone.

    Invariants, asserted: ``max(train.label_end) < min(validation.date)`` and
    ``max(validation.label_end) < min(test.date)``; of each span, no label of a sampled row from before it ends after it has
    begun, and neither a later sampled row nor a later span begins before its own labels have ended.
    """

    year: int
    train: Tensor
    validation: Tensor
    test: Tensor
    spans: tuple[Tensor, ...] = ()
    rest: Tensor | None = None  # the rows of ``train`` that the spans leave, where there are any

    @property
    def sampled(self) -> Tensor:
        """Rows that networks are trained on."""
        return self.train if self.rest is None else self.rest

    @property
    def held_out(self) -> Tensor:
        """Rows that networks are not trained on and are judged by: the spans, then validation."""
        return torch.cat([*self.spans, self.validation])

    @property
    def origins(self) -> Tensor:
        """Rows that are forecast: validation, then test."""
        return torch.cat([self.validation, self.test])


def first_test_year(sessions: Mapping[int, int], *, spec: FoldSpec, kept: int | None = None) -> int | None:
    """Return the first year that a panel is tested on, or None where it has too little history for any.

    ``sessions``: union sessions of the panel by year. The first year from ``spec.first_test_year`` on with
    ``spec.min_history_sessions`` before it; for a panel that ends earlier, the first such year of all. ``kept``: that of the
    same panel before it grew, which stays, so that a year that was tested does not become one that settings are chosen on.

    >>> first_test_year(dict.fromkeys(range(2012, 2018), 250), spec=FoldSpec())
    2014
    >>> first_test_year(dict.fromkeys(range(2012, 2022), 250), spec=FoldSpec())
    2019
    """

    def has_history(year: int) -> bool:
        return sum(count for before, count in sessions.items() if before < year) >= spec.min_history_sessions

    if kept is not None and has_history(kept):
        return kept
    possible = [year for year in sorted(sessions) if has_history(year)]
    return next((year for year in possible if year >= spec.first_test_year), possible[0] if possible else None)


def years_to_search(declared: Sequence[int], *, first_test_year: int, spec: FoldSpec) -> tuple[int, ...]:
    """Return the years that settings are chosen on: the declared ones, or the four before a panel's own first test year.

    >>> years_to_search((2015, 2016), first_test_year=2022, spec=FoldSpec())
    (2018, 2019, 2020, 2021)
    """
    if first_test_year == spec.first_test_year:
        return tuple(declared)
    return tuple(range(first_test_year - 4, first_test_year))


def make_fold(panel: PanelTensors, *, year: int, spec: FoldSpec, lookback: int) -> Fold:
    """Return the fold that tests ``year``.

    Test origins lie in the year; validation origins in the ``validation_sessions`` union sessions that end
    ``purge_sessions`` before it; training origins are all whose labels end before the first validation origin.
    Validation origins whose label reaches into the test year (the sessions of the longest horizon can span more union
    sessions than the purge) are left out. Raises BadInput where a split would be empty.
    """
    ends = panel.ends(lookback)
    date, label_end = panel.date[ends], panel.label_end[ends]
    first, last = _bounds(year)
    sessions = panel.sessions()  # (S,)
    before = sessions[sessions < first]
    needed = spec.validation_sessions + spec.purge_sessions
    if len(before) <= needed:
        raise BadInput(
            f"fold {year}: the panel has {len(before)} sessions before {year}, the fold needs more than {needed} "
            "(validation and purge); start later with folds.first_test_year or give more history"
        )
    kept = before[: len(before) - spec.purge_sessions]
    validation_from, validation_to = kept[-spec.validation_sessions], kept[-1]

    test = (date >= first) & (date <= last)
    labelled = label_end != NO_DATE
    first_test = date[test].min() if test.any() else torch.tensor(first)
    validation = (date >= validation_from) & (date <= validation_to) & labelled & (label_end < first_test)
    train = (date < validation_from) & labelled & (label_end < validation_from)
    for name, split in (("training", train), ("validation", validation), ("test", test)):
        if not split.any():
            raise BadInput(
                f"fold {year}: no {name} forecast origin with {lookback} complete sessions behind it; "
                "give more history or shorten windows.lookback"
            )
    fold = Fold(year=year, train=ends[train], validation=ends[validation], test=ends[test])
    if spec.spans:
        fold = with_spans(fold, panel, sessions=sessions[sessions < validation_from], spec=spec)
    check_purged(fold, date=panel.date, label_end=panel.label_end)
    return fold


def with_spans(fold: Fold, panel: PanelTensors, *, sessions: Tensor, spec: FoldSpec) -> Fold:
    """Return ``fold`` with earlier spans, and the training rows that they and their purges leave.

    Of the union ``sessions`` (S,) before the validation, span k from the last one is the ``span_sessions`` that begin
    ``span_stride_sessions`` k before its first. There are ``spans`` of them, or as many as cost at most ``MOST_GIVEN_UP`` of
    all sessions.
    """
    cost = spec.span_sessions + 2 * HORIZONS[-1]
    count = min(spec.spans, int(MOST_GIVEN_UP * len(sessions)) // cost, len(sessions) // spec.span_stride_sessions)
    rest, spans = fold.train, []
    for k in range(count, 0, -1):
        begins = len(sessions) - k * spec.span_stride_sessions
        first, last = int(sessions[begins]), int(sessions[begins + spec.span_sessions - 1])
        date = panel.date[rest]
        inside = rest[(date >= first) & (date <= last)]
        if len(inside):
            ended = int(panel.label_end[inside].max())
            rest = rest[((date < first) & (panel.label_end[rest] < first)) | (date > ended)]
            spans.append(inside)
    return replace(fold, spans=tuple(spans), rest=rest) if spans else fold


def recent_fold(
    panel: PanelTensors, *, until: dt.date, spec: NightlySpec, lookback: int, after: dt.date | None = None
) -> Fold:
    """Return the latest window whose labels have all ended by ``until``, that day included.

    From the end backwards, in union sessions that hold such origins: the test split is the ``comparison_sessions`` last
    ones, of origins later than ``after`` where that is given; validation the ``validation_sessions`` last ones whose
    labels end before the first test origin; training the ``train_sessions`` last ones whose labels end before the first
    validation origin. All origins have a label over every horizon: which ones have only the shorter ones depends on rows
    after ``until``, and a replayed night has to cut as the original did. Raises BadInput where a split would be empty.
    """
    ends = panel.ends(lookback)
    ends = ends[panel.date[ends] <= to_day(until)]
    ends = ends[torch.isfinite(panel.targets[ends]).all(dim=1)]
    date, label_end = panel.date[ends], panel.label_end[ends]
    before, splits = to_day(until) + 1, {}
    lengths = {
        "comparison": spec.comparison_sessions,
        "validation": spec.validation_sessions,
        "training": spec.train_sessions,
    }
    for name, length in lengths.items():
        candidates = label_end < before
        later = ""
        if name == "comparison" and after is not None:
            candidates &= date > to_day(after)
            later = f" after {after}"
        sessions = date[candidates].unique()  # (S,) ascending
        if not len(sessions):
            raise BadInput(
                f"recent window up to {until}: no {name} forecast origin{later} has {lookback} complete sessions behind it "
                f"and labels that end before {to_date(before)}; give more history, or shorten the windows "
                "(nightly.comparison_sessions, nightly.validation_sessions)"
            )
        chosen = candidates & (date >= sessions[-length:][0])
        splits[name] = ends[chosen]
        before = int(date[chosen].min())
    fold = Fold(year=until.year, train=splits["training"], validation=splits["validation"], test=splits["comparison"])
    check_purged(fold, date=panel.date, label_end=panel.label_end)
    return fold


def later_origins(fold: Fold, panel: PanelTensors, *, than: dt.date) -> Fold:
    """Return ``fold`` with those of its validation and test origins alone that are later than a day: for a model that may
    have seen all days up to it.
    """
    day = to_day(than)
    return replace(
        fold,
        validation=fold.validation[panel.date[fold.validation] > day],
        test=fold.test[panel.date[fold.test] > day],
    )


def rows_before(panel: PanelTensors, *, year: int) -> Tensor:
    """Return which rows are of sessions before ``year``, (N,) bool."""
    return panel.date < _bounds(year)[0]


def labels_end_before(panel: PanelTensors, *, year: int) -> Tensor:
    """Return the rows whose labels all end before ``year``, whether they are valid or not, (N,) bool.

    As many sessions of the row's own exchange as the longest horizon have to lie between the row and the year. Sessions are
    those on which a member was quoted before it, so that no later row changes the answer: where a session has none, a row
    may be left out that ends just in time, and none is kept that does not.
    """
    before = rows_before(panel, year=year)
    ended = torch.zeros_like(before)
    for exchange in range(len(panel.exchanges)):
        own = panel.exchange == exchange
        sessions = panel.date[own & before & panel.observed & panel.member].unique()  # (S,) ascending
        if len(sessions) >= HORIZONS[-1]:
            ended |= own & (panel.date < sessions[-HORIZONS[-1]])
    return ended


def origins_in(panel: PanelTensors, years: Sequence[int], *, lookback: int) -> Tensor:
    """Return the forecast origins in any of ``years``, (M,) int64, ascending."""
    ends = panel.ends(lookback)
    date = panel.date[ends]
    inside = torch.zeros(len(ends), dtype=torch.bool)
    for first, last in map(_bounds, years):
        inside |= (date >= first) & (date <= last)
    return ends[inside]


def _bounds(year: int) -> tuple[int, int]:
    """Return the first and the last day of ``year``."""
    return to_day(dt.date(year, 1, 1)), to_day(dt.date(year, 12, 31))


def check_purged(fold: Fold, *, date: Tensor, label_end: Tensor) -> None:
    """Raise AssertionError unless every label ends before the next split's first origin."""
    for name, (ends, begins) in borders(fold, date=date, label_end=label_end).items():
        if ends >= begins:
            raise AssertionError(
                f"fold {fold.year}: a {name} label ends on day {ends}, the next split begins on {begins}"
            )


def borders(fold: Fold, *, date: Tensor, label_end: Tensor) -> dict[str, tuple[int, int]]:
    """Return split -> (day its last label ends, day of the next split's first origin): training and validation; and for
    each span, the rows that networks are sampled from before it, and its own.
    """
    pairs = {"train": (fold.train, fold.validation), "validation": (fold.validation, fold.test)}
    for number, span in enumerate(fold.spans, start=1):
        others, begins = torch.cat([fold.sampled, *fold.spans[number:], fold.validation]), date[span].min()
        pairs[f"sampled_before_span_{number}"] = (fold.sampled[date[fold.sampled] < begins], span)
        pairs[f"span_{number}"] = (span, others[date[others] >= begins])
    return {
        name: (int(label_end[early].max()), int(date[late].min()))
        for name, (early, late) in pairs.items()
        if len(early)
    }
