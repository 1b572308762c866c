"""Joining the years, the hedge, and the comparison of two strategies."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.comparison import beta_hedge, return_difference
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.joining import join_years
from forecast_assets.core.backtest.simulate import simulate
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.tiny_markets import Quote, calendar_panel, forecasts_on, weekdays

SPEC = BacktestSpec(
    horizon_sessions=1, smoothing=0.0, book="directional", name_cap=0.1, kelly_fraction=1.0, cost_bps=10.0
)
DATES = weekdays(24)


def two_years(
    *, second_previous: dict[str, float] | None = None, years: tuple[int, int] = (2024, 2025)
) -> list[Simulation]:
    """A is held through; B is long in the first year and short in the second; C only in the first, D in the second."""
    flat: list[Quote] = [(10.0, 10.0)] * 24
    shut = flat.copy()
    shut[12] = None  # A's exchange is shut on the second year's first session
    panel = calendar_panel(DATES, {"A": shut, "B": flat, "C": flat, "D": flat})
    zero = -(0.02**2) / 2
    views = ({"A": 0.05, "B": 0.05, "C": 0.05, "D": zero}, {"A": 0.05, "B": -0.05, "C": zero, "D": 0.05})
    books = []
    for number, (view, year) in enumerate(zip(views, years, strict=True)):
        mean = pl.col("ticker").replace_strict(view, return_dtype=pl.Float64)
        start = DATES[6 + 6 * number]
        own = panel.filter(pl.col("date").is_between(DATES[6 * number], DATES[11 + 6 * number]))
        forecasts = forecasts_on(own, mean, first_test=start)
        previous = second_previous if number else None
        books.append(simulate(forecasts, panel, year=year, spec=SPEC, unconditional_mean=0.0, previous_book=previous))
    return books


def joined(books: list[Simulation]) -> pl.DataFrame:
    tables = (pl.concat(getattr(book, name) for book in books) for name in ("daily", "positions", "trades"))
    return join_years(*tables, costs=Costs(10.0), max_wait_sessions=SPEC.max_wait_sessions)


def test_the_change_of_year_is_charged_on_the_distance_between_the_books() -> None:
    series = joined(two_years())
    assert series["date"].to_list() == DATES[6:18]
    switch = series.filter(pl.col("year") == 2025).head(2)
    # B 0.1 -> -0.1, C 0.1 -> 0 and D 0 -> 0.1 at once; A, shut on the day, is found in place when it opens
    np.testing.assert_allclose(switch["turnover"], [0.4, 0.0], atol=1e-3)
    np.testing.assert_allclose(series["cost"], series["turnover"] * 10e-4, atol=1e-15)
    np.testing.assert_allclose(series["net_return"], series["gross_return"] - series["cost"], atol=1e-15)


def test_joining_equals_simulating_with_the_previous_book() -> None:
    apart = two_years()
    together = two_years(second_previous=apart[0].ending)
    a, b = joined(apart), joined(together)
    assert a["turnover"].sum() == pytest.approx(b["turnover"].sum(), abs=2e-3)
    assert b.equals(pl.concat([together[0].daily, together[1].daily]))  # already paid for: left as it is


def test_a_year_after_a_missing_one_pays_for_its_whole_entry() -> None:
    series = joined(two_years(years=(2024, 2026)))
    assert series.filter(pl.col("year") == 2026)["turnover"].head(2).sum() == pytest.approx(0.3, abs=1e-3)


def daily(net: np.ndarray, *, start: str = "2019-01-01", gross: np.ndarray | None = None) -> pl.DataFrame:
    dates = np.busday_offset(start, np.arange(len(net)), roll="forward").astype("datetime64[D]")
    return pl.DataFrame({"date": dates, "net_return": net, "gross_return": net if gross is None else gross})


def test_the_hedge_removes_beta_and_uses_past_sessions_only() -> None:
    rng = np.random.default_rng(0)
    market = rng.normal(0, 0.01, 800)
    own = rng.normal(0, 0.001, 800) + 0.8 * market
    hedged = beta_hedge(daily(own), daily(market), cost_bps=0.0)
    betas = hedged["beta"].to_numpy()
    assert (betas[:63] == 0).all()
    np.testing.assert_allclose(betas[100:], 0.8, atol=0.05)
    for row in (63, 400):  # against the regression by hand
        window = slice(max(0, row - 252), row)
        assert betas[row] == pytest.approx(np.polyfit(market[window], own[window], 1)[0])
    assert abs(np.corrcoef(hedged["net_return"].to_numpy()[63:], market[63:])[0, 1]) < 0.1
    own[500:] = 9.0
    again = beta_hedge(daily(own), daily(market), cost_bps=0.0)["beta"].to_numpy()
    np.testing.assert_array_equal(again[:501], betas[:501])
    assert again[501] != betas[501]


def test_changing_the_hedge_costs() -> None:
    rng = np.random.default_rng(0)
    market = rng.normal(0, 0.01, 100)
    free, paid = (beta_hedge(daily(0.5 * market), daily(market), cost_bps=cost) for cost in (0.0, 100.0))
    assert (free["net_return"] - paid["net_return"]).sum() == pytest.approx(0.5 * 0.01)


def test_a_session_without_a_market_return_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 of 10 sessions"):
        beta_hedge(daily(np.zeros(10)), daily(np.zeros(7)), cost_bps=0.0)


def test_the_return_difference_is_that_of_the_annual_means_at_equal_volatility() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.002, 0.02, 1500), rng.normal(-0.001, 0.01, 1500)
    result = return_difference(daily(first), daily(second), samples=300, seed=0)
    years = (dt.date(2024, 10, 1) - dt.date(2019, 1, 1)).days / 365.25
    per_year = 1499 / years
    by_hand = [x.mean() * per_year * 0.1 / (x.std(ddof=1) * per_year**0.5) for x in (first, second)]
    assert result.estimate == pytest.approx(by_hand[0] - by_hand[1], rel=1e-3)
    assert 0 < result.low < result.estimate < result.high
    assert result.verdict == "beats"
    reverse = return_difference(daily(second), daily(first), samples=300, seed=0)
    assert reverse.estimate == pytest.approx(-result.estimate)
    assert reverse.verdict == "loses"


def test_against_a_strategy_that_never_trades_there_is_no_evidence() -> None:
    returns = np.random.default_rng(1).normal(0.01, 0.01, 300)
    result = return_difference(daily(returns), daily(np.zeros(300)), samples=50, seed=0)
    assert np.isnan(result.estimate)
    assert result.verdict == "no evidence"


def test_a_return_difference_of_different_sessions_is_an_error() -> None:
    with pytest.raises(ValueError, match="20 and 19 have 19 in common"):
        return_difference(daily(np.zeros(20)), daily(np.zeros(19)), samples=10, seed=0)
