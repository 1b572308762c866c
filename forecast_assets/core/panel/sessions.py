"""Sessions of each exchange and their closing times, from exchange_calendars."""

import datetime as dt
from functools import cache

import numpy as np
import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import LOOK_AHEAD


def sessions(exchange: str, start: dt.date, end: dt.date) -> pl.Series:
    """Return the sessions of ``exchange`` (a MIC) in [start, end], ascending, as a Date series.

    Raises BadInput for an exchange without a calendar and for a range that its calendar does not cover.
    """
    first, last = calendar_bounds(exchange)
    if start < first or end > last:
        raise BadInput(
            f"{exchange}: its calendar covers {first} to {last}, but {start} to {end} is needed; "
            "install a newer exchange_calendars or leave those rows out"
        )
    return _schedule(exchange, start, end)["date"]


def closes(exchange: str, start: dt.date, end: dt.date) -> pl.DataFrame:
    """Return (date, close) of each session of ``exchange`` in [start, end], in UTC; half days close early.

    Raises as ``sessions``.
    """
    sessions(exchange, start, end)
    return _schedule(exchange, start, end)


@cache
def time_zone(exchange: str) -> str:
    """Return the IANA name of the time zone of ``exchange``. Raises BadInput for an unknown exchange."""
    import exchange_calendars

    calendar_bounds(exchange)
    return str(exchange_calendars.get_calendar(exchange, start="2024-01-02", end="2024-01-09").tz)


def _schedule(exchange: str, start: dt.date, end: dt.date) -> pl.DataFrame:
    # Whole years, with room for the longest horizon, so that ingest, reindex and the known-future columns share them.
    to_year = min((end + LOOK_AHEAD).year, calendar_bounds(exchange)[1].year)
    days = _sessions_of_years(exchange, start.year, to_year)
    return days.filter(pl.col("date").is_between(start, end))


@cache
def calendar_bounds(exchange: str) -> tuple[dt.date, dt.date]:
    """Return the first and last day that the calendar of ``exchange`` covers. Raises BadInput for an unknown exchange."""
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        # The bounds belong to the calendar's class; a week of sessions is the cheapest way to it.
        calendar = exchange_calendars.get_calendar(exchange, start="2024-01-02", end="2024-01-09")
    except InvalidCalendarName as error:
        raise BadInput(f"{exchange}: no trading calendar of that name; correct panel.exchanges") from error
    lower, upper = calendar.bound_min(), calendar.bound_max()
    return (
        lower.date() if lower is not None else dt.date(1950, 1, 1),
        upper.date() if upper is not None else dt.date(2100, 12, 31),
    )


@cache
def _sessions_of_years(exchange: str, from_year: int, to_year: int) -> pl.DataFrame:
    import exchange_calendars

    first, last = calendar_bounds(exchange)
    # `start` must be given: its default reaches back 20 years only.
    start, end = max(dt.date(from_year, 1, 1), first), min(dt.date(to_year, 12, 31), last)
    calendar = exchange_calendars.get_calendar(exchange, start=start.isoformat(), end=end.isoformat())
    days = calendar.sessions.to_numpy().astype("datetime64[D]").astype(np.int32)
    close = calendar.closes.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return pl.DataFrame({"date": pl.Series(days, dtype=pl.Int32).cast(pl.Date), "close": close})
