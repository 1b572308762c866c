"""Rivals' files: what is read of the three forms, and the sentence that each bad file gets."""

import datetime as dt
import gzip
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.core.rivals.read import (
    AVAILABLE,
    NORMAL_FORM,
    POINT_FORM,
    QUANTILE_FORM,
    ROWS,
    read_rival,
    rival_name,
    rival_of_table,
)
from forecast_assets_tests.helpers.scores import normal_quantiles

POINT = "date,ticker,horizon,returns,forecast"
NORMAL = "date,ticker,horizon,returns,mean,sigma"
BAND = "date,ticker,horizon,returns," + ",".join(QUANTILE_COLUMNS)
TIMED = f"{POINT},available_at"
ROW = "2024-01-31,AAPL,1,log,0.01"


def write(folder: Path, *lines: str, name: str = "friend.csv") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def quantiles(rows: pl.DataFrame) -> list[float]:
    return list(rows.select(QUANTILE_COLUMNS).row(0))


def test_a_point_forecast_is_a_mean_without_quantiles(tmp_path: Path) -> None:
    found = read_rival(write(tmp_path, POINT, ROW, " 2024-02-01 , MSFT ,5,Log,-2e-3"))
    assert (found.name, found.file, found.form, found.returns) == ("friend", "friend.csv", POINT_FORM, "log")
    assert not found.has_band
    assert not found.timed
    assert found.rows.select("date", "ticker", "horizon", "mean").rows() == [
        (dt.date(2024, 1, 31), "AAPL", 1, 0.01),
        (dt.date(2024, 2, 1), "MSFT", 5, -0.002),
    ]
    assert found.rows.select(QUANTILE_COLUMNS).null_count().row(0) == (2,) * 7


def test_mean_and_sigma_are_the_quantiles_of_a_normal(tmp_path: Path) -> None:
    found = read_rival(write(tmp_path, NORMAL, "2024-01-31,AAPL,1,log,0.01,0.02"))
    assert found.form == NORMAL_FORM
    assert quantiles(found.rows) == pytest.approx(normal_quantiles(0.01, 0.02).tolist())


def test_moments_of_simple_returns_become_those_of_the_lognormal(tmp_path: Path) -> None:
    found = read_rival(write(tmp_path, NORMAL, "2024-01-31,AAPL,20,simple,0.03,0.2"))
    low, middle, high = (quantiles(found.rows)[k] for k in (1, 3, 5))
    location, scale = middle, (high - low) / 2 / 1.6448536269514722
    draws = np.expm1(location + scale * np.random.default_rng(0).standard_normal(400_000))
    assert draws.mean() == pytest.approx(0.03, abs=0.001)
    assert draws.std() == pytest.approx(0.2, abs=0.001)


def test_quantiles_and_points_of_simple_returns_become_log_returns(tmp_path: Path) -> None:
    simple = [-0.5, -0.1, -0.01, 0.0, 0.02, 0.1, 0.5]
    found = read_rival(write(tmp_path, BAND, "2024-01-31,AAPL,1,simple," + ",".join(map(str, simple))))
    assert found.form == QUANTILE_FORM
    assert quantiles(found.rows) == pytest.approx([math.log1p(r) for r in simple])
    point = read_rival(write(tmp_path, POINT, "2024-01-31,AAPL,1,simple,0.1"))
    assert point.rows["mean"].to_list() == pytest.approx([math.log(1.1)])


@pytest.mark.parametrize(
    "text", ["2024-01-31T22:05Z", "2024-01-31 22:05:00+00:00", "2024-01-31T17:05-05:00", "2024-01-31T17:05:00.0-0500"]
)
def test_a_time_with_a_zone_is_read_whatever_its_notation(tmp_path: Path, text: str) -> None:
    found = read_rival(write(tmp_path, TIMED, f"{ROW},{text}"))
    assert found.timed
    assert found.rows[AVAILABLE].to_list() == [dt.datetime(2024, 1, 31, 22, 5, tzinfo=dt.UTC)]


