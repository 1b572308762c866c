"""Exports as people have them are recognised by their shape, and read as what they hold."""

import datetime as dt
import gzip
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.folders import find_files
from forecast_assets.core.panel.read import open_table
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.reading import read_folder

Row = tuple[str, str, float, float, float | None]
LONG = {
    "Stooq": (
        "p.txt",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\nIBM.US,D,20240410,000000,10,12,9,11,500,0\n",
        ("IBM.US", "2024-04-10", 10, 11, 500),
    ),
    "Nasdaq.com": (
        "IBM.csv",
        "Date,Close/Last,Volume,Open,High,Low\n04/22/2024,$11.00,500,$10.00,$12.00,$9.00\n",
        ("IBM", "2024-04-22", 10, 11, 500),
    ),
    "investing.com": (
        "IBM Historical Data.csv",
        '"Date","Price","Open","High","Low","Vol.","Change %"\n"Apr 10, 2024","1,011.5","1,010.0","1,012.0","1,009.0",'
        '"1.25M","0.1%"\n',
        ("IBM", "2024-04-10", 1010.0, 1011.5, 1_250_000),
    ),
    "Tiingo": (
        "p.csv",
        "date,ticker,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,splitFactor\n"
        "2024-04-10T00:00:00.000Z,IBM,44,48,36,40,125,11,12,9,10,500,0.0,1.0\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "Alpha Vantage": (
        "daily_adjusted_IBM.csv",
        "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient\n"
        "2024-04-10,20,24,18,22,11,500,0.0,1.0\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "EODHD": (
        "IBM.US.csv",
        "Date,Open,High,Low,Close,Adjusted_close,Volume\n2024-04-10,20,24,18,22,11,500\n",
        ("IBM.US", "2024-04-10", 10, 11, 500),
    ),
    "Polygon": (
        "p.csv",
        "ticker,volume,open,close,high,low,window_start,transactions\nIBM,500,10,11,12,9,1712721600000000000,7\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "Alpaca": (
        "p.csv",
        "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
        "IBM,2024-04-10 04:00:00+00:00,10,12,9,11,500,7,10.5\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "Yahoo download": (
        "IBM.csv",
        "Date,Open,High,Low,Close,Adj Close,Volume\n2024-04-10,20,24,18,22,11,500\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "yfinance history": (
        "IBM.csv",
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n2024-04-10 00:00:00-04:00,10,12,9,11,500,0.0,0.0\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "MetaTrader": (
        "IBM_Daily.csv",
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n2024.04.10\t10\t12\t9\t11\t7\t500\t1\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "long table": (
        "p.csv",
        "date,symbol,open,close,low,high,volume\n2024-04-10 00:00:00,IBM,10,11,9,12,500\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "Nasdaq Data Link": (
        "p.csv",
        "ticker,Date,Open,Close,Volume,Ex-Dividend,Split Ratio,Adj. Open,Adj. Close,Adj. Volume\n"
        "IBM,2024-04-10,20,22,250,0.0,1.0,10,11,500\n",
        ("IBM", "2024-04-10", 10, 11, 500),
    ),
    "one file per ticker": (
        "daily-IBM.csv",
        "date,open,high,low,close\n2024-04-10,10,12,9,11\n",
        ("IBM", "2024-04-10", 10, 11, None),
    ),
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(panel: pl.DataFrame) -> list[Row]:
    table = panel.select("ticker", pl.col("date").cast(pl.String), "open", "close", "volume")
    return table.sort("ticker", "date").rows()


@pytest.mark.parametrize("layout", LONG)
def test_an_export_is_recognised_and_read_without_an_option(tmp_path: Path, layout: str) -> None:
    name, content, expected = LONG[layout]
    write(tmp_path, name, content)
    panel, reading = read_folder(tmp_path)
    assert rows(panel) == [expected]
    assert reading.files_read[0].layout.name == layout


WIDE = {
    "one ticker, three header rows": (
        "Price,Close,High,Low,Open,Volume\nTicker,IBM,IBM,IBM,IBM,IBM\nDate,,,,,\n2024-04-10,11,12,9,10,500\n",
        [("IBM", "2024-04-10", 10, 11, 500)],
    ),
    "fields above tickers": (
        "Price,Close,Close,Open,Open,Volume,Volume\nTicker,IBM,KO,IBM,KO,IBM,KO\nDate,,,,,,\n"
        "2024-04-10,11,22,10,20,500,600\n2024-04-11,12,,11,,700,\n",
        [("IBM", "2024-04-10", 10, 11, 500), ("IBM", "2024-04-11", 11, 12, 700), ("KO", "2024-04-10", 20, 22, 600)],
    ),
    "tickers above fields": (
        "Ticker,IBM,IBM,IBM,KO,KO,KO\nPrice,Open,Close,Volume,Open,Close,Volume\nDate,,,,,,\n2024-04-10,10,11,500,20,22,600\n",
        [("IBM", "2024-04-10", 10, 11, 500), ("KO", "2024-04-10", 20, 22, 600)],
    ),
    "field and ticker in each name": (
        "Date,Open_IBM,Close_IBM,KO Open,KO Close\n2024-04-10,10,11,20,22\n",
        [("IBM", "2024-04-10", 10, 11, None), ("KO", "2024-04-10", 20, 22, None)],
    ),
    "adjusted close in each name": (
        "Date,IBM Open,IBM Close,IBM Adj Close\n2024-04-10,20,22,11\n",
        [("IBM", "2024-04-10", 10, 11, None)],
    ),
    "tickers that are names of fields": (
        "Price,Close,Close,Open,Open\nTicker,OPEN,LOW,OPEN,LOW\nDate,,,,\n2024-04-10,11,22,10,20\n",
        [("LOW", "2024-04-10", 20, 22, None), ("OPEN", "2024-04-10", 10, 11, None)],
    ),
    "such a ticker in each name": (
        "Date,OPEN_Open,OPEN_Close,IBM_Open,IBM_Close\n2024-04-10,10,11,20,22\n",
        [("IBM", "2024-04-10", 20, 22, None), ("OPEN", "2024-04-10", 10, 11, None)],
    ),
    "R's quantmod": (
        '"Index","IBM.Open","IBM.Close","IBM.Adjusted"\n"2024-04-10",20,22,11\n',
        [("IBM", "2024-04-10", 10, 11, None)],
    ),
    "adjusted close beside close": (
        "Price,Adj Close,Close,Open\nTicker,IBM,IBM,IBM\nDate,,,\n2024-04-10,11,22,20\n",
        [("IBM", "2024-04-10", 10, 11, None)],
    ),
}


@pytest.mark.parametrize("shape", WIDE)
def test_a_wide_table_becomes_a_row_per_ticker_and_day(tmp_path: Path, shape: str) -> None:
    content, expected = WIDE[shape]
    write(tmp_path, "p.csv", content)
    panel, reading = read_folder(tmp_path)
    assert rows(panel) == expected
    assert reading.rows_read == len(expected)


def test_an_unusable_cell_of_a_wide_table_is_rejected_with_its_own_fields(tmp_path: Path) -> None:
    content = (
        "Price,Close,Close,Open,Open\nTicker,IBM,KO,IBM,KO\nDate,,,,\n2024-04-10,11,x,10,20\n2024-04-11,11,22,10,21\n"
    )
    write(tmp_path, "p.csv", content)
    panel, reading = read_folder(tmp_path)
    assert panel.height == 3
    (rejected,) = reading.rejected.to_dicts()
    assert (rejected["line"], rejected["reason"]) == (4, "close is not a number")
    assert rejected["row"] == '{"date": "2024-04-10", "ticker": "KO", "close": "x", "open": "20"}'


def test_one_price_a_day_is_refused_until_its_reading_is_declared(tmp_path: Path) -> None:
    write(tmp_path, "p.csv", "Date,IBM,KO\n2024-04-10,11,22\n2024-04-11,12,23\n")
    with pytest.raises(BadInput, match=r"one price a day and no open.*panel\.yaml beside the file: one_price: true"):
        read_folder(tmp_path)
    write(tmp_path, "panel.yaml", "one_price: true\n")
    panel, _ = read_folder(tmp_path)
    assert panel.select("ticker", "open", "close").rows() == [
        ("IBM", 11, 11),
        ("IBM", 12, 12),
        ("KO", 22, 22),
        ("KO", 23, 23),
    ]


def test_encodings_preambles_and_compression_change_nothing(tmp_path: Path) -> None:
    text = "Date,Ticker,Open,Close,Volume\n2024-04-10,IBM,10,11,500\n"
    spelt = {
        "plain": text.encode(),
        "utf-16": text.encode("utf-16"),
        "excel": b"sep=,\r\n" + text.replace("\n", "\r\n").encode(),
        "preamble": b'"Downloaded, by somebody"\nSymbol: IBM\n\n' + text.encode(),
        "two marks of its encoding": b"\xef\xbb\xbf" * 2 + text.encode(),
        "two carriage returns": text.replace("\n", "\r\r\n").encode(),
        "trailing comma": text.replace("500\n", "500,\n").encode(),
        "gzip": gzip.compress(text.rstrip("\n").encode()),
    }
    for name, content in spelt.items():
        folder = tmp_path / name
        write(folder, "p.csv.gz" if name == "gzip" else "p.csv", content)
        assert rows(read_folder(folder)[0]) == [("IBM", "2024-04-10", 10, 11, 500)], name


def test_folders_say_fields_and_strangers_are_left_out_by_name(tmp_path: Path) -> None:
    table = pl.DataFrame({"Date": [dt.date(2024, 4, 10)], "Open": [10.0], "Close": [11.0], "Volume": [500]})
    for ticker in ("IBM", "M%26M.NS"):
        (tmp_path / f"Ticker={ticker}").mkdir()
        table.write_parquet(tmp_path / f"Ticker={ticker}" / "0.parquet")
    for name in (".DS_Store", "._p.csv", "README.txt", "p.csv.part", "p.swp", "book.xlsx"):
        write(tmp_path, name, b"PK\x03\x04" if name == "book.xlsx" else "text")
    write(tmp_path, "meta/symbols.csv", "Symbol,Name,Sector\nIBM,IBM Corp.,Tech\n")
    write(tmp_path, ".git/p.csv", "text")
    (tmp_path / "again").symlink_to(tmp_path)
    found = find_files(tmp_path, panel_spec())
    assert [file.constants["ticker"] for file in found.files] == ["IBM", "M&M.NS"]
    assert {name for name, _ in found.left_out} == {
        ".DS_Store", "._p.csv", "README.txt", "p.csv.part", "p.swp", "book.xlsx", "meta/symbols.csv", ".git",
        "again",
    }  # fmt: skip
    assert rows(read_folder(tmp_path)[0])[0] == ("IBM", "2024-04-10", 10, 11, 500)


def test_series_that_are_no_shares_are_outside_the_panel(tmp_path: Path) -> None:
    content = (
        "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
        "MARUTI,EQ,10,12,9,11,11,10,500,5500,10-APR-2024,7,INE1,\nMARUTI,N2,10,12,9,11,11,10,5,55,10-APR-2024,1,INE2,\n"
    )
    write(tmp_path, "cm10APR2024bhav.csv", content)
    panel, reading = read_folder(tmp_path)
    assert rows(panel) == [("MARUTI", "2024-04-10", 10, 11, 500)]
    assert panel["exchange"].to_list() == ["XBOM"]
    assert reading.rejected.select("reason", "class").rows() == [("series N2 is no share", "outside")]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("Tag,Kurs,Erster\n10.04.2024,11,10\n", "columns: {date: Tag, close: Kurs, open: Erster}\nticker: IBM\n"
         'date_format: "%d.%m.%Y"', ("2024-04-10", 10, 11)),
        ("Date,Ticker,Open,Close\n04/10/2024,IBM,10,11\n", 'date_format: "%m/%d/%Y"', ("2024-04-10", 10, 11)),
        ("Date;Ticker;Open;Close\n2024-04-10;IBM;1.010,5;1.011,25\n", 'decimal: ","', ("2024-04-10", 1010.5, 1011.25)),
        ("Date,Ticker,Open,Close,Adj Close\n2024-04-10,IBM,10,11,5.5\n", "adjust: none", ("2024-04-10", 10, 11)),
        ("Date,Ticker,Open,Close\n2024-04-10,IBM,10,11\n", 'files: {"p.*": {exchange: XETR}}', ("2024-04-10", 10, 11)),
    ],
)  # fmt: skip
def test_options_beside_the_files_settle_what_has_two_readings(
    tmp_path: Path, content: str, options: str, expected: tuple[object, ...]
) -> None:
    write(tmp_path, "p.csv", content)
    write(tmp_path, "panel.yaml", options)
    panel, _ = read_folder(tmp_path)
    assert panel.select(pl.col("date").cast(pl.String), "open", "close").row(0) == expected
    assert panel["exchange"].to_list() == ["XETR" if "XETR" in options else "XNYS"]


def test_a_decimal_point_is_no_number_where_commas_are_declared(tmp_path: Path) -> None:
    lines = ["2024-04-09;IBM;1.010,5;1.011,25;1.500", "2024-04-10;IBM;100.25;101.5;10", "2024-04-11;IBM;0.125;9;10"]
    write(tmp_path, "p.csv", "\n".join(["Date;Ticker;Open;Close;Volume", *lines, ""]))
    write(tmp_path, "panel.yaml", 'decimal: ","')
    panel, reading = read_folder(tmp_path)
    assert panel.select("open", "close", "volume").rows() == [(1010.5, 1011.25, 1500)]
    assert reading.rejected["reason"].to_list() == ["open is not a number"] * 2


def test_a_declared_column_is_taken_where_two_are_one_field(tmp_path: Path) -> None:
    write(tmp_path, "p.csv", "Date,Ticker,Open,Opening Price,Close\n2024-04-10,IBM,1,10,11\n")
    with pytest.raises(BadInput, match=r"all mean open; .* columns: \{open: Open\}"):
        read_folder(tmp_path)
    write(tmp_path, "panel.yaml", "columns: {open: Opening Price}")
    assert read_folder(tmp_path)[0]["open"].to_list() == [10]


def test_options_for_a_file_that_is_not_there_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "p.csv", "Date,Ticker,Open,Close\n2024-04-10,IBM,10,11\n")
    write(tmp_path, "panel.yaml", "files: {prices.csv: {adjust: none}, p.csv: {exchange: XNYS}}")
    assert find_files(tmp_path, panel_spec()).left_out == (("prices.csv", "no file fits this name of panel.yaml"),)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("- date_format", "it holds options by name"),
        ("hello", "it holds options by name"),
        ("columns: {opne: Foo}", "no field 'opne'; the nearest is open"),
        (
            "columns: {open: Foo}",
            "it has no column 'Foo' for open, which panel.yaml names; found Date, Ticker, Open, Close",
        ),
        ("date_fromat: x", "no option 'date_fromat'; the nearest is date_format"),
        ('files: {"*.csv": {tikcer: A}}', "no option 'tikcer'; the nearest is ticker"),
        ("decimal: point", "decimal: Input should be"),
        ("a: [", "not readable as YAML"),
        ('date_format: "%d/%m"', "needs %Y .or %y"),
    ],
)
def test_options_that_cannot_be_used_are_named(tmp_path: Path, options: str, problem: str) -> None:
    write(tmp_path, "p.csv", "Date,Ticker,Open,Close\n04/10/2024,IBM,10,11\n")
    write(tmp_path, "panel.yaml", options)
    with pytest.raises(BadInput, match=problem):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "ticker"),
    [
        ("ALL.csv", "ALL"),
        ("brk-b.csv", "BRK-B"),
        ("aapl.us.txt", "AAPL.US"),
        ("daily_IBM.csv", "IBM"),
        ("IBM-2020-2024.csv", "IBM"),
        ("7203.T.csv", "7203.T"),
        ("BTC-USD.csv.gz", "BTC-USD"),
        ("prices.csv", None),
        ("2024.csv", None),
        ("IBM KO.csv", None),
        ("2006-day-001.txt", None),
    ],
)
def test_a_file_names_its_ticker_or_is_refused(tmp_path: Path, name: str, ticker: str | None) -> None:
    content = b"Date,Open,Close\n2024-04-10,10,11\n"
    path = write(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    (file,) = find_files(path, panel_spec()).files
    if ticker is None:
        with pytest.raises(BadInput, match=r"the file's name does not say one; add to panel.yaml.*ticker: AAPL"):
            open_table(file, panel_spec())
    else:
        assert open_table(file, panel_spec()).layout.constants["ticker"] == ticker


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"SQLite format 3\x00", b"\xd0\xcf\x11\xe0", b"\x89HDF\r\n"])
def test_a_file_that_is_no_table_is_named_as_what_it_is(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "p.csv", content)
    with pytest.raises(BadInput, match=r"p\.csv: this is an? .*(CSV|Parquet|unzip)"):
        open_table(find_files(path, panel_spec()).files[0], panel_spec())


