"""The beta hedge and the comparison of two strategies, on literal series and against regressions by hand."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.comparison import HEDGE_MIN_SESSIONS, beta_hedge, return_difference
from forecast_assets.core.scores.trading import sharpe


def daily(net: np.ndarray, *, cost: float = 0.0) -> pl.DataFrame:
    """A book of the net returns ``net``, which pays ``cost`` a session."""
    dates = np.busday_offset("2019-01-01", np.arange(len(net)), roll="forward").astype("datetime64[D]")
    return pl.DataFrame({"date": dates, "net_return": net, "gross_return": net + cost, "cost": np.full(len(net), cost)})


def test_the_hedge_removes_beta_and_uses_past_sessions_only() -> None:
    rng = np.random.default_rng(0)
    market = rng.normal(0, 0.01, 800)
    own = rng.normal(0, 0.001, 800) + 0.8 * market
    hedged = beta_hedge(daily(own), daily(market), cost_bps=0.0)
    betas = hedged["beta"].to_numpy()
    np.testing.assert_allclose(betas[40:], 0.8, atol=0.05)
    for row in (63, 400):  # against the regression by hand
        window = slice(max(0, row - 252), row)
        assert betas[row - 63] == pytest.approx(np.polyfit(market[window], own[window], 1)[0])
    assert abs(np.corrcoef(hedged["net_return"].to_numpy(), market[63:])[0, 1]) < 0.1
    own[500:] = 9.0
    again = beta_hedge(daily(own), daily(market), cost_bps=0.0)["beta"].to_numpy()
    np.testing.assert_array_equal(again[: 501 - 63], betas[: 501 - 63])
    assert again[501 - 63] != betas[501 - 63]


def test_sessions_before_the_hedge_starts_are_left_out() -> None:
    market = np.tile([0.01, -0.01], 50)
    hedged = beta_hedge(daily(0.5 * market), daily(market), cost_bps=0.0)
    assert hedged["date"].to_list() == daily(market)["date"].to_list()[HEDGE_MIN_SESSIONS:]
    np.testing.assert_allclose(hedged["beta"], 0.5)
    np.testing.assert_allclose(hedged["net_return"], 0.0, atol=1e-15)
    short = beta_hedge(daily(market[:63]), daily(market[:63]), cost_bps=0.0)
    assert short.height == 0


def test_equal_weight_hedged_with_itself_earns_minus_its_costs() -> None:
    """The rise of the first 63 sessions, which no hedge covered, once made this a Sharpe ratio above 1."""
    gross = np.concatenate([np.tile([0.012, -0.002], 32)[:63], np.tile([0.01, -0.01], 100)])
    book = daily(gross - 1e-4, cost=1e-4)
    hedged = beta_hedge(book, book, cost_bps=5.0)
    np.testing.assert_allclose(hedged["beta"], 1.0)
    # entering the hedge costs 5 bp of the whole book, once
    np.testing.assert_allclose(hedged["net_return"], [-1e-4 - 5e-4] + [-1e-4] * 199, atol=1e-15)
    np.testing.assert_allclose(hedged["cost"], -hedged["net_return"], atol=1e-15)
    assert (
        sharpe(hedged["net_return"].to_numpy(), sessions_per_year=252.0)
        < -10
        < 1
        < sharpe(book["net_return"].to_numpy(), sessions_per_year=252.0)
    )


def test_changing_the_hedge_costs() -> None:
    rng = np.random.default_rng(0)
    market = rng.normal(0, 0.01, 100)
    free, paid = (beta_hedge(daily(0.5 * market), daily(market), cost_bps=cost) for cost in (0.0, 100.0))
    assert (free["net_return"] - paid["net_return"]).sum() == pytest.approx(0.5 * 0.01)
    assert (paid["cost"] - free["cost"]).sum() == pytest.approx(0.5 * 0.01)


def test_a_session_without_a_market_return_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 of 10 sessions"):
        beta_hedge(daily(np.zeros(10)), daily(np.zeros(7)), cost_bps=0.0)


def test_the_return_difference_is_that_of_the_annual_means_at_equal_volatility() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.002, 0.02, 1500), rng.normal(-0.001, 0.01, 1500)
    result = return_difference(daily(first), daily(second), samples=300, seed=0).interval
    years = (dt.date(2024, 10, 1) - dt.date(2019, 1, 1)).days / 365.25
    per_year = 1499 / years
    by_hand = [x.mean() * per_year * 0.1 / (x.std(ddof=1) * per_year**0.5) for x in (first, second)]
    assert result.estimate == pytest.approx(by_hand[0] - by_hand[1], rel=1e-3)
    assert 0 < result.low < result.estimate < result.high
    assert result.verdict == "beats"
    reverse = return_difference(daily(second), daily(first), samples=300, seed=0).interval
    assert reverse.estimate == pytest.approx(-result.estimate)
    assert reverse.verdict == "loses"


def test_the_costs_in_a_return_difference_are_scaled_as_the_returns_are() -> None:
    """The same gross returns, of which one side pays 10 bp a session: the whole difference is costs."""
    gross = np.random.default_rng(2).normal(0.0005, 0.01, 1000)
    dear, cheap = daily(gross - 1e-3, cost=1e-3), daily(gross)
    found = return_difference(cheap, dear, samples=50, seed=0)
    assert found.costs == pytest.approx(found.interval.estimate)
    assert found.mostly_costs
    assert return_difference(dear, cheap, samples=50, seed=0).costs == pytest.approx(-found.costs)
    better = return_difference(daily(gross + 2e-3), dear, samples=50, seed=0)
    assert better.costs == pytest.approx(found.costs)
    assert not better.mostly_costs  # 20 bp of 30 are not
    worse = return_difference(daily(gross - 2e-3), dear, samples=50, seed=0)
    assert worse.interval.estimate < 0 < worse.costs
    assert not worse.mostly_costs  # costs in the other direction explain nothing


def test_against_a_strategy_that_never_trades_there_is_no_evidence() -> None:
    returns = np.random.default_rng(1).normal(0.01, 0.01, 300)
    result = return_difference(daily(returns), daily(np.zeros(300)), samples=50, seed=0)
    assert np.isnan(result.interval.estimate)
    assert result.interval.verdict == "no evidence"
    assert np.isnan(result.costs)
    assert not result.mostly_costs


def test_books_that_end_before_a_hedge_starts_have_no_difference() -> None:
    market = daily(np.random.default_rng(1).normal(0, 0.01, 60))
    hedged = beta_hedge(market, market, cost_bps=0.0)
    result = return_difference(hedged, hedged, samples=50, seed=0)
    assert (result.sessions, result.interval.verdict) == (0, "no evidence")


def test_a_return_difference_of_different_sessions_is_an_error() -> None:
    with pytest.raises(ValueError, match="20 and 19 have 19 in common"):
        return_difference(daily(np.zeros(20)), daily(np.zeros(19)), samples=10, seed=0)


def test_a_book_that_is_nearly_empty_is_known_by_how_far_it_is_scaled() -> None:
    rng = np.random.default_rng(2)
    full, tiny = rng.normal(0.0, 0.01, 1500), rng.normal(0.0, 0.0001, 1500)
    result = return_difference(daily(full), daily(tiny), samples=20, seed=0)
    first, second = result.scaling
    per_year = 1499 / ((dt.date(2024, 10, 1) - dt.date(2019, 1, 1)).days / 365.25)
    assert first == pytest.approx(0.1 / (full.std(ddof=1) * per_year**0.5), rel=1e-3)
    assert second > 50 * first
