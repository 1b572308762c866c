"""Every input row ends in the raw panel or among the rejected rows, with its line and a reason."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_assets.core.panel.ingest import Reading
from forecast_assets_tests.helpers.builders import REFERENCE, csv, panel_spec
from forecast_assets_tests.helpers.reading import read_files

GOOD = "2024-04-08,AAPL,Technology,170,171,1000"


def read(*files: Path) -> tuple[pl.DataFrame, Reading]:
    return read_files(files, spec=panel_spec())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-02-30,AAPL,T,1,2,3", "the date is missing or not an ISO date (YYYY-MM-DD)"),
        ("04/08/2024,AAPL,T,1,2,3", "the date is missing or not an ISO date (YYYY-MM-DD)"),
        ("0024-04-08,AAPL,T,1,2,3", "the date is missing or not an ISO date (YYYY-MM-DD)"),
        ("2024-04-09,,T,1,2,3", "the ticker is missing"),
        (
            "2024-04-09,ABC.QQ,T,1,2,3",
            "the exchange of ABC.QQ is unknown; add its suffix to panel.yaml beside the file: "
            'exchanges: {".QQ": MIC}, or tickers: {"ABC.QQ": MIC}',
        ),
        ("2024-04-09,AAPL,T,0,2,3", "open is 0.0, not above zero"),
        ("2024-04-09,AAPL,T,1,-2,3", "close is -2.0, not above zero"),
        ("2024-04-09,AAPL,T,1,inf,3", "close is not finite"),
        ("2024-04-09,AAPL,T,1,NaN,3", "close is missing"),
        ("2024-04-09,AAPL,T,1,,3", "close is missing"),
        ("2024-04-09,AAPL,T,abc,2,3", "open is not a number"),
        ("2024-04-09,AAPL,T,1,2,-3", "volume is -3.0, below zero"),
        ("2024-04-09,AAPL,T,1,2", "5 fields instead of 6"),
        ('2024-04-09,"AAPL,T,1,2,3', "a quotation mark stands inside a field or is not closed"),
        ("2024-07-04,AAPL,T,2,2,0", "phantom: flat quote without volume on 2024-07-04, when XNYS is closed"),
        ("2024-07-04,AAPL,T,2,3,0", "phantom: quote without volume on 2024-07-04, when XNYS is closed"),
    ],
)
def test_a_bad_row_is_rejected_with_reason_and_line(tmp_path: Path, row: str, reason: str) -> None:
    accepted, reading = read(csv(tmp_path / "p.csv", GOOD, row, "2024-04-10,AAPL,Technology,172,173,1"))
    assert reading.rejected.to_dicts() == [
        {"file": "p.csv", "line": 3, "reason": reason, "class": "invalid", "row": row}
    ]
    assert accepted.height == 2
    assert reading.rows_read == 3


def test_an_exact_repeat_is_a_duplicate_and_conflicting_rows_are_all_invalid(tmp_path: Path) -> None:
    other = "2024-04-09,AAPL,Technology,170,171,1000"
    accepted, reading = read(csv(tmp_path / "p.csv", GOOD, other, GOOD, other.replace("171", "999")))
    assert reading.rejected.select("line", "class", "reason").rows() == [
        (3, "invalid", "conflicting rows for AAPL on 2024-04-09 in lines 3, 5"),
        (4, "duplicate", "repeats line 2"),
        (5, "invalid", "conflicting rows for AAPL on 2024-04-09 in lines 3, 5"),
    ]
    assert accepted["date"].to_list() == [dt.date(2024, 4, 8)]


def test_a_later_file_revises_an_earlier_row_and_repeats_the_rest(tmp_path: Path) -> None:
    second = "2024-04-09,AAPL,Technology,172,173,1000"
    first_drop = csv(tmp_path / "2024-04-09.csv", GOOD, second)
    next_drop = csv(tmp_path / "2024-04-10.csv", GOOD, second.replace("173", "173.5"), second.replace("-09", "-10"))
    accepted, reading = read(next_drop, first_drop)  # named in order, whatever order they come in
    assert reading.rejected.select("file", "line", "class").rows() == [
        ("2024-04-09.csv", 3, "superseded"),
        ("2024-04-10.csv", 2, "duplicate"),
    ]
    assert accepted["close"].to_list() == [171.0, 173.5, 173.0]
    revision = reading.revisions.row(0, named=True)
    assert (revision["old_close"], revision["new_close"], revision["new_line"]) == (173.0, 173.5, 3)


def test_the_last_of_two_revisions_counts_and_an_invalid_row_never_supersedes(tmp_path: Path) -> None:
    files = [csv(tmp_path / f"{n}.csv", GOOD.replace("171", close)) for n, close in enumerate(["171", "172", "171"])]
    files.append(csv(tmp_path / "3.csv", GOOD.replace("171", "0"), GOOD.replace("AAPL", "MSFT")))
    accepted, reading = read(*files)
    assert reading.rejected.select("file", "class").rows() == [
        ("0.csv", "superseded"),
        ("1.csv", "superseded"),
        ("3.csv", "invalid"),
    ]
    assert accepted.filter(pl.col("ticker") == "AAPL")["close"].to_list() == [171.0]


def test_a_file_on_another_adjustment_basis_is_rescaled_and_reported(tmp_path: Path) -> None:
    days = [f"2024-04-{day:02d}" for day in (8, 9, 10, 11, 12)]
    closes = [100.0, 103.0, 99.0, 101.0, 104.0]
    rows = [f"{day},AAPL,T,{close},{close + 1},1000" for day, close in zip(days, closes, strict=True)]
    halved = [f"{day},AAPL,T,{close / 2},{(close + 1) / 2},1000" for day, close in zip(days, closes, strict=True)]
    accepted, reading = read(csv(tmp_path / "1.csv", *rows[:4]), csv(tmp_path / "2.csv", *halved))
    assert accepted["open"].to_list() == closes
    assert reading.rejected["class"].to_list() == ["duplicate"] * 4
    assert reading.revisions.is_empty()
    assert reading.flags.filter(pl.col("flag") == "rescaled_drop")["detail"].to_list() == [
        "2.csv is on another adjustment basis (a 2:1 split, shown by 4 shared rows); its prices were divided by 0.5"
    ]


def test_the_first_spelling_of_a_ticker_stays_however_many_rows_another_gets(tmp_path: Path) -> None:
    rows = [f"2024-04-{day:02d},{'aapl' if day < 10 else 'AAPL'},T,1,2,3" for day in (8, 9, 10, 11, 12)]
    for count in (3, 5):
        panel, reading = read(csv(tmp_path / "p.csv", *rows[:count]))
        assert panel["ticker"].to_list() == ["aapl", "aapl"]
        assert reading.rejected["reason"].str.contains("AAPL differs from aapl by capitals alone").sum() == count - 2


def test_a_ticker_that_changes_its_exchange_is_rejected_from_then_on(tmp_path: Path) -> None:
    header = "Date,Ticker,Exchange,Open,Close,Volume"
    path = csv(tmp_path / "p.csv", "2024-04-08,SAP,XETR,1,2,3", "2024-04-09,SAP,NYSE,1,2,3", header=header)
    _, reading = read(path)
    assert reading.rejected["reason"].to_list() == ["SAP is on XNYS, but on XETR before; give it another ticker"]


def test_odd_rows_that_are_accepted_are_flagged(tmp_path: Path) -> None:
    rows = [
        "2024-04-08,AAA,Tech,10,10,5,10,10",
        "2024-04-09,AAA,Tech,10,16,0,16,10",
        "2024-04-10,AAA,Tech,16,16,,17,15",
        "2024-04-08,BBB,,1,1,5,1,1",
        "2024-06-10,CCC,Tech,1,2,5,1.5,1",
    ]
    _, reading = read(csv(tmp_path / "p.csv", *rows, header="Date,Ticker,Sector,Open,Close,Volume,High,Low"))
    assert reading.rejected.is_empty()
    assert reading.flags.select("flag", "ticker", pl.col("date").cast(pl.String)).rows() == [
        ("ended_ticker", "AAA", "2024-04-10"),
        ("ended_ticker", "BBB", "2024-04-08"),
        ("large_return", "AAA", "2024-04-09"),
        ("new_ticker", "CCC", "2024-06-10"),
        ("outside_range", "CCC", "2024-06-10"),
        ("sector_missing", "BBB", None),
        ("without_volume", "AAA", "2024-04-09"),
    ]
    without_volume = reading.flags.filter(pl.col("flag") == "without_volume")["detail"][0]
    assert without_volume == "2 rows with zero or missing volume, to 2024-04-10"


FIELDS = {
    "day": st.sampled_from(["2024-04-08", "2024-04-09", "2024-07-04", "2024-02-30", "", "x"]),
    "ticker": st.sampled_from(["AAPL", "SAP.DE", "X.QQ", ""]),
    "open": st.sampled_from(["1", "2.5", "0", "nan", "1,234.5", "12,5"]),
    "close": st.sampled_from(["1", "1.5", "-1", "inf", "", "?"]),
    "volume": st.sampled_from(["0", "10", "", "-5", "1,000"]),
}
LINES = st.builds(lambda **f: f'{f["day"]},{f["ticker"]},T,"{f["open"]}",{f["close"]},"{f["volume"]}"', **FIELDS)
RAGGED = st.sampled_from(["", "2024-04-08,AAPL", 'a,"b', "1,2,3,4,5,6,7,8"])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drops=st.lists(st.lists(st.one_of(LINES, RAGGED), max_size=12), min_size=1, max_size=3))
def test_every_row_of_any_input_files_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, drops: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("drops")
    # Two good rows: the one before a fragment may have lost its end.
    good = ["2024-04-04,MSFT,T,1.5,1.5,1", "2024-04-05,MSFT,T,1.5,1.5,1"]
    files = [csv(folder / f"{n}.csv", *good, *lines) for n, lines in enumerate(drops)]
    accepted, reading = read_files(files, spec=panel_spec())
    delivered = sum(2 + sum(1 for line in lines if line.strip()) for lines in drops)
    assert accepted.height + reading.rejected.height == reading.rows_read == delivered
    assert not accepted.select("ticker", "date").is_duplicated().any()
    for file, line, row in reading.rejected.select("file", "line", "row").iter_rows():
        assert (folder / file).read_text().splitlines()[line - 1] == row


@pytest.mark.skipif(not (REFERENCE / "panel_40.csv").exists(), reason="the reference panel is not beside the checkout")
def test_the_forty_ticker_panel_loses_its_phantoms_and_nothing_else() -> None:
    accepted, reading = read(REFERENCE / "panel_40.csv")
    assert (reading.rows_read, accepted.height) == (147_383, 147_372)
    reasons = (
        reading.rejected["reason"].str.extract(r"on (\S+), when (\w+) is closed$", 1).value_counts().sort("reason")
    )
    assert reasons.rows()[-1] == ("2019-12-25", 6)
    assert reading.rejected["class"].unique().to_list() == ["invalid"]
    ended = reading.flags.filter(pl.col("flag") == "ended_ticker")
    assert ("BA.L", dt.date(2023, 10, 6)) in ended.select("ticker", "date").rows()