def test_a_damaged_gzip_file_is_one_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(b"Date,Ticker,Open,Close\n" + b"2024-04-10,IBM,10,11\n" * 500)
    path = write(tmp_path, "p.csv.gz", whole[:-20])
    with pytest.raises(BadInput, match="the gzip file is cut off or damaged"):
        open_table(find_files(path, panel_spec()).files[0], panel_spec())


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("t,o,h,l,c,v", "1712721600,10,12,9,11,500"),
        (",1. open,2. high,3. low,4. close,5. volume", "2024-04-10,10,12,9,11,500"),
        ("Datum;Erster;Hoch;Tief;Schlusskurs;Stück", "2024-04-10;10;12;9;11;500"),
        ("日付,始値,高値,安値,終値,出来高", "2024-04-10,10,12,9,11,500"),
        ("Date,Open,High,Low,Close,Volume,Closeadj", "2024-04-10,20,24,18,22,500,11"),
        ("Date,Trade Volume,Opening Price,Highest Price,Lowest Price,Closing Price", '"2024/04/10","500",10,12,9,11'),
    ],
)
def test_columns_are_known_in_other_words(tmp_path: Path, header: str, row: str) -> None:
    write(tmp_path, "IBM.csv", f"{header}\n{row}\n")
    assert rows(read_folder(tmp_path)[0]) == [("IBM", "2024-04-10", 10, 11, 500)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "Date,Trade symbol,Open,Close\n2024-04-10,IBM,10,11\n",
            r"column Trade symbol may hold tickers.*columns: .ticker",
        ),
        (
            "Date,Open,Close,Close EUR adjusted\n2024-04-10,10,11,5\n",
            r"Close EUR adjusted looks like adjusted.*adj_close",
        ),
        ("Date,IBM Open,IBM Close,IBM Close\n2024-04-10,10,11,5\n", r"columns 3 .* and 4 .* are both the close of IBM"),
        ("Date,price_open,price_close\n2024-04-10,10,11\n", "no header with a date and a price"),
        ("Date,OPEN_Open,OPEN_Close,LOW_Open,LOW_Close\n2024-04-10,1,2,3,4\n", "no header with a date and a price"),
        ("2024-04-10,10,12,9,11,500\n2024-04-11,10,12,9,11,500\n", "it has no header, only rows like"),
        ("Kurs,Tag\n11,2024-04-10\n", r"first line reads.*columns: .date: NAME"),
    ],
)
def test_a_table_with_no_single_reading_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    write(tmp_path, "IBM.csv", content)
    with pytest.raises(BadInput, match=problem):
        read_folder(tmp_path)


