"""Equal weight and momentum on literal panels."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import reconcile
from forecast_assets.core.backtest.strategies import equal_weight, momentum
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.tiny_markets import (
    Quote,
    calendar_panel,
    forecasts_on,
    random_panel,
    weekdays,
)

SPEC = BacktestSpec(horizon_sessions=1, smoothing=0.0, cost_bps=5.0)


def test_equal_weight_buys_once_and_drifts() -> None:
    dates = weekdays(8)
    doubling: list[Quote] = [(10.0 * 2**day, 10.0 * 2**day) for day in range(8)]
    flat: list[Quote] = [(20.0, 20.0)] * 8
    panel = calendar_panel(dates, {"A": doubling, "B": flat, "C": [None] * 6 + [(5.0, 5.0)] * 2})
    forecasts = forecasts_on(panel, 0.0, first_test=dates[4])
    book = equal_weight(forecasts, panel, year=2024, spec=SPEC)
    assert book.daily["turnover"].to_list() == [1.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose((1 + book.daily["gross_return"]).cum_prod(), [1.5, 2.5, 4.5, 4.5], rtol=1e-3)
    assert set(book.positions["ticker"]) == {"A", "B"}  # C has listed since: it waits for the next year
    assert reconcile(book) < 1e-12


def test_equal_weight_without_validation_buys_the_first_test_universe() -> None:
    panel = random_panel(seed=0)
    dates = panel["date"].unique().sort()
    forecasts = forecasts_on(panel, 0.0, first_test=dates[0]).filter(pl.col("date") >= dates[30])
    book = equal_weight(forecasts, panel, year=2024, spec=SPEC)
    buys = book.trades.filter(pl.col("date") == dates[31])
    names = panel.filter((pl.col("date") == dates[30]) & ~pl.col("is_missing"))["ticker"]
    assert book.trades["date"].min() == dates[31]
    assert set(buys["ticker"]) <= set(names)
    np.testing.assert_allclose(buys["weight_change"], 1 / len(names))


def test_momentum_buys_what_rose_most_over_twenty_sessions() -> None:
    dates = weekdays(30)
    rates = {"A": 0.01, "B": 0.005, "C": -0.005, "D": -0.01}
    quotes: dict[str, list[Quote]] = {
        name: [(np.exp(rate * day), np.exp(rate * day)) for day in range(30)] for name, rate in rates.items()
    }
    panel = calendar_panel(dates, quotes)
    forecasts = forecasts_on(panel, 0.0, first_test=dates[25])
    spec = SPEC.model_copy(update={"name_cap": 0.3})
    book = momentum(forecasts, panel, year=2024, spec=spec)
    first = book.positions.filter(pl.col("date") == dates[25])
    assert first["ticker"].to_list() == ["A", "B", "C", "D"]
    np.testing.assert_allclose(first["weight"], [0.3, 0.125, -0.125, -0.3])  # the outer ones are cut at the name cap
    assert (book.daily["gross_return"].head(4) > 0).all()  # the panel's last session runs from open to close
    assert reconcile(book) < 1e-12


def test_momentum_ignores_prices_after_the_decision() -> None:
    panel = random_panel(seed=1)
    dates = panel["date"].unique().sort()
    forecasts = forecasts_on(panel, 0.0, first_test=dates[40])
    later = pl.when(pl.col("date") > dates[60]).then(pl.col("close") * 9).otherwise(pl.col("close"))
    original, changed = (
        momentum(forecasts, given, year=2024, spec=SPEC).trades.filter(pl.col("date") <= dates[60])
        for given in (panel, panel.with_columns(close=later))
    )
    columns = ["date", "ticker", "weight_change", "cost"]
    assert len(original) > 50
    assert original.select(columns).equals(changed.select(columns))


def test_costs_are_the_specs() -> None:
    panel = random_panel(seed=1)
    forecasts = forecasts_on(panel, 0.0, first_test=panel["date"].unique().sort()[40])
    dear = momentum(forecasts, panel, year=2024, spec=SPEC.model_copy(update={"cost_bps": 30.0})).daily
    assert dear["cost"].sum() == pytest.approx((dear["turnover"] * 30e-4).sum())
