"""Sessions of each exchange and their closing times, from exchange_calendars; projected where a calendar has ended."""

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import LOOK_AHEAD
from forecast_assets.core.panel.closures import unforeseen

SATURDAYS_END = {"XNYS": dt.date(1952, 9, 27)}
"""Until then Saturdays were sessions but in summer; the calendars do not list them, and many histories leave them out."""
RECURS_YEARS = 10  # years of a calendar's end that show which holidays recur
CLOCKS = {"XHAM": "Europe/Berlin", "XDUS": "Europe/Berlin"}  # the calendars say Brussels
_built: dict[str, pl.DataFrame] = {}  # the longest table of each exchange so far: a calendar is slow to make


def sessions(exchange: str, start: dt.date, end: dt.date) -> pl.Series:
    """Return the sessions of ``exchange`` (a MIC) in [start, end], ascending, as a Date series.

    There are none before its calendar begins; after it has ended they are projected: its weekdays without the holidays
    that recur. Raises BadInput for an exchange without a calendar.
    """
    return closes(exchange, start, end)["date"]


def closes(exchange: str, start: dt.date, end: dt.date) -> pl.DataFrame:
    """Return (date, close) of each session of ``exchange`` in [start, end], in UTC; half days close early.

    Projected sessions close at the usual time. Raises as ``sessions``.
    """
    table = _table(exchange, start, end)
    return table.filter(pl.col("date").is_between(start, end))


def next_opens(exchange: str, days: pl.Series) -> pl.DataFrame:
    """Return (date, next_open) of ``days`` (Date): when the exchange opens on its first session after each, in UTC.

    At its usual time: a session that opens late counts as one that doesn't. Raises as ``sessions``.
    """
    unique = days.unique().sort()
    if unique.is_empty():
        return pl.DataFrame(schema={"date": pl.Date, "next_open": pl.Datetime("us")})
    begin, end = unique[0], unique[-1]
    after = sessions(exchange, begin, end + LOOK_AHEAD).to_numpy()
    following = after[np.searchsorted(after, unique.to_numpy(), side="right")]
    calendar = _calendar(exchange)
    opens = _usual_times(exchange, following, at=calendar.open_times[-1][1], offset=calendar.open_offset)
    return pl.DataFrame({"date": unique, "next_open": opens})


def planned_sessions(exchange: str, start: dt.date, end: dt.date) -> pl.Series:
    """Return what a month ahead was planned as the sessions of ``exchange`` in [start, end]: unforeseen closures too."""
    days = sessions(exchange, start, end)
    closed = [day for day in _unforeseen_closures(exchange) if start <= day <= end]
    return pl.concat([days, pl.Series("date", closed, dtype=pl.Date)]).unique().sort() if closed else days


