"""The session whose night has to be done by now."""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.due_sessions import due_session, recent_closes

DAY = dt.date(2025, 7, 3)


def test_a_session_is_due_once_its_last_exchange_has_been_closed_for_long_enough() -> None:
    closes = pl.DataFrame(
        {
            "date": [DAY - dt.timedelta(days=1), DAY, DAY],
            "close": [dt.datetime(2025, 7, 2, 20), dt.datetime(2025, 7, 3, 15, 30), dt.datetime(2025, 7, 3, 17)],
        }
    )
    minute = dt.timedelta(minutes=1)
    limit = dt.datetime(2025, 7, 4, 5, tzinfo=dt.UTC)
    assert due_session(closes, now=limit - minute, deadline_hours=12) == DAY - dt.timedelta(days=1)
    assert due_session(closes, now=limit, deadline_hours=12) == DAY


def test_closes_are_those_of_the_calendars_half_days_too() -> None:
    closes = recent_closes(["XNYS", "XETR"], now=dt.datetime(2025, 7, 4, 12, tzinfo=dt.UTC))
    assert closes.filter(pl.col("date") == DAY)["close"].max() == dt.datetime(2025, 7, 3, 17)  # 13:00 in New York
