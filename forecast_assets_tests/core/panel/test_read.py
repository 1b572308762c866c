"""A file that can't be used is one clear sentence; a usable one is read whatever its notation."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters import text_tables
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.panel.sessions import sessions
from forecast_assets_tests.helpers.builders import MONDAY, csv, panel_spec
from forecast_assets_tests.helpers.reading import read_files

ROW = "2024-04-08,AAPL,Technology,170.0,171.5,1000"
CANONICAL = {
    "ticker": "AAPL",
    "exchange": "XNYS",
    "sector": "Technology",
    "open": 170.0,
    "high": None,
    "low": None,
    "close": 171.5,
    "volume": 1000.0,
}


def read_one(path: Path) -> pl.DataFrame:
    return read_files([path], spec=panel_spec())[0]


@pytest.mark.parametrize(
    "content",
    [
        f"Date,Ticker,Sector,Opening Price,Closing Price,Volume\n{ROW}\n",
        f"\ufeffdate,SYMBOL,sector,open,close,volume\r\n{ROW}\r\n",
        "Date;Ticker;Sector;Open;Close;Volume\n2024/04/08;AAPL;Technology;170.0;171.5;1,000\n",
        "Volume\tAdj_Close\tOpen\tSector\tName\tDate\n1000\t171.5\t170\tTechnology\tAAPL\t20240408\n",
        'Date,Ticker,Sector,Open,Close,Volume\n"2024-04-08 00:00:00-04:00",AAPL,"Technology",170,171.5,"1,000"\n',
        "Date,Ticker,Sector,Open,Close,Volume,Note\n\n2024-04-08T16:00:00-04:00, AAPL ,Technology,1.7e2,171.50,1000,x\n\n",
        "Date,Ticker,Sector,Open,Close,High,Low,Volume\n2024-04-08,AAPL,Technology,170,171.5,NaN,,1000\n",
    ],
)
def test_many_spellings_give_one_canonical_row(tmp_path: Path, content: str) -> None:
    path = tmp_path / "panel.csv"
    path.write_text(content, encoding="utf-8")
    accepted = read_one(path)
    assert accepted.drop("date").to_dicts() == [CANONICAL]
    assert str(accepted["date"][0]) == "2024-04-08"


def test_a_parquet_file_gives_the_same_rows_as_its_csv(tmp_path: Path) -> None:
    path = csv(tmp_path / "panel.csv", ROW, "2024-04-09,AAPL,Technology,171,172.25,NaN")
    pl.read_csv(path, try_parse_dates=True, schema_overrides={"Volume": pl.Float64}).write_parquet(
        tmp_path / "p.parquet"
    )
    assert read_one(tmp_path / "p.parquet").equals(read_one(path))
    assert read_one(path)["volume"].to_list() == [1000.0, None]


def test_thousands_marks_are_read_where_only_one_reading_exists(tmp_path: Path) -> None:
    row = '2024-04-08,BRK-A,Financials,"618,000.5","1,234,567","12,345"'
    accepted = read_one(csv(tmp_path / "panel.csv", row))
    assert accepted.select("open", "close", "volume").row(0) == (618000.5, 1234567.0, 12345.0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("Date,Ticker,Open,Close,Volume\n", "a header but no rows"),
        (
            "Date,Ticker,Open,Volume\n2024-04-08,AAPL,1,1\n",
            r"missing column close \(accepted: Close.*found Date, Ticker",
        ),
        (
            "Date,Ticker,Open,Opening Price,Close,Volume\n1,2,3,4,5,6\n",
            r"columns \['Open', 'Opening Price'\] all mean open",
        ),
        ("Date,Ticker;Open,Close,Volume\n1,2;3,4,5\n", "mixes the separators"),
        ("Date,Ticker,Open,Close,Volume\n2024-04-08;AAPL;1;2;3\n", "line 2 is separated by ';', the header by ','"),
        ("Date,Ticker,Open,Close,Volume\n2024-04-08,AAPL,1\n", "no row has the header's 5 fields"),
        ("Date,Ticker,Open,Close,Volume\r2024-04-08,AAPL,1,2,3\r", "carriage return alone"),
        (
            "Date,Ticker,Open,Close,Volume\n2024-04-08,AAPL,1,2,3.500\n",
            "volumes like 3.500 may be decimal or thousands; say which, in panel.yaml",
        ),
        ("Date,Ticker,Open,Close,Volume\n2024-04-08,AAPL,1.500,2.500,3\n2024-04-09,AAPL,998,1.003,3\n", "prices like"),
        (
            "Date;Ticker;Open;Close;Volume\n2024-04-08;AAPL;1,234;1,235;3\n",
            "may have a decimal comma.*in panel.yaml",
        ),
        ("Date,Ticker,Open,Close,Volume\n2024-13-08,AAPL,1,2,3\n", "no row is usable; the first was rejected because"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_problem(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "panel.csv"
    path.write_text(content)
    with pytest.raises(BadInput, match=problem) as caught:
        read_one(path)
    assert "panel.csv" in str(caught.value)


def test_files_that_are_no_tables_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("Date,Ticker,Börse\n".encode("latin-1"))
    (tmp_path / "text.parquet").write_text("Date,Ticker\n")
    with pytest.raises(BadInput, match="not a UTF-8 text file"):
        read_one(tmp_path / "latin.csv")
    with pytest.raises(BadInput, match="not a readable Parquet file"):
        read_one(tmp_path / "text.parquet")
    with pytest.raises(BadInput, match="no such file"):
        read_one(tmp_path / "absent.csv")
    with pytest.raises(BadInput, match="no panel file is given"):
        read_files([], spec=panel_spec())


@pytest.mark.parametrize(
    "content",
    [
        # a decimal of three digits is one where others have another number of digits, or all have three
        "Date,Ticker,Open,Close,Volume\n2024-04-08,AAPL,78.125,79.5,3\n2024-04-09,AAPL,79,80,3\n",
        "Date,Ticker,Open,Close,Volume\n2024-04-08,AAPL,78.125,79.500,3\n2024-04-09,AAPL,79.125,80.250,3\n",
        # volumes of an adjusted feed are no whole numbers
        "Date,Ticker,Open,Close,Volume\n2024-04-08,AAPL,1,2,812.345\n2024-04-09,AAPL,1,2,1812.5\n",
    ],
)
def test_decimals_of_three_digits_are_read_where_the_file_is_unambiguous(tmp_path: Path, content: str) -> None:
    path = tmp_path / "panel.csv"
    path.write_text(content)
    accepted = read_one(path)
    wanted = [[float(x) for x in line.split(",")[2:]] for line in content.splitlines()[1:]]
    assert [list(row) for row in accepted.select("open", "close", "volume").iter_rows()] == wanted


def test_a_few_slips_do_not_make_thousands_decimals(tmp_path: Path) -> None:
    days = sessions("XNYS", MONDAY, MONDAY + dt.timedelta(days=60))
    rows = [f"{day},AAPL,1,2,{'12.34' if k == 0 else '12.345'}" for k, day in enumerate(days)]
    with pytest.raises(BadInput, match=r"volumes like 12\.345 may be decimal or thousands"):
        read_one(csv(tmp_path / "panel.csv", *rows, header="Date,Ticker,Open,Close,Volume"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('2024-04-09,AA"PL,1,2,3', "a quotation mark stands inside a field or is not closed"),
        ('2024-04-09,"AA"PL,1,2,3', "a quotation mark stands inside a field or is not closed"),
        ('2024-04-09,"AA""PL",1,2,3', "the ticker holds a character that tickers do not have"),
        ("2024-04-09,AA\x00PL,1,2,3", "a control character stands in the row"),
        (
            "2024-04-09,AAPL\u200b,1,2,3",
            "the ticker holds a character",
        ),
        ("2024-04-09,aapl,1,2,3", "aapl differs from AAPL by capitals alone"),
        ("2024-04-09,AAPL,1e400,2,3", "open is not finite"),
        ("2024-04-09,AAPL,$1,2,3", "open is not a number"),
        ("2024-04-09,AAPL,１,2,3", "open is not a number"),
        ("04/09/2024,AAPL,1,2,3", "the date is missing or not an ISO date"),
        ("Date,Ticker,Open,Close,Volume", "the date is missing or not an ISO date"),
    ],
)
def test_malformed_dates_numbers_and_tickers_are_rejected(tmp_path: Path, row: str, reason: str) -> None:
    good = ["2024-04-08,AAPL,1.5,2.5,3", "2024-04-10,AAPL,1.5,2.5,3"]
    accepted, reading = read_files(
        [csv(tmp_path / "p.csv", good[0], row, good[1], header="Date,Ticker,Open,Close,Volume")], spec=panel_spec()
    )
    assert accepted.height == 2
    (rejected,) = reading.rejected.to_dicts()
    assert (rejected["line"], rejected["row"]) == (3, row)
    assert rejected["reason"].startswith(reason)


@pytest.mark.parametrize("block", [40, 1000])
def test_a_row_before_a_fragment_may_be_cut_off_too(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_tables, "BLOCK_BYTES", block)
    rows = ["2024-04-08,AAPL,1.5,2.5,7", "2024-04-09,AAPL,1.5,2.5,81", "2345", "2024-04-10,AAPL,1.5,2.5,9"]
    path = csv(tmp_path / "p.csv", *rows, header="Date,Ticker,Open,Close,Volume")
    accepted, reading = read_files([path], spec=panel_spec())
    assert accepted["volume"].to_list() == [7, 9]
    assert reading.rejected.select("line", "reason").rows() == [
        (3, "the next line is a fragment, so this one may be cut off"),
        (4, "1 fields instead of 5"),
    ]


@pytest.mark.parametrize(
    ("header", "last", "volumes", "reasons"),
    [
        ("Date,Ticker,Open,Close,Volume", "2024-04-10,AAPL,1.5,2.5,8123", [812345.0, 81234.0, None], []),
        ("Date,Ticker,Open,Close,Volume", "2024-04-10,AAPL,1.5,2", [812345.0, 81234.0], ["4 fields instead of 5"]),
        ("Date,Ticker,Volume,Open,Close", "2024-04-10,AAPL,9,1.5,2", [812345.0, 81234.0], ["the file ends without a"]),
    ],
)
def test_a_last_number_that_may_be_cut_off_is_not_read(
    tmp_path: Path, header: str, last: str, volumes: list[float | None], reasons: list[str]
) -> None:
    values = ("812345", "81234")
    rows = [
        f"2024-04-0{8 + k},AAPL,1.5,2.5,{v}" if header.endswith("Volume") else f"2024-04-0{8 + k},AAPL,{v},1.5,2.25"
        for k, v in enumerate(values)
    ]
    path = csv(tmp_path / "p.csv", *rows, header=header)
    path.write_text(path.read_text() + last)
    accepted, reading = read_files([path], spec=panel_spec())
    assert accepted["volume"].to_list() == volumes
    assert [
        reason[: len(wanted)] for reason, wanted in zip(reading.rejected["reason"], reasons, strict=True)
    ] == reasons


def test_a_last_field_as_long_as_all_others_is_whole_without_a_line_break(tmp_path: Path) -> None:
    rows = [f"2024-04-{day:02},AAPL,1.5,2.5,1000" for day in (8, 9, 10, 11)]
    path = csv(tmp_path / "p.csv", *rows, header="Date,Ticker,Open,Close,Volume")
    path.write_text(path.read_text().rstrip("\n"))
    assert read_one(path)["volume"].to_list() == [1000.0] * 4


@pytest.mark.parametrize("block", [40, 64, 1000])
def test_a_file_read_in_blocks_is_the_file_read_whole(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = sessions("XNYS", MONDAY, MONDAY + dt.timedelta(days=40))
    rows = [f"{day},{ticker},1.5,{k + 2}.25,{k}" for k, day in enumerate(days) for ticker in ("MSFT", "AAPL")]
    rows[7:7] = ["", "2024-04-09,AAPL,x,2,3", rows[3]]
    path = csv(tmp_path / "p.csv", *rows, header="Date,Ticker,Open,Close,Volume")
    panel, whole = read_files([path], spec=panel_spec())
    monkeypatch.setattr(text_tables, "BLOCK_BYTES", block)
    in_blocks, parts = read_files([path], spec=panel_spec())
    assert in_blocks.equals(panel)
    assert parts.rejected.equals(whole.rejected)
    assert whole.rejected["line"].to_list() == [10, 11]
    assert parts.rows_read == whole.rows_read == len(rows) - 1


def test_tickers_resolved_one_at_a_time_give_the_whole_panel(tmp_path: Path) -> None:
    days = sessions("XNYS", MONDAY, MONDAY + dt.timedelta(days=20))
    first = csv(tmp_path / "1.csv", *(f"{day},{t},T,1,2,3" for day in days for t in ("B", "A", "C")))
    second = csv(tmp_path / "2.csv", *(f"{day},{t},T,1,2.5,3" for day in days[3:5] for t in ("B", "C")))
    panel, whole = read_files([first, second], spec=panel_spec())
    (tmp_path / "scratch").mkdir()
    files = [InputFile(path, path.name) for path in (first, second)]
    reading = Reading(files, spec=panel_spec(), scratch=tmp_path / "scratch", rows_per_part=1)
    parts = list(reading.parts())
    assert [part["ticker"].unique().to_list() for part in parts] == [["A"], ["B"], ["C"]]
    assert pl.concat(parts).equals(panel)
    assert reading.rejected.equals(whole.rejected)
    assert reading.flags.equals(whole.flags)
    assert reading.revisions.equals(whole.revisions)
    assert whole.revisions.height == 4
