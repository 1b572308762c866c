"""Equal weight and momentum on literal panels."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import reconcile
from forecast_assets.core.backtest.strategies import equal_risk, equal_weight, momentum, volatility_sort
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.tiny_markets import (
    Quote,
    benchmark,
    calendar_panel,
    forecasts_on,
    random_panel,
    simulate,
    weekdays,
)

SPEC = BacktestSpec(horizon_sessions=1, smoothing=0.0, cost_bps=5.0)


def test_equal_weight_buys_once_and_drifts() -> None:
    dates = weekdays(8)
    doubling: list[Quote] = [(10.0 * 2**day, 10.0 * 2**day) for day in range(8)]
    flat: list[Quote] = [(20.0, 20.0)] * 8
    panel = calendar_panel(dates, {"A": doubling, "B": flat, "C": [None] * 6 + [(5.0, 5.0)] * 2})
    forecasts = forecasts_on(panel, 0.0, first_test=dates[4])
    book = benchmark(equal_weight, forecasts, panel, spec=SPEC)
    assert book.daily["turnover"].to_list() == [1.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose((1 + book.daily["gross_return"]).cum_prod(), [1.5, 2.5, 4.5, 4.5], rtol=1e-3)
    assert set(book.positions["ticker"]) == {"A", "B"}  # C has listed since: it waits for the next year
    assert reconcile(book) < 1e-12


def test_equal_weight_without_validation_buys_the_first_test_universe() -> None:
    panel = random_panel(seed=0)
    dates = panel["date"].unique().sort()
    forecasts = forecasts_on(panel, 0.0, first_test=dates[0]).filter(pl.col("date") >= dates[30])
    book = benchmark(equal_weight, forecasts, panel, spec=SPEC)
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
    book = benchmark(momentum, forecasts, panel, spec=spec)
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
        benchmark(momentum, forecasts, given, spec=SPEC).trades.filter(pl.col("date") <= dates[60])
        for given in (panel, panel.with_columns(close=later))
    )
    columns = ["date", "ticker", "weight_change", "cost"]
    assert len(original) > 50
    assert original.select(columns).equals(changed.select(columns))


def test_costs_are_the_specs() -> None:
    panel = random_panel(seed=1)
    forecasts = forecasts_on(panel, 0.0, first_test=panel["date"].unique().sort()[40])
    dear = benchmark(momentum, forecasts, panel, spec=SPEC.model_copy(update={"cost_bps": 30.0})).daily
    assert dear["cost"].sum() == pytest.approx((dear["turnover"] * 30e-4).sum())


def uneven_panel(*, tickers: int = 10, sessions: int = 300, seed: int = 0) -> tuple[pl.DataFrame, dict[str, float]]:
    """Independent random walks of known, unequal daily volatility."""
    rng = np.random.default_rng(seed)
    dates = weekdays(sessions, start="2019-01-01")
    sigma = {f"T{number}": 0.01 * (1 + number / 3) for number in range(tickers)}
    quotes: dict[str, list[Quote]] = {}
    for name, deviation in sigma.items():
        level = 50 * np.exp(np.cumsum(rng.normal(0, deviation, sessions)))
        quotes[name] = list(zip(level.tolist(), level.tolist(), strict=True))
    return calendar_panel(dates, quotes), sigma


def test_the_volatility_sort_is_long_volatile_and_short_calm_tickers() -> None:
    panel, sigma = uneven_panel()
    deviation = pl.col("ticker").replace_strict(sigma, return_dtype=pl.Float64)
    forecasts = forecasts_on(panel, 0.0, first_test=weekdays(300, start="2019-01-01")[150])
    book = benchmark(volatility_sort, forecasts.with_columns(sigma=deviation), panel, spec=SPEC)
    held = book.positions.filter(pl.col("date") == book.daily["date"][5]).sort("ticker")["weight"].to_list()
    assert held == sorted(held)
    assert held[0] < 0 < held[-1]
    assert sum(held) == pytest.approx(0.0, abs=1e-9)


def test_the_equal_risk_book_gives_each_ticker_the_same_risk_and_stays_at_its_target() -> None:
    panel, sigma = uneven_panel(sessions=700)
    deviation = pl.col("ticker").replace_strict(sigma, return_dtype=pl.Float64)
    forecasts = forecasts_on(panel, 0.0, first_test=weekdays(700, start="2019-01-01")[150])
    spec = BacktestSpec(horizon_sessions=1, smoothing=0.0, cost_bps=0.0)
    book = benchmark(equal_risk, forecasts.with_columns(sigma=deviation), panel, spec=spec)
    held = book.positions.filter(pl.col("date") == book.daily["date"][5]).sort("ticker")
    risk = held["weight"].to_numpy() * np.array(list(sigma.values()))
    np.testing.assert_allclose(risk / risk.mean(), 1.0, rtol=1e-6)
    assert (held["weight"] > 0).all()
    assert book.daily["gross_exposure"].max() <= 1.0 + 1e-9  # type: ignore[operator]
    # Forecasts that are wrong by a common factor give the same book: their error is in the mean square so far.
    twice = benchmark(equal_risk, forecasts.with_columns(sigma=2 * deviation), panel, spec=spec)
    np.testing.assert_allclose(twice.daily["net_return"], book.daily["net_return"], atol=1e-12)


def test_the_equal_risk_book_reaches_its_target_volatility() -> None:
    rng = np.random.default_rng(3)
    dates = weekdays(900, start="2019-01-01")
    common = rng.normal(0, 0.012, 900)
    quotes: dict[str, list[Quote]] = {}
    for number in range(6):
        level = 50 * np.exp(np.cumsum(common + rng.normal(0, 0.01, 900)))
        quotes[f"T{number}"] = list(zip(level.tolist(), level.tolist(), strict=True))
    panel = calendar_panel(dates, quotes)
    forecasts = forecasts_on(panel, 0.0, first_test=dates[150], sigma=0.0156)
    spec = BacktestSpec(horizon_sessions=1, smoothing=0.0, cost_bps=0.0)
    net = benchmark(equal_risk, forecasts, panel, spec=spec).daily["net_return"]
    assert net.std() * 261**0.5 == pytest.approx(0.10, rel=0.06)
    half = benchmark(equal_risk, forecasts.filter(pl.col("date") <= dates[500]), panel, spec=spec).daily
    np.testing.assert_array_equal(half["net_return"].head(349), net.head(349))  # only the past sets the scale


@pytest.mark.parametrize("spec", [BacktestSpec(), BacktestSpec(horizon_sessions=5, smoothing=0.0, cost_bps=0.0)])
def test_forecasts_without_a_view_hold_nothing_in_a_neutral_book(spec: BacktestSpec) -> None:
    """Scale times a pooled shape, with an own scale a day (HAR-X, EWMA, GARCH), one mean for all, and both calibrated."""
    panel, sigma = uneven_panel(tickers=12, sessions=240)
    rng = np.random.default_rng(1)
    rows = panel.height
    scale = pl.col("ticker").replace_strict(sigma, return_dtype=pl.Float64) * pl.lit(
        pl.Series(np.exp(rng.normal(0, 0.3, rows)))
    )
    factor = pl.lit(pl.Series(rng.choice([0.9, 1.0, 1.15], rows)))
    base = forecasts_on(panel, 0.0, first_test=panel["date"].unique().sort()[120], horizon=spec.horizon_sessions)
    for location in (0.08 * scale, pl.lit(0.004), 0.002 - 0.3 * scale):
        raw = base.with_columns(q50=location, sigma=scale)
        calibrated = raw.with_columns(sigma=pl.col("sigma") * factor)
        for published in (raw, calibrated):
            book = simulate(published, panel, spec=spec, raw=raw, no_skill=None)
            assert book.daily["gross_exposure"].max() == 0.0
    view = raw.with_columns(q50=location + pl.lit(pl.Series(rng.normal(0, 0.02, rows))))
    assert simulate(view, panel, spec=spec, raw=raw, no_skill=None).daily["gross_exposure"].min() > 0.02  # type: ignore[operator]
