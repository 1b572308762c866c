"""Rows of days that had not begun when their file was first read are no quotes."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.panel.sessions import day_begun
from forecast_assets_tests.helpers.builders import csv, panel_spec

FRIDAY_NIGHT = dt.datetime(2024, 4, 13, 2, tzinfo=dt.UTC)  # in New York 22:00 on Friday; Saturday in Tokyo
QUOTES = [f"2024-04-{day:02d},AAPL,T,{100 + day},{100 + day},1000" for day in (8, 9, 10, 11, 12)]


def read(tmp_path: Path, *rows: str, seen: dt.datetime | None = FRIDAY_NIGHT) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return accepted and rejected rows of a file that was first read then."""
    path, scratch = csv(tmp_path / "p.csv", *rows), tmp_path / "scratch"
    scratch.mkdir()
    reading = Reading([InputFile(path, path.name, first_seen=seen)], spec=panel_spec(), scratch=scratch)
    accepted = pl.concat(reading.parts())
    assert accepted.height + reading.rejected.height == reading.rows_read
    return accepted, reading.rejected


@pytest.mark.parametrize("day", ["2062-05-01", "2024-04-19", "2024-04-15"])
def test_a_row_dated_ahead_is_rejected_and_ends_no_panel(tmp_path: Path, day: str) -> None:
    accepted, rejected = read(tmp_path, *QUOTES, f"{day},AAPL,T,113,113,1000")
    assert accepted["date"].max() == dt.date(2024, 4, 12)
    row = rejected.row(0, named=True)
    assert (row["line"], row["class"]) == (7, "invalid")
    assert row["reason"] == f"{day} had not begun when the file was first read, at 2024-04-13 02:00 UTC"


def test_the_day_is_that_of_the_exchange(tmp_path: Path) -> None:
    monday = dt.datetime(2024, 4, 14, 23, tzinfo=dt.UTC)  # 08:00 on Monday in Tokyo, 19:00 on Sunday in New York
    tokyo = [row.replace("AAPL", "7203.T") for row in QUOTES]
    rows = [f"2024-04-15,{ticker},T,113,113,1000" for ticker in ("AAPL", "7203.T")]
    accepted, rejected = read(tmp_path, *QUOTES, *tokyo, *rows, seen=monday)
    assert accepted.group_by("ticker").agg(pl.max("date")).sort("ticker")["date"].to_list() == [
        dt.date(2024, 4, 15),
        dt.date(2024, 4, 12),
    ]
    assert rejected["line"].to_list() == [12]


def test_a_file_whose_first_reading_is_unknown_is_read_as_it_is(tmp_path: Path) -> None:
    accepted, rejected = read(tmp_path, *QUOTES, "2024-04-15,AAPL,T,113,113,1000", seen=None)
    assert accepted["date"].max() == dt.date(2024, 4, 15)
    assert rejected.is_empty()


def test_a_session_that_begins_the_evening_before_has_begun() -> None:
    evening = dt.datetime(2024, 4, 14, 23, tzinfo=dt.UTC)
    assert day_begun("XNYS", evening) == dt.date(2024, 4, 14)
    assert day_begun("CMES", evening) == dt.date(2024, 4, 15)
    assert day_begun("XTKS", evening) == dt.date(2024, 4, 15)
