"""Sessions beyond a calendar's ends, closes there, and the exchange's clock."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.sessions import (
    closed_days,
    closes,
    ending_calendars,
    ending_sentence,
    project,
    sessions,
    time_zone,
)


def days(exchange: str, first: str, last: str) -> np.ndarray:
    return sessions(exchange, dt.date.fromisoformat(first), dt.date.fromisoformat(last)).to_numpy()


@pytest.mark.parametrize(
    ("exchange", "unknown", "allowed"),
    # Germany's holidays recur; India's lunar ones do not; Saudi Arabia's week ends on Thursday.
    [("XETR", "2024", 0), ("XBOM", "2023", 10), ("XSES", "2023", 8), ("XTAE", "2023", 20)],
)
def test_a_projected_year_has_the_calendars_weekdays_and_recurring_holidays(
    exchange: str, unknown: str, allowed: int
) -> None:
    before = int(unknown) - 1
    known = days(exchange, f"{before - 9}-01-01", f"{before}-12-31")
    projected = project(known, last=dt.date(before, 12, 31), end=dt.date(int(unknown), 12, 31))
    actual = days(exchange, f"{unknown}-01-01", f"{unknown}-12-31")
    assert len(np.setdiff1d(projected, actual)) <= allowed  # holidays that nobody can project
    assert len(np.setdiff1d(actual, projected)) <= 1


def test_projected_sessions_close_at_the_usual_time() -> None:
    beyond = closes("XBOM", dt.date(2027, 1, 1), dt.date(2027, 1, 4))
    assert beyond.rows()[-1] == (dt.date(2027, 1, 4), dt.datetime(2027, 1, 4, 10, 0))
    assert dt.date(2027, 1, 26) not in sessions("XBOM", dt.date(2027, 1, 1), dt.date(2027, 2, 1)).to_list()


def test_calendars_that_end_are_known_ahead_by_name_and_day() -> None:
    year_end = dt.date(2026, 12, 31)
    assert ending_calendars(["XNYS", "XBOM"], by=year_end) == {}
    assert ending_calendars(["XSHG", "XNYS", "XBOM"], by=dt.date(2027, 1, 1)) == {"XBOM": year_end, "XSHG": year_end}
    assert "trading calendar of XBOM (on 2026-12-31) ends" in ending_sentence({"XBOM": year_end})


def test_there_is_no_session_before_a_calendar_begins() -> None:
    assert sessions("XSAU", dt.date(2019, 1, 1), dt.date(2020, 12, 31)).is_empty()
    assert sessions("XSAU", dt.date(2019, 1, 1), dt.date(2021, 1, 4)).to_list() == [
        dt.date(2021, 1, 3),
        dt.date(2021, 1, 4),
    ]
    with pytest.raises(BadInput, match="XXXX: no trading calendar of that name"):
        sessions("XXXX", dt.date(2024, 1, 1), dt.date(2024, 2, 1))


def test_sessions_do_not_depend_on_what_was_asked_before() -> None:
    short = sessions("XHEL", dt.date(2015, 3, 1), dt.date(2015, 6, 1))
    sessions("XHEL", dt.date(2009, 1, 1), dt.date(2021, 6, 1))
    assert sessions("XHEL", dt.date(2015, 3, 1), dt.date(2015, 6, 1)).equals(short)


def test_an_exchange_has_a_time_zone() -> None:
    assert [time_zone(mic) for mic in ("XTKS", "XETR", "XHAM", "XNYS", "24/7")] == [
        *("Asia/Tokyo", "Europe/Berlin", "Europe/Berlin", "America/New_York", "UTC")
    ]


def test_saturdays_of_new_york_until_1952_may_be_sessions_and_are_not_closed_days() -> None:
    saturdays = [dt.date(1952, 1, 5), dt.date(1952, 10, 4)]
    frame = pl.DataFrame({"exchange": ["XNYS", "XNYS"], "date": saturdays})
    assert closed_days(frame)["date"].to_list() == saturdays[1:]
    assert sessions("XNYS", saturdays[0], saturdays[0]).is_empty()
