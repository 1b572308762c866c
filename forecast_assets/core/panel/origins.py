"""The points in time that forecasts are made at and values are released at, so that the two can be compared.

A forecast of (ticker, date) is made at the close of the ticker's own exchange. What a user brings beside the panel enters it
from the moment on at which it was known, whatever its own date says.
"""

import datetime as dt

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.sessions import calendar_bounds, closes

MOMENT = pl.Datetime("us")  # in UTC, without saying so


def origin_times(panel: pl.DataFrame) -> pl.DataFrame:
    """Return (exchange, date, close in UTC) of each exchange and date of ``panel``, once.

    A day that is no session counts from its first moment.
    """
    days = panel.select("exchange", "date").unique().sort("exchange", "date")
    none = pl.DataFrame(schema={"exchange": pl.String, "date": pl.Date, "close": MOMENT})
    return pl.concat([none, *(_of_exchange(str(e), part["date"]) for (e,), part in days.group_by("exchange"))])


def _of_exchange(exchange: str, days: pl.Series) -> pl.DataFrame:
    calendar = closes(exchange, days[0], days[-1])
    table = pl.DataFrame({"date": days}).join(calendar, on="date", how="left", maintain_order="left")
    start = pl.col("date").cast(MOMENT)
    return table.select(pl.lit(exchange).alias("exchange"), "date", close=pl.coalesce("close", start))


def released_after_close(days: pl.Series, *, exchange: str, lag: dt.timedelta, what: str) -> pl.Series:
    """Return when values of ``days`` are known that are released ``lag`` after the close of ``exchange``, in UTC.

    A value of a day without a session is known once that day has ended there. Raises BadInput, naming ``what``, for days
    beyond the exchange's calendar.
    """
    earliest, latest = days.min(), days.max()
    if not isinstance(earliest, dt.date) or not isinstance(latest, dt.date):  # there are no days
        return pl.Series("known_from", [], dtype=MOMENT)
    first, last = calendar_bounds(exchange)
    if earliest < first or latest > last:
        raise BadInput(f"{what} reach from {earliest} to {latest}; the calendar of {exchange} from {first} to {last}")
    table = pl.DataFrame({"date": days}).join(
        closes(exchange, earliest, latest), on="date", how="left", maintain_order="left"
    )
    end = pl.col("date").cast(MOMENT) + pl.duration(days=1)
    return table.select(known_from=pl.coalesce(pl.col("close") + lag, end)).to_series()


def released_at(days: pl.Series, *, lag_days: int, time: dt.time, zone: str) -> pl.Series:
    """Return when values of ``days`` are known that are released ``lag_days`` calendar days later at ``time`` in ``zone``.

    In UTC. Of a time that the clock shows twice it is the later one, and an hour more of one that it leaves out.
    """
    local = (pl.col("date") + pl.duration(days=lag_days)).cast(MOMENT).dt.offset_by(f"{time.hour}h{time.minute}m")

    def moment(of: pl.Expr) -> pl.Expr:
        return of.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")

    known = pl.coalesce(moment(local), moment(local.dt.offset_by("1h"))).dt.replace_time_zone(None)
    return pl.DataFrame({"date": days}).select(known_from=known).to_series()
