"""How much of the synthetic panel's signal was found."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.panel.demo import demo_panel, planted_signal
from forecast_assets.core.report.planted import planted_section
from forecast_assets.core.specs import BacktestSpec, DemoSpec

STRENGTH = -0.006
SPEC = BacktestSpec(bootstrap_samples=100)


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    raw = demo_panel(DemoSpec(tickers=12, start=dt.date(2019, 1, 2), end=dt.date(2020, 6, 30), signal=STRENGTH))
    return raw.select(date="Date", ticker="Ticker", segment=pl.lit(0), open="Opening Price", close="Closing Price")


def forecasts(panel: pl.DataFrame, median: pl.Expr) -> pl.DataFrame:
    """Forecasts over one session of every close that another follows."""
    ahead = pl.col("close").log().shift(-1).over("ticker") - pl.col("close").log()
    rows = panel.sort("ticker", "date").with_columns(y=ahead).join(planted_signal(panel), on=["date", "ticker"])
    return rows.select("date", "ticker", "y", horizon=pl.lit(1), q50=median)


def test_the_signal_is_the_one_that_moved_the_prices(panel: pl.DataFrame) -> None:
    following = (
        panel.join(planted_signal(panel), on=["date", "ticker"])
        .sort("ticker", "date")
        .with_columns(day=(pl.col("close") / pl.col("open")).log().shift(-1).over("ticker"))
        .drop_nulls()
    )
    signal, day = following["signal"].to_numpy(), following["day"].to_numpy()
    slope, error = np.polyfit(signal, day, 1), day.std() / signal.std() / len(day) ** 0.5
    assert abs(slope[0] - STRENGTH) < 3 * error
    assert error < abs(STRENGTH) / 10


@pytest.mark.parametrize(("median", "share"), [(-pl.col("signal") * 0.003, 1.0), (pl.col("signal"), -1.0)])
def test_whoever_knows_the_rule_has_found_all_of_it(panel: pl.DataFrame, median: pl.Expr, share: float) -> None:
    section = planted_section(forecasts(panel, median), panel, strength=STRENGTH, spec=SPEC)
    assert section["share"] == pytest.approx(dict.fromkeys(("estimate", "low", "high"), share))
    assert section["rank_ic"] == pytest.approx(share * section["rank_ic_planted"])
    assert section["rank_ic_planted"] > 0.1


def test_a_forecast_of_something_else_has_found_nothing(panel: pl.DataFrame) -> None:
    noise = pl.lit(pl.Series(np.random.default_rng(0).standard_normal(panel.height)))
    share = planted_section(forecasts(panel, noise), panel, strength=STRENGTH, spec=SPEC)["share"]
    assert abs(share["estimate"]) < share["high"] - share["low"] < 0.4  # four standard errors
