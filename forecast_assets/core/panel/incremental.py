"""Update a feature panel after new input rows: only what they changed is computed again.

Per ticker, the rows before the first changed one keep their features, which look back only. From there on features are
computed anew, beginning so far back that every window is full and every recursion has forgotten its start: statistics
over windows come out the same to the last bit (see ``blocks``), recursions to rounding. Labels look ahead, so those of the
rows just before the first change are made again. Ranks are made again on every date on which a ticker of the exchange
changed. A day is a session of its exchange once any of its tickers is quoted, so labels are also made again around
the days on which that changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import LOOK_AHEAD
from forecast_assets.core.panel.blocks import BLOCK
from forecast_assets.core.panel.build import Parts, columns, feature_parts
from forecast_assets.core.panel.contracts import CalendarPanel, FeaturePanel, validate
from forecast_assets.core.panel.cross_sections import CrossSections
from forecast_assets.core.panel.features import (
    add_own_features,
    carry,
    cross_names,
    longest_window,
    memory,
    number_rows,
    observed_rows,
    own_names,
)
from forecast_assets.core.panel.known_future import add_known_future
from forecast_assets.core.panel.targets import add_targets
from forecast_assets.core.specs import FeatureSpec

LABEL_ROWS = LOOK_AHEAD.days
"""Rows before a change whose labels are made again: a calendar, even a union, has at most one row a day."""
LARGEST_SHARE = 0.2  # share of changed rows above which everything is computed anew

Rows = NDArray[np.int64]


KEY = ["exchange", "date"]


@dataclass(frozen=True)
class Stored:
    """Earlier calendar rows of some tickers, and the feature rows made from them, row by row."""

    calendar: pl.DataFrame
    features: pl.DataFrame


@dataclass(frozen=True)
class Span:
    """The tickers after ``after`` up to ``until``, in their order; None is no bound."""

    after: str | None
    until: str | None

    def rows(self) -> pl.Expr:
        """Return whether a row's ticker is one of them."""
        begins = pl.lit(True) if self.after is None else pl.col("ticker") > self.after
        return begins if self.until is None else begins & (pl.col("ticker") <= self.until)


@dataclass(frozen=True)
class _Plan:
    """What to keep and what to compute of a part; arrays have one entry per row of the part."""

    part: pl.DataFrame
    stored: Stored
    keeps: NDArray[np.bool_]  # the row and all rows of its ticker before it are unchanged
    old: Rows  # its row in ``stored``, if it is kept
    touched: pl.DataFrame  # (exchange, date) on which a row was added, removed or changed


@dataclass(frozen=True)
class _Days:
    """(exchange, date) pairs of the whole panel, each once."""

    touched: pl.DataFrame  # a row was added, removed or changed
    quoted: pl.DataFrame  # some ticker is quoted
    moved: pl.DataFrame  # some ticker is quoted and none was before, or the other way round


def extend_parts(
    calendar_panel: Parts, *, features: FeatureSpec, stored: Callable[[Span], Stored]
) -> Iterator[pl.DataFrame]:
    """Yield what ``feature_parts`` yields; ``stored`` returns the earlier rows of a span of tickers, empty where none are.

    Spans reach from one part's last ticker to the next one's, so that a ticker that was removed is found too.
    """
    changed = rows = 0
    touched, quoted, was_quoted, spans = [], [], [], []
    after = None
    for part in calendar_panel():
        spans.append(Span(after, until=part["ticker"][-1]))
        plan = _plan(validate(part, CalendarPanel, "calendar_panel"), stored(spans[-1]))
        changed, rows = changed + int((~plan.keeps).sum()), rows + part.height
        touched.append(plan.touched)
        quoted.append(_quoted(part))
        was_quoted.append(_quoted(plan.stored.calendar))
        after = spans[-1].until
    if changed > LARGEST_SHARE * rows:
        yield from feature_parts(calendar_panel, features=features)
        return
    gone = stored(Span(after, until=None)).calendar
    days = _days([*touched, gone.select(KEY)], quoted, [*was_quoted, _quoted(gone)])
    others, owns = CrossSections(features), []
    for part, span in zip(calendar_panel(), spans, strict=True):
        plan = _plan(part, stored(span))
        own = _own_features(plan, features)
        owns.append(own.filter(pl.Series(~plan.keeps[~part["is_missing"].to_numpy()])))
        seen = _is_touched(part, days.touched)
        others.add_values(part.filter(seen).hstack(own.filter(seen.filter(~part["is_missing"]))))
    others.close()
    for part, span, own in zip(calendar_panel(), spans, owns, strict=True):
        panel = _extended(_plan(part, stored(span)), own, others, days, features)
        yield validate(panel.select(columns(features)), FeaturePanel, "feature_panel")


def _plan(part: pl.DataFrame, stored: Stored) -> _Plan:
    new, was = _starts(part["ticker"]), _starts(stored.calendar["ticker"])
    ticker = np.searchsorted(new, np.arange(part.height), side="right") - 1
    within = np.arange(part.height) - new[ticker]
    places = {code: k for k, code in enumerate(stored.calendar["ticker"].gather(was).to_list())}
    place = np.array([places.get(code, -1) for code in part["ticker"].gather(new).to_list()], dtype=np.int64)[ticker]
    lengths = np.diff(np.append(was, stored.calendar.height))
    there = (place >= 0) & (within < np.append(lengths, 0)[place])
    old = np.where(there, np.append(was, 0)[place] + within, 0)
    same = there.copy()
    if stored.calendar.height:
        before = stored.calendar.select(part.columns)[old]
        equal = [part[name].eq_missing(before[name]).to_numpy() for name in part.columns]
        same &= np.logical_and.reduce(equal)
    first = np.full(len(new), part.height)
    np.minimum.at(first, ticker[~same], np.flatnonzero(~same))
    keeps = np.arange(part.height) < first[ticker]
    # Rows of the old table that are not kept: they were removed, or replaced.
    kept_old = np.zeros(stored.calendar.height, dtype=bool)
    kept_old[old[keeps]] = True
    touched = pl.concat([part.filter(~keeps).select(KEY), stored.calendar.filter(~kept_old).select(KEY)]).unique()
    return _Plan(part, stored, keeps, old, touched)