def test_parquet_and_gzip_hold_the_same_as_the_csv(tmp_path: Path) -> None:
    plain = write(tmp_path, TIMED, f"{ROW},2024-01-31T22:05Z")
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    table = pl.DataFrame(
        {
            "Date": [dt.datetime(2024, 1, 31)],
            "Ticker": pl.Series(["AAPL"], dtype=pl.Categorical),
            "horizon": pl.Series([1.0]),
            "returns": ["log"],
            "forecast": pl.Series([0.01], dtype=pl.Float32),
            "available_at": pl.Series([dt.datetime(2024, 1, 31, 17, 5)]).dt.replace_time_zone("America/New_York"),
        }
    )
    table.write_parquet(tmp_path / "columns.parquet")
    expected = read_rival(plain).rows
    assert read_rival(packed).rows.equals(expected)
    typed = read_rival(tmp_path / "columns.parquet").rows
    assert typed.drop("mean").equals(expected.drop("mean"))
    assert typed["mean"].to_list() == pytest.approx([0.01])


def test_an_empty_line_and_a_byte_order_mark_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "friend.csv"
    path.write_bytes(f"\ufeff{POINT}\r\n{ROW}\r\n\r\n".encode())
    assert read_rival(path).rows.height == 1


@pytest.mark.parametrize("value", [[1.0, 2.0], True, dt.timedelta(1), b"x", dt.time(1)])
@pytest.mark.parametrize("column", ["date", "ticker", "horizon", "returns", "forecast", "available_at"])
def test_a_column_of_neither_text_numbers_nor_times_is_refused(tmp_path: Path, column: str, value: object) -> None:
    good = {"date": "2024-01-31", "ticker": "A", "horizon": 1, "returns": "log", "forecast": 0.1}
    pl.DataFrame([good | {"available_at": "2024-01-31T22:05Z"} | {column: value}]).write_parquet(tmp_path / "f.parquet")
    with pytest.raises(BadInput, match=rf"^f.parquet: column {column} holds .*; write text, numbers or times"):
        read_rival(tmp_path / "f.parquet")


def test_forecasts_after_the_replayed_day_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, POINT, ROW, "2024-02-01,AAPL,1,log,0.01")
    assert read_rival(path, until=dt.date(2024, 1, 31)).rows.height == 1


