"""Infer the announcements of a panel that comes in parts, and continue it by new rows.

Passes over the parts: the market's returns; what is left of returns in each sector; large moves, and the evidence that
the parameters of all years are fitted to; then each ticker's own announcements, for which no other ticker is needed. A run
is cut at a day some weeks before its end, and the state at the cut is kept: the next run goes on from there, and its rows
come out the same to the last bit.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import polars as pl

from forecast_assets.core.panel.announcements.columns import NAMES, TAIL, Tail, feature_columns
from forecast_assets.core.panel.announcements.filtering import Evidence, Schedule, filter_days, fit_schedule
from forecast_assets.core.panel.announcements.observations import Grid, Observations, observe
from forecast_assets.core.panel.announcements.state import State
from forecast_assets.core.panel.announcements.sums import Floats
from forecast_assets.core.panel.announcements.surprises import (
    EVIDENCE,
    Market,
    Surprises,
    market_residuals,
    own_volume,
    surprises,
)
from forecast_assets.core.panel.announcements.weekdays import (
    HALF,
    UNKNOWN,
    Days,
    date_of,
    panel_days,
    unique_days,
    week_of,
)
from forecast_assets.core.panel.features import carry

FIT_TICKERS = 1_000  # that parameters are fitted to at most, the same ones for the same panel
CUT_DAYS = 32  # a cut lies on a multiple of this many weekdays
READ_BACK = 100  # calendar days before a cut that are read
EVENT = 0.2  # posterior from which a row is listed as an announcement

DIAGNOSTICS = ("announced", "expected", "log_likelihood", "return_size", "gap_size")
POSTERIOR = "posterior"
KEYS = ("date", "ticker")
COLUMNS = (*KEYS, *NAMES, *DIAGNOSTICS)
EVENTS = (*KEYS, POSTERIOR, "expected", "log_likelihood", "return_size", "gap_size", "unusual_volume_1")

Parts = Callable[[], Iterable[pl.DataFrame]]
"""The same parts of whole tickers of a calendar panel, in the order of tickers, each time it is called."""


@dataclass(frozen=True)
class Cut:
    """What is known at a weekday before the panel's end, to go on from."""

    weekday: int  # from the panel's first
    first: int  # number of the panel's first weekday
    schedule: Schedule
    state: State
    tail: pl.DataFrame  # ticker and ``TAIL``: the last quoted rows of each ticker before the weekday
    recent: pl.DataFrame  # ``COLUMNS`` of the rows of the ``HALF`` weekdays before it, and each ticker's last one

    @property
    def date(self) -> dt.date:
        """The day from which rows are computed again."""
        return date_of(self.first + self.weekday)

    @property
    def reads_from(self) -> dt.date:
        """The day from which rows are read: the last close before the cut, and the segment of each ticker."""
        return self.date - dt.timedelta(days=READ_BACK)


class Stretch(NamedTuple):
    """The rows of a part between two weekdays."""

    rows: Observations
    table: pl.DataFrame  # ``NAMES`` and ``DIAGNOSTICS``, one row per quoted row
    posterior: Floats  # (D, T) of the days ``HALF`` weekdays earlier
    tail: Tail


