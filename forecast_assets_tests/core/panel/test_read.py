"""Files that can't be used say so in one sentence; files that can are read whatever they look like."""

from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.ingest import read_drops
from forecast_assets_tests.builders import csv, panel_spec

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
    return read_drops([path], spec=panel_spec()).accepted


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
        ("Date,Ticker,Open,Close,Adj Close,Volume\n1,2,3,4,5,6\n", r"columns \['Close', 'Adj Close'\] all mean close"),
        ("Date,Ticker;Open,Close,Volume\n1,2;3,4,5\n", "mixes the separators"),
        ("Date,Ticker,Open,Close,Volume\n2024-04-08;AAPL;1;2;3\n", "no row has the header's 5 fields"),
        ("Date;Ticker;Open;Close;Volume\n2024-04-08;AAPL;1,234;1,235;3\n", "decimal or thousands"),
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
    (tmp_path / "utf16.csv").write_bytes("Date,Ticker\n".encode("utf-16"))
    (tmp_path / "text.parquet").write_text("Date,Ticker\n")
    with pytest.raises(BadInput, match="not a UTF-8 text file"):
        read_one(tmp_path / "utf16.csv")
    with pytest.raises(BadInput, match="not a readable Parquet file"):
        read_one(tmp_path / "text.parquet")
    with pytest.raises(BadInput, match="no such file"):
        read_one(tmp_path / "absent.csv")
    with pytest.raises(BadInput, match="no panel file is given"):
        read_drops([], spec=panel_spec())
