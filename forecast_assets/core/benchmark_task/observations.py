"""A panel's returns as series with a regular index, in sessions of each ticker's own exchange.

fev cuts every series at one timestamp and asks for a constant step between timestamps, but exchanges are closed on different
days. So the index is a count that looks like dates: an observation is the log return over h sessions in a row, and its
timestamp is a Friday or weekday that only says which observation it is. ``session`` holds the true day on which it ended.

Around the cutoffs c(0) ... c(K-1), with B places between two of them:

- place 1 after c(k): the h sessions right after c(k), whose return is the label of window k;
- places up to B: observations back to back that end with the last session by c(k+1), so that the newest past is always in;
- between them, where an exchange had fewer sessions than another, places without an observation (null).

Before c(0) observations are back to back and end with the last session by c(0). Sessions that fill no observation of h
sessions between two cutoffs are in none.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.benchmark_task.cutoffs import Days, closed_by
from forecast_assets.core.panel.known_future import add_known_future

TARGET = "target"
KNOWN = ("day_of_week", "month", "quarter_end")
PAST = ("volatility_20", "volume_z_20")
STATIC = ("exchange", "region", "sector")
UNKNOWN_SECTOR = "unknown"
FRIDAY = 4
DATES = {"date": pl.Date, "session": pl.Date}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Observations:
    """The series of one horizon.

    ``rows``: a row per ticker and place, by both: ticker, timestamp, session, ``TARGET``, ``KNOWN``, ``PAST``, ``STATIC``.
    ``places``: B, from one cutoff to the next; ``step``: pandas' name of the time between two timestamps; ``cutoff``: the
    timestamp of the first cutoff.
    """

    horizon: int
    rows: pl.DataFrame
    places: int
    step: str
    weeks: int  # of a step; 0: a weekday
    cutoff: dt.date

    @property
    def window_step(self) -> str:
        """Pandas' name of the time between two cutoffs."""
        return f"{self.places * self.weeks}W-FRI" if self.weeks else f"{self.places}B"


@dataclass(frozen=True)
class Dealt:
    """Sessions of one exchange in their places."""

    place: Ints  # (P,) ascending and without a gap; the cutoff c(k) lies right after place k B
    origin: Ints  # (P,) number of the session before the observation, -1 where the place has none


def deal(closed: Ints, *, horizon: int, places: int) -> Dealt:
    """Return the places of an exchange's sessions up to the label of the last window.

    ``closed`` (K,): how many sessions have closed by each cutoff; ``places``: at least ``sessions // horizon`` of any two
    neighbouring cutoffs.

    >>> deal(np.array([5, 10]), horizon=2, places=3)
    Dealt(place=array([-1,  0,  1,  2,  3,  4]), origin=array([ 0,  2,  4, -1,  7,  9]))
    """
    before = np.arange(closed[0] - 1 - horizon, -1, -horizon)[::-1]
    blocks = [before]
    for begin, end in pairwise(closed):
        block = np.full(places, -1, dtype=np.int64)
        full = (end - begin) // horizon
        block[0] = begin - 1
        block[places - (full - 1) :] = end - 1 - horizon * np.arange(full - 1, 0, -1)
        blocks.append(block)
    blocks.append(np.array([closed[-1] - 1]))
    origin = np.concatenate(blocks)
    return Dealt(place=np.arange(len(origin)) - len(before) + 1, origin=origin)


