"""Members and sector labels as of each row's day, over literal files."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.point_in_time import (
    UNIVERSE_FACTS,
    Membership,
    known_by,
    label_sectors,
    mark_members,
    read_sectors,
    read_universe,
    require_members,
    sector_facts,
)
from forecast_assets_tests.helpers.builders import csv, panel, panel_spec, raw

SPELLS = ("AAPL,2024-04-09,2024-04-10", "AAPL,2024-04-15,", "GONE,2010-01-04,2012-03-30", "MSFT,2024-01-02,2024-04-11")


def universe(folder: Path, *lines: str) -> pl.DataFrame:
    return read_universe(csv(folder / "universe.csv", *lines, header="Ticker,From,To"))


def sectors(folder: Path, *lines: str) -> pl.DataFrame:
    return read_sectors(csv(folder / "sectors.csv", *lines, header="Ticker,Sector,From"))


@pytest.fixture(scope="module")
def calendar_rows() -> pl.DataFrame:
    """Three tickers on the sessions of two weeks from Monday 2024-04-08 on; AAPL has no quote on the 10th."""
    closes = [10.0] * 10
    return reindex(
        panel(raw("AAPL", [*closes[:2], None, *closes[3:]]), raw("IBM", closes), raw("MSFT", closes)), spec=panel_spec()
    )


def days_of_april(frame: pl.DataFrame, ticker: str) -> list[int]:
    return frame.filter((pl.col("ticker") == ticker) & pl.col("is_member"))["date"].dt.day().to_list()


def test_a_row_is_a_members_in_its_tickers_spells_both_ends_included(
    calendar_rows: pl.DataFrame, tmp_path: Path
) -> None:
    marked = mark_members(calendar_rows, universe(tmp_path, *SPELLS))
    assert days_of_april(marked, "AAPL") == [9, 10, 15, 16, 17, 18, 19]  # a filled row among them
    assert days_of_april(marked, "MSFT") == [8, 9, 10, 11]
    assert days_of_april(marked, "IBM") == []  # not listed
    assert marked.drop("is_member").equals(calendar_rows.drop("is_member"))


def test_without_a_universe_every_row_is_a_members(calendar_rows: pl.DataFrame) -> None:
    assert mark_members(calendar_rows, None)["is_member"].all()
    assert calendar_rows["is_member"].all()


def test_the_order_of_the_lines_and_of_the_rows_does_not_matter(calendar_rows: pl.DataFrame, tmp_path: Path) -> None:
    shuffled = calendar_rows.sample(fraction=1.0, shuffle=True, seed=1)
    found = mark_members(shuffled, universe(tmp_path, *reversed(SPELLS))).sort("ticker", "date")
    assert found.equals(mark_members(calendar_rows, universe(tmp_path, *SPELLS)))


def test_a_sector_holds_from_its_day_on_until_the_next_label(calendar_rows: pl.DataFrame, tmp_path: Path) -> None:
    labels = sectors(
        tmp_path, "AAPL,Hardware,2024-04-10", "AAPL,Media,2024-04-17", "MSFT,Software,2000-01-03", "MSFT,,2024-04-12"
    )
    found = label_sectors(calendar_rows, labels)
    of = {ticker: found.filter(pl.col("ticker") == ticker)["sector"].to_list() for ticker in ("AAPL", "IBM", "MSFT")}
    assert of["AAPL"] == [None, None, *["Hardware"] * 5, *["Media"] * 3]
    assert of["MSFT"] == [*["Software"] * 4, *[None] * 6]
    assert of["IBM"] == [None] * 10
    assert label_sectors(calendar_rows, None)["sector"].unique().to_list() == ["Technology"]


@pytest.mark.parametrize("cut", [8, 9, 10, 11, 12, 15, 17])
def test_what_happens_after_a_day_changes_no_row_up_to_it(
    calendar_rows: pl.DataFrame, tmp_path: Path, cut: int
) -> None:
    day = dt.date(2024, 4, cut)
    early = calendar_rows.filter(pl.col("date") <= day)
    spells, labels = universe(tmp_path, *SPELLS), sectors(tmp_path, "AAPL,Hardware,2024-04-10", "AAPL,Media,2024-04-17")
    full = label_sectors(mark_members(calendar_rows, spells), labels).filter(pl.col("date") <= day)
    assert label_sectors(mark_members(early, known_by(spells, day)), known_by(labels, day)).equals(full)


def test_an_end_that_lies_ahead_is_not_known_yet(tmp_path: Path) -> None:
    spells = universe(tmp_path, *SPELLS)
    seen = known_by(spells, dt.date(2024, 4, 10))
    assert seen is not None
    assert seen["ticker"].to_list() == ["AAPL", "GONE", "MSFT"]
    assert seen["last"].to_list() == [None, dt.date(2012, 3, 30), None]
    assert known_by(spells, None) is spells
    assert known_by(None, dt.date(2024, 4, 10)) is None


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (("A,2024-01-31,2024-01-30",), "line 2: From is after To"),
        (("A,2024-01-01,", "B,2024-01-01,", "A,2025-01-01,"), "line 4: the spell overlaps"),
        (("A,2024-01-01,2024-06-30", "A,2024-06-30,2024-12-31"), "line 3: the spell overlaps .*To is its last day"),
        (("A,2024-01-01,", "A,2024-01-01,"), "line 3: the spell overlaps"),
        (("A,31.01.2024,",), "line 2: From is not a date like 2024-01-31"),
        (("A,2024-1-31,",), "line 2: From is not a date"),
        (("A,2024-02-30,",), "line 2: From is not a date"),
        (("A,2024-01-31,soon", "B,2024-01-31,never"), "line 2 and 1 more: To is not a date"),
        ((",2024-01-31,",), "line 2: Ticker is empty"),
        (("A, ,2024-01-31",), "line 2: From is empty"),
        ((), "has no rows"),
    ],
)
def test_a_universe_that_can_not_be_used_is_refused_by_its_line(
    tmp_path: Path, lines: tuple[str, ...], what: str
) -> None:
    with pytest.raises(BadInput, match=what):
        universe(tmp_path, *lines)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (("A,Energy,2024-01-31", "A,Media,2024-01-31"), "line 3: the ticker has another label from the same day"),
        (("A,Energy,",), "line 2: From is empty"),
        (("A,Energy,20240131",), "line 2: From is not a date"),
    ],
)
def test_sector_labels_that_can_not_be_used_are_refused_by_their_line(
    tmp_path: Path, lines: tuple[str, ...], what: str
) -> None:
    with pytest.raises(BadInput, match=what):
        sectors(tmp_path, *lines)


def test_a_file_with_other_columns_is_refused_with_those_it_has(tmp_path: Path) -> None:
    path = csv(tmp_path / "u.csv", "A,2024-01-31", header="Symbol,From")
    with pytest.raises(
        BadInput, match=r"missing columns \['Ticker', 'To'\]; a universe file has Ticker, From, To, this one Symbol"
    ):
        read_universe(path)
    with pytest.raises(BadInput, match="not a readable CSV of a sector file"):
        read_sectors(tmp_path / "none.csv")


def test_spaces_and_further_columns_are_no_trouble(tmp_path: Path) -> None:
    path = csv(tmp_path / "u.csv", " A , 2024-01-02 , ,index", header="Ticker,From,To,Source")
    assert read_universe(path).rows() == [("A", dt.date(2024, 1, 2), None)]


def test_a_universe_of_other_tickers_is_refused(tmp_path: Path) -> None:
    spells = universe(tmp_path, *SPELLS)
    year = {"first": dt.date(2024, 1, 2), "last": dt.date(2024, 12, 31)}
    require_members(spells, pl.Series(["MSFT", "ZZZ"]), **year)
    require_members(spells, pl.Series(["GONE"]), first=dt.date(2012, 3, 30), last=dt.date(2012, 6, 29))
    with pytest.raises(BadInput, match="none of the panel's tickers is a member between 2024-01-02 and 2024-12-31"):
        require_members(spells, pl.Series(["GONE", "ZZZ"]), **year)
    with pytest.raises(BadInput, match=r"none of its 3 tickers \(AAPL, GONE, MSFT\) is in the panel, which has BMW.DE"):
        require_members(spells, pl.Series(["BMW.DE"]), **year)


@pytest.mark.parametrize("parts", [1, 3])
def test_the_facts_say_who_is_a_member_when_and_whose_prices_lack(
    calendar_rows: pl.DataFrame, tmp_path: Path, parts: int
) -> None:
    spells = universe(tmp_path, *SPELLS)
    marked = mark_members(calendar_rows, spells)
    membership = Membership()
    for part in [marked] if parts == 1 else marked.partition_by("ticker", maintain_order=True):
        membership.add(part)
    facts = membership.facts(spells, today=dt.date(2024, 4, 19))
    assert facts == {
        "members_today": 1,
        "members_ever": 2,
        "members_by_year": "2024: 2",
        "tickers_never_members": 1,
        "universe_without_prices": 1,
        "universe_unpriced": "GONE",
    }
    assert set(UNIVERSE_FACTS) < set(facts)
    labels = sectors(tmp_path, "AAPL,Hardware,2024-04-10", "AAPL,Media,2024-04-17", "GONE,Energy,2010-01-04")
    assert sector_facts(labels, pl.Series(["AAPL", "MSFT"])) == {
        "sectors_relabelled": 1,
        "tickers_without_sector": 1,
        "sectors_without_prices": 1,
        "sectors_unpriced": "GONE",
    }
