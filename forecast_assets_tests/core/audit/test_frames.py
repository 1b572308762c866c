"""Frames are handed as they are asked for, and what comes back is read in any of its usual forms, or refused."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from forecast_assets.core.audit.frames import Handing, returned_table
from forecast_assets.core.errors import BadInput
from forecast_assets_tests.helpers.builders import panel, raw

ROWS = panel(raw("A", [1.0, 2.0]), raw("B", [3.0, 4.0], volumes=[10.0, None]))
D1, D2 = ROWS["date"][0], ROWS["date"][1]
HANDED = Handing("raw", "pandas").frame(ROWS)
WANTED = [("A", D1, 1.0), ("A", D2, 2.0), ("B", D1, 3.0), ("B", D2, 4.0)]


def test_raw_rows_are_handed_by_date_and_ticker_with_the_names_of_a_users_file() -> None:
    frame = Handing("raw", "polars").frame(ROWS)
    assert frame.columns == ["Date", "Ticker", "Sector", "Opening Price", "Closing Price", "Volume"]
    assert frame["Ticker"].to_list() == ["A", "B", "A", "B"]
    assert isinstance(Handing("raw", "polars lazy").frame(ROWS), pl.LazyFrame)
    assert Handing("calendar", "polars").frame(ROWS)["ticker"].to_list() == ["A", "A", "B", "B"]


def test_a_pandas_frame_has_datetimes_and_nan_and_can_be_written_to() -> None:
    frame = Handing("raw", "pandas").frame(ROWS)
    assert frame["Date"].dtype == "datetime64[ns]"
    assert np.isnan(frame["Volume"].to_numpy()[3])
    frame.loc[0, "Closing Price"] = 9.0
    assert ROWS["close"][0] == 1.0


@pytest.mark.parametrize(
    "found",
    [
        pl.DataFrame(WANTED, schema=["Ticker", "Date", "x"], orient="row"),
        pl.DataFrame(WANTED[::-1], schema=["ticker", "DATE", "x"], orient="row").lazy(),
        HANDED[["Date", "Ticker"]].assign(x=HANDED["Closing Price"]),
        HANDED.set_index(["Ticker", "Date"])["Closing Price"].rename("x"),
        HANDED["Closing Price"].rename("x"),
        HANDED[["Closing Price"]].set_axis(["x"], axis=1),
        HANDED.assign(Date=HANDED["Date"].dt.strftime("%Y-%m-%d"), x=HANDED["Closing Price"].astype("Float64"))[
            ["Date", "Ticker", "x"]
        ],
    ],
    ids=["polars", "lazy", "pandas", "index", "series", "same index", "text dates"],
)
def test_the_usual_forms_of_a_result_are_one_table(found: Any) -> None:
    table = returned_table(found, handed=HANDED)
    assert table.columns == ["ticker", "date", "x"]
    assert table.rows() == WANTED


def test_dates_by_tickers_are_one_column() -> None:
    wide = HANDED.pivot(index="Date", columns="Ticker", values="Closing Price")
    assert returned_table(wide, handed=HANDED).rows() == WANTED


def test_rows_without_any_value_are_left_out_and_nan_is_missing() -> None:
    found = HANDED[["Date", "Ticker"]].assign(x=[1.0, np.nan, np.nan, 2.0], y=[np.nan, np.nan, 5.0, np.inf])
    assert returned_table(found, handed=HANDED).rows() == [
        ("A", D1, 1.0, None),
        ("A", D2, None, 5.0),
        ("B", D2, 2.0, np.inf),
    ]


def test_what_is_no_number_is_compared_as_text() -> None:
    found = HANDED[["Date", "Ticker"]].assign(x=pd.Categorical(["u", "v", "u", "v"]), y=[[1], [2], None, [3]])
    assert returned_table(found, handed=HANDED).row(1)[2:] == ("u", None)
    mixed = HANDED[["Date", "Ticker"]].assign(x=[1, "a", None, 2.5])
    assert returned_table(mixed, handed=HANDED)["x"].to_list() == ["1", "a", "2.5"]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "returns nothing; a polars or pandas frame is needed"),
        (5, "returns an int; a polars or pandas frame is needed"),
        (pl.DataFrame({"Date": [D1], "x": [1.0]}), "returns columns ['Date', 'x']; a ticker and a date column"),
        (pl.DataFrame({"Date": [D1], "Ticker": ["A"]}), "returns a ticker and a date and no column beside them"),
        (pl.DataFrame({"Date": [D1, D1], "Ticker": ["A", "A"], "x": [1.0, 2.0]}), f"several rows for A on {D1}"),
        (
            pl.DataFrame({"Date": [D1, None], "Ticker": ["A", "A"], "x": [1.0, 2.0]}),
            "1 rows without a ticker or a date",
        ),
        (pl.DataFrame({"Date": [20240408], "Ticker": ["A"], "x": [1.0]}), "dates that are Int64"),
        (pl.DataFrame({"Date": ["8 April"], "Ticker": ["A"], "x": [1.0]}), "text that is not like 2024-05-31"),
    ],
    ids=["nothing", "number", "no ticker", "no feature", "twice", "no date", "number dates", "odd dates"],
)
def test_any_other_result_is_refused_in_a_sentence(found: Any, problem: str) -> None:
    with pytest.raises(BadInput) as raised:
        returned_table(found, handed=HANDED)
    assert problem in str(raised.value)


@pytest.mark.parametrize("convert", [lambda d: d.dt.tz_localize("Europe/Paris"), lambda d: d.dt.to_period("D")])
def test_dates_of_a_zone_and_periods_are_the_dates_they_show(convert: Any) -> None:
    found = HANDED[["Ticker"]].assign(Date=convert(HANDED["Date"]), x=HANDED["Closing Price"])
    assert returned_table(found, handed=HANDED).rows() == WANTED


def test_datetimes_are_taken_by_their_date() -> None:
    found = pl.DataFrame({"Date": [dt.datetime(2024, 4, 8, 17)], "Ticker": ["A"], "x": [1.0]})
    assert returned_table(found, handed=HANDED)["date"][0] == dt.date(2024, 4, 8)