HALF = BAND.replace(",q75", "")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([POINT], "no row; a file of forecasts has date, ticker, horizon, returns and either q025"),
        ([POINT.replace("horizon", "h"), ROW], "unknown columns ['h']; rename or remove them"),
        ([POINT.replace("forecast", "forcast"), ROW], "unknown columns ['forcast'] (forcast may be forecast)"),
        ([POINT.replace("ticker,", ""), ROW.replace("AAPL,", "")], "missing columns ['ticker']; a file of forecasts has"),
        ([POINT.replace("returns,", ""), ROW.replace("log,", "")], "missing columns ['returns']; returns holds log or"),
        (["date,ticker,horizon,returns", ROW[:-5]], "no forecasts; keep one form: q025, q05"),
        ([POINT + ",mean,sigma", ROW + ",0,1"], "columns of mean and sigma and of point forecast; keep one form"),
        ([HALF, ROW], "missing columns ['q75']; quantiles are all of q025"),
        ([POINT + ",forecast", ROW + ",1"], "columns ['forecast'] are there twice; keep one of each"),
        ([POINT + ",Forecast", ROW + ",1"], "columns ['forecast'] are there twice; keep one of each"),
        ([POINT, ROW.replace("2024-01-31", "31/01/2024")], "line 2: the date is not one like 2024-01-31"),
        ([POINT, ROW.replace("AAPL", " ")], "line 2: the ticker is missing"),
        ([POINT, ROW.replace(",1,", ",1.5,")], "line 2: the horizon is no whole number of sessions"),
        ([POINT, ROW.replace(",1,", ",0,")], "line 2: the horizon is no whole number of sessions"),
        ([POINT, ROW.replace(",1,", ",99999999999,")], "line 2: the horizon is no whole number of sessions"),
        ([POINT, ROW.replace(",1,", ",nan,")], "line 2: the horizon is no whole number of sessions"),
        ([POINT, ROW.replace("log", "percent")], "line 2: returns is not log or simple; write which"),
        ([POINT, ROW, ROW.replace("log", "simple")], "line 3: returns is not what line 2 says; write one kind"),
        ([POINT, ROW, ROW[:-4] + "n/a", ROW[:-4] + "NaN"], "line 3 (and 1 more): forecast is not a number"),
        ([NORMAL, ROW + ",inf"], "line 2: sigma is not a number"),
        ([NORMAL, ROW + ","], "line 2: sigma is not a number"),
        ([NORMAL, ROW + ",0"], "line 2: sigma is not above zero"),
        ([POINT, "2024-01-31,AAPL,1,simple,-1.2"], "line 2: a simple return of -1 or less loses more than everything"),
        ([BAND, "2024-01-31,AAPL,1,log,1,2,3,4,5,7,6"], "line 2: its quantiles cross; sort them from q025 to q975"),
        ([TIMED, ROW + ",2024-01-31T22:05"], "line 2: available_at is not a time with its zone; write it like"),
        ([TIMED, ROW + ",2024-01-31"], "line 2: available_at is not a time with its zone"),
        ([TIMED, ROW + ","], "line 2: available_at is not a time with its zone"),
        ([POINT, ROW, ROW.replace("0.01", "0.02")], "line 2 (and 1 more): its date, ticker and horizon are there twice"),
        ([POINT, ROW + ",1,2"], "not readable as a CSV with commas"),
    ],
)  # fmt: skip
def test_a_file_that_can_t_be_used_gets_one_sentence(tmp_path: Path, lines: list[str], sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        read_rival(write(tmp_path, *lines))
    assert str(error.value).startswith(f"friend.csv: {sentence}")
    assert "\n" not in str(error.value)


def test_a_parquet_file_that_is_none_or_without_zones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"friend.parquet: not readable as a Parquet file"):
        read_rival(write(tmp_path, POINT, ROW, name="friend.parquet"))
    table = pl.read_csv(write(tmp_path, TIMED, f"{ROW},2024-01-31T22:05:00"), try_parse_dates=True)
    assert table.schema["available_at"] == pl.Datetime("us")
    table.write_parquet(tmp_path / "naive.parquet")
    with pytest.raises(BadInput, match=r"naive.parquet: line 1: available_at is not a time with its zone"):
        read_rival(tmp_path / "naive.parquet")


def test_a_forecast_table_of_ours_is_a_rival_with_its_rows() -> None:
    quantiles = np.sort(np.random.default_rng(0).normal(size=(2, 3, 7)))
    table = forecast_table(
        date=pl.Series([dt.date(2024, 1, 31)] * 2), ticker=["AAPL", "MSFT"], quantiles=quantiles, y=np.zeros((2, 3)),
        split="test", model="f0_chronos",
    )  # fmt: skip
    found = rival_of_table(table, name="f0_chronos")
    assert (found.name, found.form, found.returns, found.made_here) == ("f0_chronos", QUANTILE_FORM, "log", True)
    assert found.rows.schema == pl.Schema(ROWS)
    assert found.rows.drop(AVAILABLE, "mean").equals(table.select(found.rows.drop(AVAILABLE, "mean").columns))


def test_the_name_of_our_zero_shot_forecasts_is_taken(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"f0_chronos.csv: f0_chronos is what our own zero-shot forecasts are called"):
        rival_name(tmp_path / "f0_chronos.csv")


def test_two_files_of_one_name_are_both_refused(tmp_path: Path) -> None:
    folder = [tmp_path / name for name in ("friend.csv", "friend.parquet", "other.csv", "notes.txt")]
    assert rival_name(folder[2], beside=folder) == "other"
    for path, twin in ((folder[0], folder[1]), (folder[1], folder[0])):
        with pytest.raises(BadInput, match=rf"^{path.name}: {twin.name} names the same rival, and nothing says which"):
            rival_name(path, beside=folder)


@pytest.mark.parametrize(
    "name", ["friend.xlsx", "my friend.csv", "x_raw.csv", ".csv", "a:b.parquet", "x" * 41 + ".csv"]
)
def test_a_file_whose_name_names_no_rival_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"rival"):
        rival_name(tmp_path / name)
    assert rival_name(tmp_path / "Friend-2_b.CSV") == "Friend-2_b"
