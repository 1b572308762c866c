"""Declared corrections apply where the panel has the declared error and nowhere else."""

import datetime as dt
import math

import polars as pl
import pytest

from forecast_assets.core.panel.corrections import apply_corrections
from forecast_assets.core.specs import Correction
from forecast_assets_tests.helpers.builders import MONDAY, REFERENCE, panel, raw, reference_corrections

WEDNESDAY = MONDAY + dt.timedelta(days=2)


def false_return(log_return: float) -> Correction:
    return Correction(ticker="DHR", kind="neutralise_return", date=WEDNESDAY, log_return=log_return, reason="test")


def test_a_false_return_becomes_zero_and_later_prices_stay() -> None:
    rows = panel(raw("DHR", [10.0, 20.0, 30.0, 33.0], opens=[8.0, 16.0, 28.0, 30.0]), raw("MSFT", [1.0, 2.0, 3.0, 4.0]))
    fixed, report = apply_corrections(rows, corrections=[false_return(math.log(1.5))])
    own = fixed.filter(pl.col("ticker") == "DHR")
    assert own["close"].to_list() == [15.0, 30.0, 30.0, 33.0]
    assert own["open"].to_list() == [12.0, 24.0, 28.0, 30.0]
    assert fixed.filter(pl.col("ticker") == "MSFT").equals(rows.filter(pl.col("ticker") == "MSFT"))
    assert report.select("ticker", "kind", "rows").rows() == [("DHR", "neutralise_return", 2)]


@pytest.mark.parametrize("closes", [[10.0, 20.0, 31.0, 33.0], [10.0, 20.0], [None, None, 30.0, 33.0]])
def test_another_return_is_left_alone(closes: list[float | None]) -> None:
    rows = raw("DHR", closes)
    fixed, report = apply_corrections(rows, corrections=[false_return(math.log(1.5))])
    assert fixed.equals(rows)
    assert report.is_empty()


@pytest.mark.parametrize(("volumes", "left"), [([0.0, None, 5.0, 5.0], 1), ([0.0, 5.0, 5.0, 5.0], 4)])
def test_a_range_is_trimmed_only_where_it_hardly_trades(volumes: list[float | None], left: int) -> None:
    trim = Correction(ticker="SW", kind="trim", date=MONDAY, end=WEDNESDAY, reason="test")
    fixed, report = apply_corrections(raw("SW", [1.0, 2.0, 3.0, 4.0], volumes=volumes), corrections=[trim])
    assert fixed.height == left
    assert report.height == (left == 1)


@pytest.mark.skipif(not (REFERENCE / "panel.parquet").exists(), reason="the reference panel is not beside the checkout")
def test_all_declared_corrections_apply_to_the_reference_panel() -> None:
    declared = [Correction.model_validate(entry) for entry in reference_corrections()]
    names = {"Date": "date", "Ticker": "ticker", "Opening Price": "open", "High": "high", "Low": "low"}
    delivered = (
        pl.scan_parquet(REFERENCE / "panel.parquet")
        .filter(pl.col("Ticker").is_in([correction.ticker for correction in declared]))
        .rename({**names, "Closing Price": "close", "Volume": "volume"})
        .with_columns(pl.col("open", "high", "low", "close", "volume").cast(pl.Float64))
        .collect()
    )
    fixed, report = apply_corrections(delivered, corrections=declared)
    assert report.select("ticker", "rows").rows() == [("DHR", 1636), ("VIV.PA", 2546), ("AMCR", 1778), ("SW", 3650)]
    assert fixed.filter(pl.col("volume") == 0)["ticker"].to_list() == ["VIV.PA"]  # its phantom, which ingest rejects
    repaired = [(correction.ticker, correction.date) for correction in declared if correction.log_return is not None]
    returns = fixed.sort("ticker", "date").with_columns(pl.col("close").log().diff().over("ticker").alias("log_return"))
    for ticker, date in repaired:
        found = returns.filter(pl.col("ticker") == ticker, pl.col("date") == date)["log_return"]
        assert found.to_list() == pytest.approx([0.0], abs=1e-12)
