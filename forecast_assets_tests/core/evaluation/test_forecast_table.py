"""The forecast table: schema, round trip, and its errors."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA, forecast_table, quantile_array
from forecast_assets.core.horizons import HORIZONS
from forecast_assets_tests.helpers.scores import normal_quantiles

DATES = np.array(["2024-01-03", "2024-01-02", "2024-01-02"], dtype="datetime64[D]")
TICKERS = ["A", "B", "A"]
MEAN = np.arange(9.0).reshape(3, 3) / 100
SIGMA = np.full((3, 3), 0.02)


def arguments(**changes: Any) -> dict[str, Any]:
    y = np.array([[0.1, 0.2, np.nan], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    given: dict[str, Any] = {
        "date": DATES,
        "ticker": TICKERS,
        "quantiles": normal_quantiles(MEAN, SIGMA),
        "y": y,
        "split": "test",
        "model": "m",
    }
    return given | changes


def test_the_table_has_the_agreed_schema_sorted_with_null_for_what_has_not_matured() -> None:
    table = forecast_table(**arguments(split=["test", "validation", "test"]))
    assert dict(table.schema) == FORECAST_SCHEMA
    assert table.select("date", "ticker", "horizon", "split").rows() == [
        (dt.date(2024, 1, day), ticker, horizon, split)
        for day, ticker, split in [(2, "A", "test"), (2, "B", "validation"), (3, "A", "test")]
        for horizon in HORIZONS
    ]
    assert table["y"].to_list() == [0.7, 0.8, 0.9, 0.4, 0.5, 0.6, 0.1, 0.2, None]
    assert table.drop("y").null_count().transpose().sum().item() == 0


def test_mean_and_sigma_come_from_the_quantiles_unless_given() -> None:
    implied = quantile_array(forecast_table(**arguments()))
    order = [2, 1, 0]
    np.testing.assert_allclose(implied.mean, MEAN[order], atol=1e-15)
    np.testing.assert_allclose(implied.sigma, SIGMA, rtol=1e-3)
    given = quantile_array(forecast_table(**arguments(mean=MEAN + 1, sigma=SIGMA * 2)))
    np.testing.assert_array_equal(given.mean, (MEAN + 1)[order])
    np.testing.assert_array_equal(given.sigma, SIGMA * 2)


def test_arrays_survive_the_round_trip_exactly_even_from_shuffled_rows() -> None:
    table = forecast_table(**arguments()).sample(fraction=1.0, shuffle=True, seed=0)
    arrays = quantile_array(table)
    assert arrays.date.tolist() == [dt.date(2024, 1, 2), dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
    assert arrays.ticker.tolist() == ["A", "B", "A"]
    expected = normal_quantiles(MEAN, SIGMA)[[2, 1, 0]]
    np.testing.assert_array_equal(arrays.quantiles, expected)
    np.testing.assert_array_equal(arrays.y, [[0.7, 0.8, 0.9], [0.4, 0.5, 0.6], [0.1, 0.2, np.nan]])


def crossing() -> np.ndarray:
    quantiles = normal_quantiles(MEAN, SIGMA)
    quantiles[0, 1, [2, 3]] = quantiles[0, 1, [3, 2]]
    quantiles[1, 1, 0] = np.nan
    return quantiles


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantiles": crossing()}, "of 9 forecasts, 1 have non-finite and 1 have crossing quantiles"),
        ({"quantiles": np.zeros((3, 3, 5))}, r"shape \(3, 3, 5\), expected \(3, 3, 7\)"),
        ({"sigma": -SIGMA}, "9 of 9 sigmas"),
        ({"mean": np.full((3, 3), np.nan)}, "9 of 9 means"),
        ({"y": np.zeros((3, 2))}, "y has shape"),
        ({"y": np.full((3, 3), np.inf)}, "9 of 9 outcomes"),
        ({"ticker": ["A", "A", "A"]}, "2 of 3 decisions"),
    ],
)
def test_a_bad_table_is_an_error_with_counts(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast_table(**arguments(**changes))


def test_reading_back_several_models_or_missing_horizons_is_an_error() -> None:
    table = forecast_table(**arguments())
    with pytest.raises(ValueError, match="holds 2"):
        quantile_array(pl.concat([table, table.with_columns(model=pl.lit("n"))]))
    with pytest.raises(ValueError, match=r"9 rows\), the table has 8 rows"):
        quantile_array(table[1:])