def closed_days(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the (exchange, date) pairs of ``frame`` on which the exchange's calendar has no session, each once."""
    days = frame.select("exchange", "date").unique()
    found = []
    for (exchange,), part in days.group_by("exchange"):
        first, last = part["date"].min(), part["date"].max()
        assert isinstance(first, dt.date)
        assert isinstance(last, dt.date)
        is_open = part["date"].is_in(sessions(str(exchange), first, last).implode())
        until = SATURDAYS_END.get(str(exchange), dt.date.min)
        found.append(part.filter(~is_open & ~((pl.col("date") <= until) & (pl.col("date").dt.weekday() == 6))))
    return pl.concat(found) if found else days.clear()


@cache
def calendar_bounds(exchange: str) -> tuple[dt.date, dt.date]:
    """Return the first and last day that the calendar of ``exchange`` covers. Raises BadInput for an unknown exchange."""
    calendar = _calendar(exchange)
    lower, upper = calendar.bound_min(), calendar.bound_max()
    return (
        lower.date() if lower is not None else dt.date(1950, 1, 1),
        upper.date() if upper is not None else dt.date(2100, 12, 31),
    )


def ending_calendars(exchanges: Iterable[str], *, by: dt.date) -> dict[str, dt.date]:
    """Return exchange -> last day of its calendar, of those whose calendar ends before ``by``, sorted by both."""
    ends = {exchange: calendar_bounds(exchange)[1] for exchange in exchanges}
    return dict(sorted(((mic, end) for mic, end in ends.items() if end < by), key=lambda each: (each[1], each[0])))


def ending_sentence(ending: Mapping[str, dt.date]) -> str:
    """Return which calendars end when, what happens then and what to type."""
    named = ", ".join(f"{exchange} (on {end})" for exchange, end in ending.items())
    return (
        f"the trading calendar of {named} ends: sessions after that are projected from weekdays and yearly holidays, and "
        "nights wait in vain for those on lunar ones; a newer release knows them: pip install --upgrade exchange_calendars, "
        "then read the panel again"
    )


def time_zone(exchange: str) -> str:
    """Return the exchange's time zone, such as Asia/Tokyo. Raises BadInput for an unknown exchange."""
    return CLOCKS.get(exchange, str(_calendar(exchange).tz))


def day_begun(exchange: str, moment: dt.datetime) -> dt.date:
    """Return the last day whose session can have begun at ``moment`` on the exchange's clock: some begin the evening before.

    Raises BadInput for an unknown exchange.
    """
    local = moment.astimezone(ZoneInfo(time_zone(exchange))).date()
    return local - dt.timedelta(days=int(_calendar(exchange).open_offset))


def weekmask(exchange: str) -> str:
    """Return which days of the week the exchange trades on, such as 1111100. Raises BadInput for an unknown exchange."""
    return str(_calendar(exchange).weekmask)


@cache
def _calendar(exchange: str) -> Any:
    """Return a week of the exchange's calendar: the cheapest way to what belongs to its class."""
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        return exchange_calendars.get_calendar(exchange, start="2024-01-02", end="2024-01-09")
    except InvalidCalendarName as error:
        raise BadInput(
            f"{exchange}: no trading calendar of that name; correct it in panel.yaml beside the files, or in panel.exchanges"
        ) from error


def _table(exchange: str, start: dt.date, end: dt.date) -> pl.DataFrame:
    # Whole decades, with room for the longest horizon: a calendar is slow to make, and the blocks of a long file, reindex
    # and the known-future columns share a table.
    from_year, to_year = start.year // 10 * 10, (end + LOOK_AHEAD).year // 10 * 10 + 9
    have = _built.get(exchange)
    if have is not None and have.height:
        first, last = have["date"][0].year, have["date"][-1].year
        if first <= max(from_year, calendar_bounds(exchange)[0].year) and to_year <= last:
            return have
        from_year, to_year = min(from_year, first), max(to_year, last)
    _built[exchange] = _sessions_of_years(exchange, from_year, to_year)
    return _built[exchange]


def _sessions_of_years(exchange: str, from_year: int, to_year: int) -> pl.DataFrame:
    import exchange_calendars

    first, last = calendar_bounds(exchange)
    start, end = max(dt.date(from_year, 1, 1), first), dt.date(to_year, 12, 31)
    if end < first:
        return pl.DataFrame(schema={"date": pl.Date, "close": pl.Datetime("us")})
    if end <= last:
        known_from, known_to = start, end
    else:  # a projection rests on the calendar's last years
        known_from, known_to = max(min(start, dt.date(last.year - RECURS_YEARS + 1, 1, 1)), first), last
    # `start` must be given: its default reaches back 20 years only.
    calendar = exchange_calendars.get_calendar(exchange, start=known_from.isoformat(), end=known_to.isoformat())
    table = pl.DataFrame(
        {
            "date": _as_dates(calendar.sessions.to_numpy().astype("datetime64[D]")),
            "close": calendar.closes.dt.tz_localize(None).to_numpy().astype("datetime64[us]"),
        }
    )
    if end > last:
        days = _projected(exchange, table["date"].to_numpy(), last, end)
        calendar = _calendar(exchange)
        close = _usual_times(exchange, days, at=calendar.close_times[-1][1], offset=calendar.close_offset)
        table = pl.concat([table, pl.DataFrame({"date": _as_dates(days), "close": close})])
    return table.filter(pl.col("date").is_between(start, end))


def _projected(exchange: str, known: NDArray[Any], last: dt.date, end: dt.date) -> NDArray[Any]:
    """Return projected sessions after ``last``: see ``project``; the calendar's own rules of holidays count too."""
    days = project(known, last=last, end=end)
    rules = _calendar(exchange).regular_holidays
    if rules is None:
        return days
    holidays = rules.holidays(last.isoformat(), end.isoformat()).to_numpy().astype("datetime64[D]")
    return days[~np.isin(days, holidays)]


def project(known: NDArray[Any], *, last: dt.date, end: dt.date) -> NDArray[Any]:
    """Return sessions after ``last``, up to ``end``, projected from the ``known`` ones (days, ascending, up to ``last``).

    They are the weekdays on which most of the last 26 weeks had a session, without the days of the year, and the days
    around Easter, that were closed whenever they fell on such a weekday in the last ``RECURS_YEARS`` years, three times
    or more. Holidays of another calendar (lunar ones) can't be projected.
    """
    from dateutil.easter import easter

    final = np.datetime64(last, "D")
    recent = known[known > final - 26 * 7]
    weekdays = [k for k in range(7) if (_weekday(recent) == k).sum() > 13]
    past = np.arange(max(known[0], np.datetime64(f"{last.year - RECURS_YEARS + 1}-01-01")), final + 1)
    past = past[np.isin(_weekday(past), weekdays)]
    closed, ahead = ~np.isin(past, known), np.arange(final + 1, np.datetime64(end, "D") + 1)
    ahead = ahead[np.isin(_weekday(ahead), weekdays)]

    def recurring(key_of_past: Iterable[Any], key_of_ahead: Iterable[Any]) -> NDArray[np.bool_]:
        seen: dict[Any, list[bool]] = {}
        for key, shut in zip(key_of_past, closed, strict=True):
            seen.setdefault(key, []).append(bool(shut))
        return np.array([len(was := seen.get(key, [])) >= 3 and all(was) for key in key_of_ahead], dtype=bool)

    def of_year(days: NDArray[Any]) -> list[str]:
        return [str(day)[5:] for day in days]

    def from_easter(days: NDArray[Any]) -> list[int]:
        return [(day.item() - easter(day.item().year)).days for day in days]

    shut = recurring(of_year(past), of_year(ahead)) | recurring(from_easter(past), from_easter(ahead))
    return ahead[~shut]


def _weekday(days: NDArray[Any]) -> NDArray[np.int64]:
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _usual_times(exchange: str, days: NDArray[Any], *, at: dt.time, offset: int) -> NDArray[Any]:
    """Return the time ``at`` on the exchange's own clock, ``offset`` days from each of ``days``, in UTC."""
    zone, shift = ZoneInfo(time_zone(exchange)), dt.timedelta(days=offset)
    local = [dt.datetime.combine(day.item() + shift, at, tzinfo=zone) for day in days.astype("datetime64[D]")]
    return np.array([time.astimezone(dt.UTC).replace(tzinfo=None) for time in local], dtype="datetime64[us]")


def _as_dates(days: NDArray[Any]) -> pl.Series:
    return pl.Series(days.astype("datetime64[D]").astype(np.int32), dtype=pl.Int32).cast(pl.Date)


@cache
def _unforeseen_closures(exchange: str) -> tuple[dt.date, ...]:
    """Return the unforeseen closures that would have been sessions: on the calendar's weekdays, no holiday by rule."""
    calendar = _calendar(exchange)
    days = unforeseen(exchange, (day.date() for day in map(_timestamp, calendar.adhoc_holidays)))
    days = [day for day in days if calendar.weekmask[day.weekday()] == "1"]
    if not days or calendar.regular_holidays is None:
        return tuple(days)
    rules = {day.date() for day in calendar.regular_holidays.holidays(days[0].isoformat(), days[-1].isoformat())}
    return tuple(day for day in days if day not in rules)


def _timestamp(day: Any) -> Any:
    import pandas as pd

    return pd.Timestamp(day)
