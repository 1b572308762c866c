"""Daily-series scores against empyrical, and the cases it gets wrong."""

import empyrical
import numpy as np
import pytest

from forecast_assets.core.scores.trading import (
    annual_mean,
    annual_return,
    annual_volatility,
    beta,
    break_even_cost_bps,
    drawdown,
    hit_ratio,
    max_drawdown,
    sessions_per_year,
    sharpe,
)

RETURNS = np.random.default_rng(0).normal(0.0004, 0.01, size=700)


def test_scores_equal_empyrical() -> None:
    per_year = {"sessions_per_year": 252.0}
    assert annual_return(RETURNS, **per_year) == pytest.approx(empyrical.annual_return(RETURNS))
    assert annual_volatility(RETURNS, **per_year) == pytest.approx(empyrical.annual_volatility(RETURNS))
    assert sharpe(RETURNS, **per_year) == pytest.approx(empyrical.sharpe_ratio(RETURNS))
    assert max_drawdown(RETURNS) == pytest.approx(empyrical.max_drawdown(RETURNS))


def test_scores_of_a_literal_series() -> None:
    returns = [0.1, -0.5, 0.0, 0.2]
    np.testing.assert_allclose(drawdown(returns), [0.0, -0.5, -0.5, -0.4])
    assert hit_ratio(returns) == pytest.approx(2 / 3)  # the flat session is neither a win nor a loss
    assert annual_mean(returns, sessions_per_year=10) == pytest.approx(-0.5)
    assert break_even_cost_bps([0.001, 0.003], [0.5, 1.5]) == pytest.approx(20.0)


def test_a_loss_on_the_first_session_counts_as_drawdown() -> None:
    assert max_drawdown([-0.2, 0.1]) == pytest.approx(-0.2)


@pytest.mark.parametrize("returns", [[0.0, 0.0, 0.0], [0.001, 0.001, 0.001], [0.1], []])
def test_sharpe_without_volatility_is_undefined(returns: list[float]) -> None:
    assert np.isnan(sharpe(returns, sessions_per_year=252))


def test_figures_of_a_zero_position_are_undefined() -> None:
    assert np.isnan(hit_ratio([0.0, 0.0]))
    assert np.isnan(break_even_cost_bps([0.0, 0.0], [0.0, 0.0]))
    assert max_drawdown([0.0, 0.0]) == 0.0


def test_a_wiped_out_book_has_lost_everything() -> None:
    assert annual_return([0.5, -1.2, 0.4], sessions_per_year=252) == -1.0


def test_sessions_per_year_are_counted_on_the_calendar() -> None:
    weekdays = np.arange("2019-01-01", "2025-01-01", dtype="datetime64[D]")
    weekdays = weekdays[np.is_busday(weekdays)]
    assert sessions_per_year(weekdays) == pytest.approx(261, abs=0.3)
    with pytest.raises(ValueError, match="got 1"):
        sessions_per_year(weekdays[:1])


def test_a_nan_in_a_daily_series_is_an_error_with_its_count() -> None:
    with pytest.raises(ValueError, match="2 of 3"):
        sharpe([0.1, np.nan, np.inf], sessions_per_year=252)


def test_the_beta_is_the_slope_on_the_market_and_undefined_without_one() -> None:
    market = np.random.default_rng(0).normal(0, 0.01, 300)
    own = 0.7 * market + np.random.default_rng(1).normal(0, 0.002, 300)
    assert beta(own, market) == pytest.approx(np.polyfit(market, own, 1)[0])
    assert beta(own, market) == pytest.approx(empyrical.beta(own, market), rel=1e-9)
    assert np.isnan(beta(own, np.zeros(300)))
    assert beta(np.zeros(300), market) == 0.0