def observations(panel: pl.DataFrame, own: Mapping[str, Days], cutoffs: Days, *, horizon: int) -> Observations:
    """Return the series of ``horizon``.

    ``panel``: date, ticker, exchange, region, sector, is_member, ``PAST`` and target_{h}d, as in the feature panel; ``own``:
    sessions by exchange. A ticker's series begins with its first return and ends with the label of the last window at whose
    cutoff it was in the panel. The target is null where the label is: its first or last session had no quote; and where
    the ticker was in no universe at its beginning.
    """
    closed = {exchange: np.array([closed_by(days, c) for c in cutoffs]) for exchange, days in own.items()}
    places = max(int((np.diff(done) // horizon).max(initial=1)) for done in closed.values())
    dealt = [_places_of(exchange, own[exchange], done, horizon, places) for exchange, done in closed.items()]
    grid = _with_known(pl.concat(dealt), horizon=horizon)
    weeks = 0 if horizon == 1 else max(1, round(horizon / 5))
    first: dt.date = cutoffs[0].astype(object)
    cutoff, last = friday(first), places * (len(cutoffs) - 1) + 1
    rows = _series(panel, grid, horizon=horizon, cutoff=first, last=last, places=places)
    offset = pl.col("place")
    timestamp = pl.lit(cutoff) + pl.duration(weeks=weeks * offset)
    if not weeks:
        timestamp = pl.lit(cutoff).dt.add_business_days(offset)
    rows = rows.with_columns(timestamp=timestamp.cast(pl.Datetime("us")))
    columns = ["ticker", "timestamp", "session", TARGET, *KNOWN, *PAST, *STATIC]
    step = f"{weeks}W-FRI" if weeks else "B"
    return Observations(horizon, rows.select(columns), places, step, weeks, cutoff)


def friday(day: dt.date) -> dt.date:
    """Return the Friday on or before ``day``."""
    return day - dt.timedelta(days=(day.weekday() - FRIDAY) % 7)


def _places_of(exchange: str, days: Days, closed: Ints, horizon: int, places: int) -> pl.DataFrame:
    """Return (exchange, place, date, session): the day before each observation and the day on which it ends."""
    dealt = deal(closed, horizon=horizon, places=places)
    filled = dealt.origin >= 0
    origin = np.where(filled, dealt.origin, 0)
    dates = pl.DataFrame({"date": days[origin], "session": days[origin + horizon]}, schema_overrides=DATES)
    table = dates.with_columns(exchange=pl.lit(exchange), place=pl.Series(dealt.place), filled=pl.Series(filled))
    empty = pl.when("filled")
    return table.select("exchange", "place", empty.then("date").alias("date"), empty.then("session").alias("session"))


def _with_known(grid: pl.DataFrame, *, horizon: int) -> pl.DataFrame:
    """Return ``grid`` plus ``KNOWN`` of the planned day on which an observation ends; a place without one takes the last."""
    known = add_known_future(grid.filter(pl.col("date").is_not_null()).select("exchange", "date").unique())
    names = {f"{name}_{horizon}d": name for name in KNOWN}
    table = grid.join(known.select("exchange", "date", *names), on=["exchange", "date"], how="left")
    filled = table.rename(names).sort("exchange", "place").with_columns(pl.col(KNOWN).forward_fill().over("exchange"))
    return filled.with_columns(pl.col(KNOWN).cast(pl.Float64))


def _static(panel: pl.DataFrame, *, by: dt.date) -> pl.DataFrame:
    """Return (ticker, ``STATIC``): as known on the day ``by``, of a ticker that was listed later at its first row."""
    named = pl.col("sector").is_not_null()
    by_then = pl.col("sector").filter(named & (pl.col("date") <= by)).last()
    known = pl.coalesce(by_then, pl.col("sector").filter(named).first(), pl.lit(UNKNOWN_SECTOR))
    return panel.sort("date").group_by("ticker").agg(pl.first("exchange", "region"), sector=known)


def _series(
    panel: pl.DataFrame, grid: pl.DataFrame, *, horizon: int, cutoff: dt.date, last: int, places: int
) -> pl.DataFrame:
    """Return a row per ticker and place of its series, with targets and covariates."""
    ends = panel.select("ticker", *PAST, session="date")
    target = pl.when("is_member").then(f"target_{horizon}d").alias(TARGET)
    starts = panel.select("ticker", "date", target, here=pl.lit(True))
    static = _static(panel, by=cutoff)
    table = static.join(grid, on="exchange").join(starts, on=["ticker", "date"], how="left")
    table = table.join(ends, on=["ticker", "session"], how="left").sort("ticker", "place")
    # A window's label belongs to the series of a ticker that was there at its cutoff, even where it has no outcome.
    is_label = (pl.col("place") - 1) % places == 0
    seen = pl.col(TARGET).is_not_null() | (pl.col("here").fill_null(False) & is_label & pl.col("place").ge(1))
    begins = pl.col("place").filter(pl.col(TARGET).is_not_null()).min().over("ticker")
    ends_with = pl.col("place").filter(seen).max().over("ticker")
    return table.filter(pl.col("place").is_between(begins, ends_with) & (pl.col("place") <= last))


def label_origins(own: Mapping[str, Days], cutoffs: Days) -> pl.DataFrame:
    """Return (window, cutoff, exchange, date): the last session of each exchange by each cutoff, from which labels count."""
    rows = [
        (k, cutoff.astype(object), exchange, days[closed - 1].astype(object))
        for k, cutoff in enumerate(cutoffs)
        for exchange, days in own.items()
        if (closed := closed_by(days, cutoff))
    ]
    types = {"window": pl.Int64, "cutoff": pl.Date, "exchange": pl.String, "date": pl.Date}
    return pl.DataFrame(rows, schema=types, orient="row")