@dataclass
class Announcements:
    """The announcements of a panel, from its first row on, or from where an earlier run was cut.

    ``parts`` yields the table; afterwards there are ``events`` and ``cut``. ``calendar_panel`` has the rows from ``begins``'
    ``reads_from`` on.
    """

    calendar_panel: Parts
    begins: Cut | None = None
    _events: list[pl.DataFrame] = field(default_factory=list)
    _cuts: list[tuple[State, pl.DataFrame, pl.DataFrame]] = field(default_factory=list)

    @cached_property
    def days(self) -> Days:
        """The days of the panel's exchanges."""
        quoted = (part.filter(~pl.col("is_missing")) for part in self.calendar_panel())
        return panel_days(unique_days(quoted), first=self.begins.first if self.begins else None)

    @cached_property
    def sectors(self) -> tuple[str, ...]:
        """The panel's sectors, sorted."""
        found: set[str] = set()
        for part in self.calendar_panel():
            found |= set(part["sector"].unique().drop_nulls())
        return tuple(sorted(found))

    @property
    def begin(self) -> int:
        """The first weekday that is computed."""
        return self.begins.weekday if self.begins else 0

    @property
    def last_cut(self) -> int:
        """The weekday at which the state is kept."""
        return max(self.begin, (self.days.count - HALF - 2) // CUT_DAYS * CUT_DAYS)

    @cached_property
    def market(self) -> Market:
        """Means over all tickers, by closing."""
        market = Market.empty(closings=self.days.closings, sectors=len(self.sectors))
        for rows, _ in self._observations():
            market.add_returns(rows, own_volume(rows, self._grid(rows), self._state(rows)))
        for rows, _ in self._observations():
            market.add_residuals(rows, market_residuals(rows, self._grid(rows), self._state(rows), market))
        for rows, _ in self._observations():
            market.add_moves(rows, surprises(rows, self._grid(rows), self._state(rows), market))
        return market

    @cached_property
    def schedule(self) -> Schedule:
        """The parameters of each year, fitted on what came before, to at most ``FIT_TICKERS`` tickers listed by then."""
        if self.begins:
            return self.begins.schedule
        firsts: dict[str, float] = {}
        for rows, _ in self._observations():
            firsts |= dict(zip(rows.tickers, first_weekdays(rows, self._state(rows)["first"]).tolist(), strict=True))
        years = self.days.year
        chosen = {int(y): chosen_tickers(firsts, before=int(np.searchsorted(years, y))) for y in np.unique(years)}
        tickers, evidence, start = self._evidence(set().union(*chosen.values()))
        masks = {year: np.array([name in names for name in tickers], dtype=bool) for year, names in chosen.items()}
        return fit_schedule(evidence, start, years=years, chosen=masks) if tickers else {}

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield ``COLUMNS``, one row per row of the calendar panel from the cut on.

        A filled row has the values of the last quote before it.
        """
        for part, (rows, regions) in zip(self.calendar_panel(), self._observations(), strict=True):
            state, tail, stretches = self._state(rows), self._tail(rows), []
            late = rows.since(self.last_cut)
            for begin, end, chosen in ((self.begin, self.last_cut, ~late), (self.last_cut, self.days.count, late)):
                if begin == self.last_cut:
                    cut = State(rows.tickers, dict(state)), tail_table(tail, rows.tickers)
                stretches.append(self._stretch(rows.take(chosen), regions, state, tail, begin=begin, end=end))
                tail = stretches[-1].tail
            order = np.argsort(np.concatenate([np.flatnonzero(~late), np.flatnonzero(late)]))
            quoted = pl.concat(each.table for each in stretches)[order]
            keyed = self._keyed(part, rows, quoted)
            self._events.append(self._events_of(rows, keyed, stretches))
            self._cuts.append((*cut, self._recent(rows, keyed)))
            yield self._filled(part, rows, quoted)

    @property
    def events(self) -> pl.DataFrame:
        """The rows that were announcements, ``EVENTS`` by ticker and date: from ``HALF`` weekdays before the cut to as many
        before the end, since a posterior needs the weekdays after its row.
        """
        return pl.concat(self._events)

    @property
    def cut(self) -> Cut:
        """What the next run goes on from."""
        states, tails, recent = zip(*self._cuts, strict=True)
        return Cut(
            self.last_cut, self.days.first, self.schedule, State.joined(states), pl.concat(tails), pl.concat(recent)
        )

    def _observations(self) -> Iterator[tuple[Observations, list[str]]]:
        """Yield the quoted rows of each part that are computed, and the regions of its tickers."""
        for part in self.calendar_panel():
            rows = observe(part, days=self.days, sectors=self.sectors)
            quoted = part.filter(~pl.col("is_missing"))
            regions = quoted.group_by("ticker", maintain_order=True).agg(pl.last("region"))["region"].to_list()
            yield (continued(rows, self.begins) if self.begins else rows), regions

    def _grid(self, rows: Observations) -> Grid:
        return Grid.of(rows, begin=self.begin, end=self.days.count)

    def _state(self, rows: Observations) -> State:
        return self.begins.state.of(rows.tickers) if self.begins else State.initial(rows.tickers)

    def _tail(self, rows: Observations) -> Tail:
        return tail_of(self.begins.tail, rows.tickers) if self.begins else Tail.empty()

    def _evidence(self, tickers: set[str]) -> tuple[list[str], Evidence, Floats]:
        """Return the evidence of ``tickers`` from the panel's first day on, in the panel's order, and its start."""
        names: list[str] = []
        parts, starts = [Evidence.empty(self.days.count)], [np.zeros((self.days.count, 0))]
        for rows, regions in self._observations():
            grid, state = self._grid(rows), self._state(rows)
            found = surprises(rows, grid, state, self.market)
            chosen = np.array([k for k, name in enumerate(rows.tickers) if name in tickers], dtype=np.int64)
            names += [rows.tickers[k] for k in chosen]
            parts.append(evidence_of(rows, grid, found, regions, first_weekdays(rows, state["first"])).of(chosen))
            starts.append(grid.spread(found.start, empty=0.0)[:, chosen])
        return names, Evidence.joined(parts), np.concatenate(starts, axis=1)

    def _stretch(
        self, rows: Observations, regions: list[str], state: State, tail: Tail, *, begin: int, end: int
    ) -> Stretch:
        """Compute the ``rows`` from weekday ``begin`` up to ``end``; updates ``state``."""
        grid = Grid.of(rows, begin=begin, end=end)
        found = surprises(rows, grid, state, self.market)
        state["first"] = first_weekdays(rows, state["first"])
        evidence = evidence_of(rows, grid, found, regions, state["first"])
        filtered = filter_days(evidence, self.schedule, state, years=self.days.year[begin:end])
        table, tail = feature_columns(rows, grid, found, filtered, self.market, state, tail)
        shown = [grid.gather(getattr(filtered, name)) for name in ("announced", "expected", "log_likelihood")]
        diagnostics = dict(zip(DIAGNOSTICS, [*shown, found.size, found.gap_size], strict=True))
        table = table.with_columns(pl.Series(name, values) for name, values in diagnostics.items())
        return Stretch(rows, table.cast(pl.Float32).fill_nan(None), filtered.posterior, tail)

    def _is_computed(self, part: pl.DataFrame) -> pl.Series:
        """Return which rows of a calendar panel lie on or after the cut."""
        if self.begins is None:
            return pl.repeat(True, part.height, eager=True)
        since = {name: self.begins.date - dt.timedelta(days=week_of(name) or 0) for name in part["exchange"].unique()}
        return part["date"] >= part["exchange"].replace_strict(since, return_dtype=pl.Date)

    def _keyed(self, part: pl.DataFrame, rows: Observations, quoted: pl.DataFrame) -> pl.DataFrame:
        """Return the table of the quoted rows with their keys and weekdays."""
        keys = part.filter(self._is_computed(part) & ~part["is_missing"]).select(KEYS)
        return keys.hstack(quoted).with_columns(pl.Series("weekday", rows.weekday))

    def _filled(self, part: pl.DataFrame, rows: Observations, quoted: pl.DataFrame) -> pl.DataFrame:
        """Return the table of all rows of ``part`` from the cut on; ``quoted`` has those with a quote."""
        if self.begins is None:
            return part.select(KEYS).hstack(carry(part, quoted))
        body = part.filter(self._is_computed(part)).select(*KEYS, "is_missing")
        known = body.filter(~pl.col("is_missing")).select(KEYS).hstack(quoted)
        before = self.begins.recent.filter(pl.col("ticker").is_in(rows.tickers)).select(COLUMNS)
        table = body.join(known, on=list(KEYS), how="left", maintain_order="left").select(
            *COLUMNS, "is_missing", new=True
        )
        joined = pl.concat([before.with_columns(is_missing=False, new=False), table]).sort("ticker", "date")
        values = carry(joined, joined.filter(~pl.col("is_missing")).select(NAMES + DIAGNOSTICS))
        return joined.select(*KEYS, "new").hstack(values).filter("new").drop("new")

    def _events_of(self, rows: Observations, table: pl.DataFrame, stretches: list[Stretch]) -> pl.DataFrame:
        """Return the events among the rows, and among the last ones before an earlier cut."""
        posterior = np.concatenate([each.posterior for each in stretches])  # (D, T) from HALF weekdays before on
        candidates = table
        if self.begins:
            before = self.begins.recent.filter(pl.col("ticker").is_in(rows.tickers))
            candidates = pl.concat([before, table.select(before.columns)])
        place = {name: k for k, name in enumerate(rows.tickers)}
        ticker = candidates["ticker"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
        day = candidates["weekday"].to_numpy() - (self.begin - HALF)
        inside = (day >= 0) & (day < len(posterior)) & (candidates["weekday"].to_numpy() != UNKNOWN)
        values = np.where(inside, posterior[np.where(inside, day, 0), ticker], 0.0)
        found = candidates.with_columns(pl.Series(POSTERIOR, values, dtype=pl.Float32))
        return found.filter(pl.col(POSTERIOR) > EVENT).select(EVENTS).sort("ticker", "date")

    def _recent(self, rows: Observations, table: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that a run from the last cut on reads of this one."""
        early = table.filter(pl.Series(~rows.since(self.last_cut)))
        if self.begins:
            early = pl.concat([self.begins.recent.filter(pl.col("ticker").is_in(rows.tickers)), early])
        early = early.sort("ticker", "date")
        is_last = pl.col("ticker") != pl.col("ticker").shift(-1)
        return early.filter((pl.col("weekday") >= self.last_cut - HALF) | is_last.fill_null(True))


def continued(rows: Observations, cut: Cut) -> Observations:
    """Return the rows from ``cut`` on, their positions counted on from the rows before it."""
    late = rows.since(cut.weekday)
    segment = np.cumsum(np.diff(rows.ticker, prepend=-1).astype(bool) | (rows.position == 0))
    last = dict(cut.tail.group_by("ticker").agg(pl.last("position")).iter_rows())
    position = rows.position.copy()
    ends = np.flatnonzero(~late & np.append((rows.ticker[1:] != rows.ticker[:-1]) | late[1:], True))
    for row in ends:  # the last row of a ticker before the cut: the one that the tail ends with
        at = segment == segment[row]
        position[at] += int(last[rows.tickers[rows.ticker[row]]]) - rows.position[row]
    return replace(rows, position=position).take(late)


def first_weekdays(rows: Observations, before: Floats) -> Floats:
    """Return the weekday of each ticker's first row."""
    found = before.copy()
    on = rows.weekday != UNKNOWN
    np.minimum.at(found, rows.ticker[on], rows.weekday[on].astype(float))
    return found


def evidence_of(rows: Observations, grid: Grid, found: Surprises, regions: list[str], first: Floats) -> Evidence:
    """Return the evidence of ``rows`` on the grid."""
    values = np.stack([grid.spread(found.evidence[:, k], empty=0.0) for k in range(EVIDENCE)], axis=-1)
    ahead = np.stack([grid.spread(rows.ahead[:, k], empty=1.0) for k in range(rows.ahead.shape[1])], axis=-1)
    return Evidence(
        begin=grid.begin,
        values=values,
        known=grid.spread(found.known, empty=0.0) > 0,
        quoted=grid.spread(np.ones(len(rows)), empty=0.0) > 0,
        first=first,
        ahead=ahead.astype(np.int64),
        regions=regions,
    )


def chosen_tickers(firsts: Mapping[str, float], *, before: int) -> set[str]:
    """Return the tickers with a row before weekday ``before``, at most ``FIT_TICKERS``: those whose digests come first."""
    listed = [name for name, first in firsts.items() if first < before]
    return set(sorted(listed, key=lambda name: sha256(name.encode()).digest())[:FIT_TICKERS])


def joined_events(earlier: pl.DataFrame, later: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """Return the events of a run that ended at ``cut`` and of the one that went on from it."""
    begin = date_of(cut.first + cut.weekday - HALF)
    kept = earlier.filter(pl.col("date") < begin).join(later, on=list(KEYS), how="anti")
    return pl.concat([kept, later]).sort("ticker", "date")


def tail_table(tail: Tail, tickers: tuple[str, ...]) -> pl.DataFrame:
    """Return a tail as a table."""
    names = pl.Series("ticker", [tickers[k] for k in tail.ticker], dtype=pl.String)
    return pl.DataFrame([names, *(pl.Series(name, tail.values[name], dtype=pl.Float64) for name in TAIL)])


def tail_of(table: pl.DataFrame, tickers: tuple[str, ...]) -> Tail:
    """Return the tail of ``tickers`` from a table of ``tail_table``."""
    place = {name: k for k, name in enumerate(tickers)}
    own = table.filter(pl.col("ticker").is_in(tickers))
    ticker = own["ticker"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    return Tail(ticker, {name: own[name].to_numpy() for name in TAIL})
