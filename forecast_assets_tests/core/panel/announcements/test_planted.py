"""Planted calendars are found, and nothing is expected where nobody reports."""

import datetime as dt

import polars as pl
import pytest

from forecast_assets_tests.helpers.announced import (
    Announced,
    announced,
    calendar,
    explained,
    infer,
    inferred_dates,
    share_within_a_session,
)

START, LEARNED, END = dt.date(2010, 1, 4), dt.date(2012, 1, 4), dt.date(2015, 6, 30)
CLAIMED = pl.col("date").is_between(LEARNED, END - dt.timedelta(days=50))
"""From eight quarters after the first row on, until the quarter around a day is no longer whole."""


def panel(*, announce: bool) -> Announced:
    return announced(tickers=20, start=START, end=END, seed=2, announce=announce)


@pytest.fixture(scope="module")
def found() -> tuple[Announced, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """A panel, its calendar panel, the table, and the days that are claimed as reports."""
    made = panel(announce=True)
    rows = calendar(made.raw)
    table, inferred = infer(rows, rows_per_part=1_000_000)
    return made, rows, table, inferred_dates(inferred.events)


def test_planted_reports_are_found_within_a_session(
    found: tuple[Announced, pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    made, rows, _, claimed = found
    planted = made.dates.filter(CLAIMED)
    assert share_within_a_session(planted, claimed, rows) > 0.88
    assert share_within_a_session(claimed.filter(CLAIMED), made.dates, rows) > 0.88
    assert planted.height > 250
    assert 0.9 < claimed.filter(CLAIMED).height / planted.height < 1.1


def test_next_reports_are_expected_and_not_more_surely_than_they_come(
    found: tuple[Announced, pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    """An expectation that is fitted to the posterior which it has made itself explains less than half as much."""
    made, _, table, _ = found
    assert explained(table, since=LEARNED) > 0.15
    ahead = table.filter(CLAIMED).with_columns(date=pl.col("date").shift(-1).over("ticker"))
    planted = ahead.join(made.dates, on=["ticker", "date"], how="semi")
    on_the_day, on_any = (rows.select(pl.mean("announcement_1d")).item() for rows in (planted, ahead))
    assert on_the_day > 10 * on_any


def test_nothing_is_expected_where_nobody_reports() -> None:
    table, _ = infer(calendar(panel(announce=False).raw), rows_per_part=1_000_000)
    assert explained(table, since=LEARNED) > -0.025
    assert table.filter(pl.col("date") >= LEARNED).select(pl.max("announcement_1d")).item() < 0.12