def _starts(tickers: pl.Series) -> Rows:
    return np.flatnonzero((tickers != tickers.shift(1)).fill_null(True).to_numpy())


def _quoted(calendar_panel: pl.DataFrame) -> pl.DataFrame:
    return calendar_panel.filter(~pl.col("is_missing")).select(KEY).unique()


def _days(touched: list[pl.DataFrame], quoted: list[pl.DataFrame], was_quoted: list[pl.DataFrame]) -> _Days:
    new, old = pl.concat(quoted).unique(), pl.concat(was_quoted).unique()
    moved = pl.concat([new.join(old, on=KEY, how="anti"), old.join(new, on=KEY, how="anti")])
    return _Days(pl.concat(touched).unique(), new, moved)


def _is_on(part: pl.DataFrame, days: pl.DataFrame) -> pl.Series:
    """Mark the rows on one of ``days``."""
    marked = part.select(KEY).join(days.with_columns(on=pl.lit(True)), on=KEY, how="left", maintain_order="left")
    return marked["on"].fill_null(False)


def _is_touched(part: pl.DataFrame, days: pl.DataFrame) -> pl.Series:
    """Mark the quoted rows on one of ``days``."""
    return _is_on(part, days) & ~part["is_missing"]


def _own_features(plan: _Plan, spec: FeatureSpec) -> pl.DataFrame:
    """Return the own features of all quoted rows of the part: kept ones as stored, the others computed."""
    quote = ~plan.part["is_missing"].to_numpy()
    numbered = observed_rows(plan.part)
    keeps, names = plan.keeps[quote], own_names(spec)
    before, pick = plan.stored.features.select(names), plan.old[quote]
    if keeps.all():
        return before[pick]
    begin = _begins(numbered, keeps, spec)
    tail = number_rows(numbered.filter(pl.Series(begin)).drop("segment_id", "row"))
    fresh = add_own_features(tail, spec=spec).select(names).filter(pl.Series(~keeps[begin]))
    pick[~keeps] = before.height + np.arange(fresh.height)
    return pl.concat([before, fresh])[pick]


def _begins(numbered: pl.DataFrame, keeps: NDArray[np.bool_], spec: FeatureSpec) -> NDArray[np.bool_]:
    """Mark the quoted rows that are needed to compute those that are not kept."""
    segment, position = numbered["segment_id"].to_numpy(), numbered["position"].to_numpy()
    first = np.full(int(segment.max()) + 1, np.iinfo(np.int64).max)  # position from which a segment is not kept
    np.minimum.at(first, segment[~keeps], position[~keeps])
    border = (np.maximum(first - memory(spec), 0) // BLOCK) * BLOCK - longest_window(spec)
    wanted: NDArray[np.bool_] = (first < np.iinfo(np.int64).max)[segment] & (position >= border[segment])
    return wanted


def _extended(plan: _Plan, own: pl.DataFrame, others: CrossSections, days: _Days, spec: FeatureSpec) -> pl.DataFrame:
    """Return the part's feature rows; ``own``: own features of its quoted rows that are not kept."""
    part = plan.part
    quote = ~part["is_missing"].to_numpy()
    again = _labelled_again(part["ticker"], quote, plan.keeps & ~_is_on(part, days.moved).to_numpy())
    place = np.flatnonzero(quote)
    keeps = plan.keeps[quote]
    names = [*own_names(spec), *cross_names(spec)]
    fresh = own.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in cross_names(spec)).select(names)
    pick = plan.old[quote]
    pick[~keeps] = plan.stored.features.height + np.arange(fresh.height)
    features = pl.concat([plan.stored.features.select(names), fresh])[pick]
    seen = _is_touched(part, days.touched).to_numpy()[place]
    found = others.take(int(seen.sum()))
    features = features.with_columns(
        features[name].scatter(np.flatnonzero(seen), found[name]) for name in found.columns
    )
    carried = carry(part, features)
    labelled = part.filter(pl.Series(again)).hstack(carried.filter(pl.Series(again)))
    labelled = add_targets(add_known_future(labelled), quoted=days.quoted)
    order = columns(spec)
    old = plan.stored.features.select(order)[plan.old[~again]].with_columns(
        carried.filter(pl.Series(~again)).select(cross_names(spec))
    )
    pick = np.empty(part.height, dtype=np.int64)
    pick[~again], pick[again] = np.arange(old.height), old.height + np.arange(labelled.height)
    return pl.concat([old, labelled.select(order)])[pick]


def _labelled_again(tickers: pl.Series, quote: NDArray[np.bool_], stays: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the rows of a ticker from ``LABEL_ROWS`` before its first that does not stay; without one, from its end, since
    rows removed there were labels of these.
    """
    rows = np.arange(len(stays))
    starts = _starts(tickers)
    ticker = np.searchsorted(starts, rows, side="right") - 1
    first = np.append(starts[1:], len(stays))
    np.minimum.at(first, ticker[~stays], rows[~stays])
    begin = np.maximum(first - LABEL_ROWS, starts)
    # A filled row shows its last quote's features: begin on a quote. A ticker's first row is one.
    last_quote = np.maximum.accumulate(np.where(quote, rows, 0))
    again: NDArray[np.bool_] = rows >= last_quote[np.minimum(begin, len(stays) - 1)][ticker]
    return again
