"""The asset checks of forecasts and of the book, each on a table that it has to refuse."""

import datetime as dt

import dagster as dg
import numpy as np
import polars as pl
import pytest

from forecast_assets.assets.fold import forecast_checks as checks
from forecast_assets.assets.framework.causality_checks import KNOWN_LATER, known_later
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.helpers.scores import normal_quantiles
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 5
BOOK = pl.DataFrame(
    {
        "ticker": ["A", "B"],
        "weight_now": [0.03, -0.02],
        "weight_target": [0.04, -0.02],
        "trade": [0.01, 0.0],
        "expected_cost": [0.01 * 5e-4, 0.0],
    }
)


def forecasts(tickers: tuple[str, ...]) -> pl.DataFrame:
    zeros = np.zeros((len(tickers), len(HORIZONS)))
    return forecast_table(
        date=pl.Series([dt.date(2024, 1, 2)] * len(tickers)),
        ticker=tickers,
        quantiles=normal_quantiles(zeros, zeros + 0.02),
        y=zeros * np.nan,
        split="test",
        model="ensemble",
    )


def test_quantiles_that_cross_or_are_not_finite_fail_and_are_counted() -> None:
    table = forecasts(("A", "B"))
    assert checks.sound_quantiles(table)[checks.SOUND.name].passed
    first = pl.int_range(pl.len()) == 0
    crossing = table.with_columns(q05=pl.when(first).then(1.0).otherwise("q05"))
    nan = table.with_columns(q95=pl.when(first).then(float("nan")).otherwise("q95"))
    for broken, found in ((crossing, "0 with non-finite and 1 with crossing"), (nan, "1 with non-finite")):
        check = checks.sound_quantiles(broken)[checks.SOUND.name]
        assert not check.passed
        assert found in check.description
    assert not checks.sound_quantiles(table.clear())[checks.SOUND.name].passed


def test_an_origin_without_a_forecast_or_with_two_fails() -> None:
    table = forecasts(("A", "B"))
    assert checks.complete_forecasts(table, origins=2)[checks.COMPLETE.name].passed
    assert not checks.complete_forecasts(table.head(-1), origins=2)[checks.COMPLETE.name].passed
    twice = pl.concat([table.head(-1), table.head(1)])
    assert not checks.complete_forecasts(twice, origins=2)[checks.COMPLETE.name].passed


def test_a_quoted_ticker_that_is_not_forecast_fails_and_is_named() -> None:
    panel = random_panel(tickers=3, sessions=30)
    until = dt.date(1970, 1, 1) + dt.timedelta(days=int(panel.date.max()))
    night = {"since": until - dt.timedelta(days=10), "until": until}
    table = forecasts(panel.tickers)
    assert checks.live_tickers_forecast(table, panel, **night, lookback=LOOKBACK)[checks.LIVE.name].passed
    less = table.filter(pl.col("ticker") != panel.tickers[1])
    check = checks.live_tickers_forecast(less, panel, **night, lookback=LOOKBACK)[checks.LIVE.name]
    assert not check.passed
    assert check.description == f"2 of 3 quoted members are forecast; not forecast: {panel.tickers[1]}"
    new = checks.live_tickers_forecast(less, panel, **night, lookback=31)[checks.LIVE.name]
    assert new.passed
    assert "too new" in new.description


@pytest.mark.parametrize(("cap", "gross", "passed"), [(0.04, 0.06, True), (0.03, 0.06, False), (0.04, 0.04, False)])
def test_a_book_over_a_cap_fails(cap: float, gross: float, passed: bool) -> None:
    spec = BacktestSpec(name_cap=cap, gross_cap=gross)
    assert checks.book_within_caps(BOOK, spec=spec)[checks.CAPS.name].passed is passed


@pytest.mark.parametrize("column", ["weight_now", "trade", "expected_cost"])
def test_a_trade_that_does_not_lead_to_its_target_or_costs_something_else_fails(column: str) -> None:
    costs = Costs(default_bps=5)
    assert checks.trades_reconcile(BOOK, costs)[checks.RECONCILES.name].passed
    for wrong in (pl.col(column) + 1e-6, pl.lit(float("nan"))):
        assert not checks.trades_reconcile(BOOK.with_columns(wrong.alias(column)), costs)[checks.RECONCILES.name].passed


def test_a_check_of_a_partitioned_asset_is_partitioned_as_the_asset_is() -> None:
    from forecast_assets.definitions import ASSETS

    by_asset = {asset.key.to_user_string(): asset for asset in ASSETS}
    for name, asset in by_asset.items():
        assert all(spec.partitions_def == asset.partitions_def for spec in asset.check_specs), name
    assert isinstance(by_asset["ensemble"].partitions_def, dg.DynamicPartitionsDefinition)
    expected = {
        "ensemble": {"quantiles_finite_and_ordered", "every_origin_forecast"},
        "backtest": {"reconciles", "coverage_by_exchange", "coverage_by_volatility"},
        "nightly_forecast": {"quantiles_finite_and_ordered", "every_live_ticker_forecast"},
        "target_positions": {"held_tickers_in_panel", "book_within_caps", "trades_reconcile", "value_at_risk_holds"},
    }
    assert {name: {spec.name for spec in by_asset[name].check_specs} for name in expected} == expected


def test_a_value_known_before_its_day_began_anywhere_fails() -> None:
    day = dt.date(2024, 1, 3)
    table = pl.DataFrame({"date": [day, day], "known_from": [dt.datetime(2024, 1, 2, 10), dt.datetime(2024, 1, 3)]})
    assert known_later(table)[KNOWN_LATER.name].passed
    early = table.with_columns(pl.col("known_from") - dt.timedelta(microseconds=1))
    assert known_later(early)[KNOWN_LATER.name].description == "1 of 2 observed values were"
    assert not known_later(early)[KNOWN_LATER.name].passed
