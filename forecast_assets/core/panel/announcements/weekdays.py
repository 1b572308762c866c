"""The days of a panel as announcements are counted: weekdays in a row, so that 52 weeks are 260 and a quarter is 65."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, LOOK_AHEAD
from forecast_assets.core.panel.sessions import closes, planned_sessions, weekmask

Ints = NDArray[np.int64]

YEAR, QUARTER = 260, 65  # weekdays
HOLIDAYS = 8
"""Weekdays without a session that a horizon may hold; what lies beyond counts as its end."""
HALF = 32
"""Weekdays before and after a day that its announcement is looked for in: with the day itself a quarter."""
UNKNOWN = -1  # no weekday, no closing


def longest_ahead(horizon: int = HORIZONS[-1]) -> int:
    """Return the number of weekdays that a forecast looks ahead."""
    return max(horizon + HOLIDAYS, HALF)


def shortest_lag(horizon: int = HORIZONS[-1]) -> int:
    """Return the smallest number of weekdays after which an announcement may enter an expectation.

    A posterior reads ``HALF`` weekdays ahead, and an expectation reaches ``longest_ahead`` weekdays beyond its origin: only
    with this lag does none of it lie after the origin.
    """
    return longest_ahead(horizon) + HALF + 1


@dataclass(frozen=True)
class Days:
    """Days of a panel's exchanges.

    ``table`` has one row per exchange and date: ``closing``, a number for all exchanges of a region that closed at the
    same instant; ``weekday``, counted from the panel's first, UNKNOWN for one outside the exchange's week; ``ahead_<h>``,
    weekdays to the session of each horizon; ``counts``, whether the exchange has a week of five days, else no company
    reports there.
    """

    table: pl.DataFrame
    closings: int
    year: Ints  # (U,) calendar year of each weekday
    first: int  # number of the panel's first weekday, counted from 1970

    @property
    def count(self) -> int:
        """Number of weekdays U."""
        return len(self.year)

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the entries of ``rows`` (exchange, date), in their order."""
        keys = ["exchange", "date"]
        return rows.select(keys).join(self.table, on=keys, how="left", maintain_order="left")


def panel_days(days: pl.DataFrame, *, first: int | None = None) -> Days:
    """Return the days of a panel from its unique (exchange, region, date).

    ``first``: the number of the first weekday, where an earlier run counted from another one.
    """
    parts = [_of_exchange(str(e), part) for (e,), part in days.sort("exchange", "date").group_by("exchange")]
    table = pl.concat(parts).sort("exchange", "date")
    # A day without a closing time (a special session) is a closing of its own exchange.
    key = pl.when(pl.col("close").is_null()).then(pl.concat_str("exchange", "date")).otherwise(pl.col("region"))
    closing = table.select(pl.struct(key, "date", "close").rank("dense").cast(pl.Int64) - 1).to_series()
    known = table.filter(pl.col("weekday") != UNKNOWN)["weekday"]
    begin = (int(known.min()) if len(known) else 0) if first is None else first  # type: ignore[arg-type]
    count = int(known.max()) - begin + 1 if len(known) else 0  # type: ignore[arg-type]
    number = pl.when(pl.col("weekday") == UNKNOWN).then(UNKNOWN).otherwise(pl.col("weekday") - begin)
    table = table.with_columns(number.alias("weekday"), closing.alias("closing")).drop("close", "region")
    return Days(table, closings=int(closing.max() or 0) + 1, year=years(np.arange(begin, begin + count)), first=begin)  # type: ignore[arg-type]


def unique_days(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the unique (exchange, region, date) of all parts' quoted rows."""
    return pl.concat(part.select("exchange", "region", "date").unique() for part in parts).unique()


def number(days: Ints, *, shift: int = 0) -> Ints:
    """Return the number of each day (since 1970-01-01) among the weekdays, UNKNOWN outside the week.

    ``shift`` 1 is a week from Sunday to Thursday.

    >>> number(np.array([4, 5, 8, 9, 11]))  # Monday 1970-01-05, Tuesday, Friday, Saturday, Monday
    array([ 5,  6,  9, -1, 10])
    """
    since_monday = days + 3 + shift  # 1970-01-01 was a Thursday
    week, day = since_monday // 7, since_monday % 7
    return np.where(day < 5, 5 * week + day, UNKNOWN)


def years(numbers: Ints) -> Ints:
    """Return the calendar year of each weekday number."""
    return _days(numbers).astype("datetime64[Y]").astype(np.int64) + 1970


def date_of(number: int) -> dt.date:
    """Return the date of a weekday number.

    >>> date_of(5)
    datetime.date(1970, 1, 5)
    """
    found: dt.date = _days(np.array([number]))[0].item()
    return found


def _days(numbers: Ints) -> NDArray[np.datetime64]:
    return (numbers // 5 * 7 + numbers % 5 - 3).astype("datetime64[D]")


def week_of(exchange: str) -> int | None:
    """Return the shift of an exchange's week: 0 from Monday, 1 from Sunday to Thursday; None for one of other days."""
    return {"1111100": 0, "1111001": 1}.get(weekmask(exchange))


def _of_exchange(exchange: str, part: pl.DataFrame) -> pl.DataFrame:
    days = part["date"]
    calendar = planned_sessions(exchange, days[0], days[-1] + LOOK_AHEAD)
    here = calendar.search_sorted(days, side="right").cast(pl.Int64)  # the first session after each day
    shift = week_of(exchange)
    on_axis = number(_numbers(days), shift=shift or 0)
    ahead = {}
    for horizon in HORIZONS:
        there = number(_numbers(calendar.gather(here + (horizon - 1))), shift=shift or 0)
        weekdays = np.where((there == UNKNOWN) | (on_axis == UNKNOWN), horizon, there - on_axis)
        ahead[f"ahead_{horizon}"] = np.clip(weekdays, horizon, longest_ahead(HORIZONS[-1]))
    table = part.with_columns(
        weekday=pl.Series(on_axis), counts=pl.lit(shift is not None), **{n: pl.Series(a) for n, a in ahead.items()}
    )
    return table.join(closes(exchange, days[0], days[-1]), on="date", how="left", maintain_order="left")


def _numbers(days: pl.Series) -> Ints:
    return days.cast(pl.Int32).to_numpy().astype(np.int64)
