"""The days of a panel as announcements are counted."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.model import lags
from forecast_assets.core.panel.announcements.weekdays import (
    HALF,
    QUARTER,
    UNKNOWN,
    YEAR,
    date_of,
    longest_ahead,
    number,
    panel_days,
    shortest_lag,
    week_of,
    years,
)
from forecast_assets.core.panel.sessions import sessions


def days_of(*exchanges: tuple[str, str], start: dt.date, end: dt.date, more: tuple[dt.date, ...] = ()) -> pl.DataFrame:
    parts = []
    for exchange, region in exchanges:
        days = pl.concat([sessions(exchange, start, end), pl.Series("date", more, dtype=pl.Date)])
        parts.append(pl.DataFrame({"date": days}).with_columns(exchange=pl.lit(exchange), region=pl.lit(region)))
    return pl.concat(parts)


def test_a_year_of_weeks_is_260_weekdays_and_a_quarter_65() -> None:
    monday = dt.date(2018, 3, 12)
    at = number(
        np.array([(monday + dt.timedelta(days=k)).toordinal() - dt.date(1970, 1, 1).toordinal() for k in (0, 91, 364)])
    )
    assert (at - at[0]).tolist() == [0, QUARTER, YEAR]


def test_weekday_numbers_and_dates_are_inverse() -> None:
    numbers = np.arange(11_000, 14_000)
    dates = [date_of(int(k)) for k in numbers]
    assert all(day.weekday() < 5 for day in dates)
    assert np.array_equal(number(np.array([(day - dt.date(1970, 1, 1)).days for day in dates])), numbers)
    assert years(numbers).tolist() == [day.year for day in dates]


def test_a_week_from_sunday_to_thursday_has_five_weekdays_too() -> None:
    days = days_of(("XSAU", "Asia-Pacific"), start=dt.date(2022, 10, 2), end=dt.date(2022, 10, 13))
    found = panel_days(days).table.sort("date")
    assert week_of("XSAU") == 1
    assert found["date"].dt.weekday().unique().sort().to_list() == [1, 2, 3, 4, 7]
    assert found["weekday"].to_list() == list(range(10))
    assert found["counts"].all()


def test_a_weekend_session_is_off_the_axis_and_moves_no_other_day() -> None:
    saturday = dt.date(2018, 10, 13)
    start, end = dt.date(2018, 10, 1), dt.date(2018, 10, 31)
    plain = panel_days(days_of(("XBOM", "Asia-Pacific"), start=start, end=end))
    special = panel_days(days_of(("XBOM", "Asia-Pacific"), start=start, end=end, more=(saturday,)))
    row = special.table.filter(pl.col("date") == saturday)
    assert row["weekday"].to_list() == [UNKNOWN]
    rest = special.table.filter(pl.col("date") != saturday)
    columns = [name for name in rest.columns if name != "closing"]
    assert rest.select(columns).equals(plain.table.select(columns))
    assert special.count == plain.count


def test_a_holiday_is_a_weekday_without_a_row() -> None:
    found = panel_days(days_of(("XNYS", "Americas"), start=dt.date(2018, 11, 19), end=dt.date(2018, 11, 23))).table
    assert found.sort("date")["weekday"].to_list() == [0, 1, 2, 4]  # Thanksgiving
    before = found.filter(pl.col("date") == dt.date(2018, 11, 21))
    assert before["ahead_1"].item() == 2


def test_weekdays_ahead_count_planned_holidays_as_a_plain_loop_does() -> None:
    found = panel_days(days_of(("XNYS", "Americas"), start=dt.date(2018, 6, 1), end=dt.date(2019, 1, 31))).table
    calendar = sessions("XNYS", dt.date(2018, 6, 1), dt.date(2019, 12, 31)).to_list()
    planned = sorted({*calendar, dt.date(2018, 12, 5)})  # closed that day, which was known four days before
    for day, *ahead in found.select("date", *(f"ahead_{h}" for h in HORIZONS)).iter_rows():
        for horizon, weekdays in zip(HORIZONS, ahead, strict=True):
            there = planned[planned.index(day) + horizon]
            assert weekdays == np.busday_count(day, there), (day, horizon)


def test_no_company_reports_on_an_exchange_of_seven_days() -> None:
    days = days_of(("24/7", "Global"), ("XNYS", "Americas"), start=dt.date(2018, 10, 1), end=dt.date(2018, 10, 31))
    found = panel_days(days).table
    assert set(found.select("exchange", "counts").rows()) == {("24/7", False), ("XNYS", True)}
    weekend = found.filter(pl.col("date").dt.weekday() > 5)
    assert set(weekend["weekday"]) == {UNKNOWN}
    assert weekend.select(pl.min_horizontal("^ahead_.*$").min()).item() >= 1


def test_exchanges_share_a_closing_where_they_close_at_the_same_instant() -> None:
    exchanges = (("XNYS", "Americas"), ("XNAS", "Americas"), ("XETR", "Europe"), ("XLON", "Europe"), ("XPAR", "Europe"))
    days = days_of(*exchanges, start=dt.date(2018, 12, 17), end=dt.date(2018, 12, 31))
    closing = {(e, d): c for e, d, c in panel_days(days).table.select("exchange", "date", "closing").iter_rows()}
    usual, eve = dt.date(2018, 12, 20), dt.date(2018, 12, 24)
    together = {closing[name, usual] for name in ("XETR", "XLON", "XPAR")}
    assert len(together) == 1
    assert closing["XNYS", usual] == closing["XNAS", usual] not in together
    assert closing["XLON", eve] != closing["XPAR", eve]  # 12:30 and 14:05 in London and Paris
    assert ("XETR", eve) not in closing
    assert len({c for (_, day), c in closing.items() if day == usual}) == 2


def test_a_later_run_counts_from_the_first_ones_weekday() -> None:
    whole = panel_days(days_of(("XNYS", "Americas"), start=dt.date(2018, 1, 2), end=dt.date(2018, 6, 29)))
    late = panel_days(
        days_of(("XNYS", "Americas"), start=dt.date(2018, 5, 1), end=dt.date(2018, 6, 29)), first=whole.first
    )
    columns = [name for name in whole.table.columns if name != "closing"]
    assert late.table.select(columns).equals(whole.table.filter(pl.col("date") >= dt.date(2018, 5, 1)).select(columns))
    assert np.array_equal(late.year, whole.year)


@pytest.mark.parametrize(("horizon", "shortest"), [(20, 65), (24, 65), (30, 71), (60, 101)])
def test_no_lag_lets_an_expectation_read_a_posterior_of_its_future(horizon: int, shortest: int) -> None:
    assert shortest_lag(horizon) == shortest
    # The farthest day of an expectation, less the lag, plus what a posterior reads: at most the origin itself.
    assert all(longest_ahead(horizon) - lag + HALF < 0 for lag in lags(shortest_lag(horizon)))
    assert (QUARTER in lags(shortest_lag(horizon))) == (horizon <= 24)