def test_a_ticker_column_makes_no_pseudo_ticker_of_a_prefix(tmp_path: Path) -> None:
    write(tmp_path, "p.csv", "Date,Ticker,PX_OPEN,PX_LAST,PX_VOLUME\n2024-04-10,IBM US Equity,10,11,500\n")
    assert rows(read_folder(tmp_path)[0]) == [("IBM US Equity", "2024-04-10", 10, 11, 500)]


def test_a_folder_says_the_day_only_where_the_file_does_not(tmp_path: Path) -> None:
    write(tmp_path, "date=2024-04-10/p.csv", "Ticker,Open,Close\nIBM,10,11\n")
    write(tmp_path, "date=2024-05-01/p.csv", "Date,Ticker,Open,Close\n2024-04-11,IBM,11,12\n")
    assert rows(read_folder(tmp_path)[0]) == [
        ("IBM", "2024-04-10", 10, 11, None),
        ("IBM", "2024-04-11", 11, 12, None),
    ]


def test_files_without_rows_and_links_back_do_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path, "IBM.csv", "Date,Open,Close\n2024-04-10,10,11\n")
    write(tmp_path, "KO.csv", "Date,Open,Close\n")
    write(tmp_path, "T.csv", b"PK\x03\x04")
    write(tmp_path, "_delta_log/0.csv", "Date,Open,Close\n2024-04-10,10,11\n")
    pl.DataFrame({"Date": [], "Open": [], "Close": []}).write_parquet(tmp_path / "part-1.parquet")
    pl.DataFrame({"symbol": ["IBM"], "name": ["IBM Corp."]}).write_parquet(tmp_path / "names.parquet")
    (tmp_path / "self").symlink_to(tmp_path)
    found = find_files(tmp_path, panel_spec())
    assert [file.name for file in found.files] == ["IBM.csv"]
    names = {"KO.csv", "T.csv", "names.parquet", "part-1.parquet", "_delta_log", "self"}
    assert {name for name, _ in found.left_out} == names


