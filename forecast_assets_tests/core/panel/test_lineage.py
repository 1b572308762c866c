"""Whether one panel carries on another, and renamed tickers."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from forecast_assets.core.panel.lineage import RowsKept, latest_names, rename, rows_kept
from forecast_assets_tests.helpers.builders import csv, panel, panel_spec, raw
from forecast_assets_tests.helpers.reading import read_files

TWO = panel(raw("AAA", [1.0] * 8), raw("BBB", [2.0] * 8))


def kept(before: pl.DataFrame, now: pl.DataFrame, renames: dict[str, str] | None = None) -> RowsKept:
    return rows_kept(before.lazy(), now.lazy(), renames=renames or {})


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (panel(raw("AAA", [1.1] * 12), raw("BBB", [2.1] * 12)), RowsKept(16, 16)),  # revised and grown
        (TWO.filter(pl.col("date") <= dt.date(2024, 4, 10)), RowsKept(6, 6)),  # a replay of an earlier day
        (TWO.filter(pl.col("ticker") == "AAA"), RowsKept(16, 8)),  # a ticker dropped
        (panel(TWO, raw("CCC", [3.0] * 300)), RowsKept(16, 16)),  # a folder that grew
        (panel(TWO, raw("AAA", [1.0] * 5, start=dt.date(2020, 4, 6))), RowsKept(16, 16)),  # history extended
    ],
)
def test_a_panel_that_grew_or_was_revised_is_the_same(now: pl.DataFrame, expected: RowsKept) -> None:
    assert kept(TWO, now) == expected
    assert expected.same_panel


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (panel(raw("XXX", [1.0] * 8), raw("YYY", [2.0] * 8)), RowsKept(16, 0)),  # another market
        (panel(raw("AAA", [1.0] * 8, start=dt.date(2020, 4, 6))), RowsKept(0, 0)),  # other years
        (panel(raw("AAA", [1.0] * 8, start=dt.date(2025, 4, 7))), RowsKept(16, 0)),
    ],
)
def test_another_market_or_other_years_are_another_panel(now: pl.DataFrame, expected: RowsKept) -> None:
    assert kept(TWO, now) == expected
    assert not expected.same_panel


def test_a_panel_of_renamed_tickers_is_the_same_where_they_are_declared() -> None:
    now = TWO.with_columns(pl.col("ticker").replace({"AAA": "AA2", "BBB": "BB2"}))
    assert not kept(TWO, now).same_panel
    assert kept(TWO, now, {"AAA": "AA2", "BBB": "BB1", "BB1": "BB2"}) == RowsKept(16, 16)


def test_renames_follow_chains_whatever_their_order() -> None:
    renames = {"B": "C", "A": "B"}
    assert latest_names(renames) == {"A": "C", "B": "C"}
    assert rename(pl.DataFrame({"ticker": ["A", "B", "C", "D"]}), renames)["ticker"].to_list() == ["C", "C", "C", "D"]


def test_renames_in_a_circle_are_refused() -> None:
    with pytest.raises(ValidationError, match="A -> B -> A goes in a circle"):
        panel_spec(renames={"A": "B", "B": "A"})


def test_rows_of_the_old_name_are_read_as_the_new_one(tmp_path: Path) -> None:
    old = csv(tmp_path / "1.csv", "2024-04-08,FB,Tech,10.0,11.0,100", "2024-04-09,FB,Tech,11.0,12.0,100")
    new = csv(tmp_path / "2.csv", "2024-04-10,META,Tech,12.0,13.0,100")
    rows, reading = read_files([old, new], spec=panel_spec(renames={"FB": "META"}))
    assert rows.select("ticker", "close").rows() == [("META", 11.0), ("META", 12.0), ("META", 13.0)]
    assert reading.rejected.is_empty()