def test_a_file_that_stops_a_folder_is_named_with_the_line_that_skips_it(tmp_path: Path) -> None:
    write(tmp_path, "IBM.csv", "Date,Open,Close\n2024-04-10,10,11\n")
    write(tmp_path, "KO.csv", "Date,Close\n2024-04-10,11\n")
    with pytest.raises(BadInput, match=r'KO\.csv: .*go on without the file.*files: {"KO\.csv": {skip: true}}'):
        read_folder(tmp_path)


def test_a_column_of_nested_values_is_refused_by_its_name(tmp_path: Path) -> None:
    table = pl.DataFrame({"Date": ["2024-04-10"], "Ticker": ["IBM"], "Open": [[10.0]], "Close": [11.0]})
    table.write_parquet(tmp_path / "p.parquet")
    with pytest.raises(BadInput, match=r"p\.parquet: its column Open is of type List"):
        read_folder(tmp_path)


def test_a_dot_that_marks_no_thousands_is_no_number_beside_decimal_commas(tmp_path: Path) -> None:
    write(tmp_path, "p.csv", "Date;Ticker;Open;Close\n2024-04-10;IBM;1.010,5;1.011\n2024-04-11;IBM;1.010,5;12.5\n")
    write(tmp_path, "panel.yaml", 'decimal: ","')
    panel, reading = read_folder(tmp_path)
    assert rows(panel) == [("IBM", "2024-04-10", 1010.5, 1011, None)]
    assert reading.rejected["reason"].to_list() == ["close is not a number"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("Date,Ticker,Open,Closing Price,Close", "columns .*Close.* all mean close"),
        ("Date,Ticker,Open,Close,Adj Close", "its adjusted close is no close times a factor"),
    ],
)
def test_a_column_with_the_name_of_another_is_not_read_for_it(tmp_path: Path, header: str, problem: str) -> None:
    volumes = (812345, 9123, 77777, 450123, 33333, 912345, 1234)
    rows_of_it = [f"2024-04-{day:02},IBM,10.5,11.5,{v}" for day, v in zip(range(8, 20), volumes, strict=False)]
    write(tmp_path, "p.csv", "\n".join([header, *rows_of_it]) + "\n")
    with pytest.raises(BadInput, match=problem):
        read_folder(tmp_path)


def test_an_adjusted_close_of_some_cents_may_be_rounded_to_cents(tmp_path: Path) -> None:
    closes = [12.5 + k * 0.37 for k in range(12)]
    lines = [f"2024-04-{8 + k:02},IBM,{c:.2f},{c:.2f},{c * 0.008:.2f}" for k, c in enumerate(closes) if k % 7 < 5]
    write(tmp_path, "p.csv", "\n".join(["Date,Ticker,Open,Close,Adj Close", *lines]) + "\n")
    panel, _ = read_folder(tmp_path)
    assert panel.height == len(lines)
