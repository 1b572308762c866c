"""Risk of a portfolio by scenarios, against the Normal's formulas and small tables."""

from statistics import NormalDist

import numpy as np
import pytest

from forecast_assets.core.joint.portfolio import (
    expected_shortfall,
    portfolio_pit,
    portfolio_returns,
    risk,
    value_at_risk,
)

EVEN = np.array([NormalDist(0.001, 0.02).inv_cdf((k + 0.5) / 10_000) for k in range(10_000)])


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_a_normal_portfolio_risks_what_the_formulas_say(level: float) -> None:
    score = NormalDist().inv_cdf(level)
    assert value_at_risk(EVEN, level=level) == pytest.approx(-0.001 + 0.02 * score, rel=1e-3)
    shortfall = -0.001 + 0.02 * NormalDist().pdf(score) / (1 - level)
    assert expected_shortfall(EVEN, level=level) == pytest.approx(shortfall, rel=2e-3)


def test_expected_shortfall_is_the_mean_of_the_worst_with_the_last_in_part() -> None:
    returns = np.array([0.3, -0.4, 0.1, -0.2, 0.0, 0.2, 0.5, 0.6, 0.7, 0.8])
    assert expected_shortfall(returns, level=0.8) == pytest.approx(0.3)
    assert expected_shortfall(returns, level=0.85) == pytest.approx((0.4 + 0.5 * 0.2) / 1.5)
    assert expected_shortfall(returns, level=0.99) == pytest.approx(0.4)


def test_expected_shortfall_is_never_below_value_at_risk() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        found = risk(rng.standard_t(3, size=500))
        assert all(tail >= loss for tail, loss in zip(found.expected_shortfall, found.value_at_risk, strict=True))


def test_a_portfolio_is_bought_and_held_in_simple_returns() -> None:
    paths = np.log(np.array([[[1.1, 0.9]], [[1.2, 0.5]]]))  # (2 tickers, 1 session, 2 scenarios)
    assert portfolio_returns(paths, np.array([0.5, -1.0])) == pytest.approx(np.array([[-0.15, 0.45]]))
    with pytest.raises(ValueError, match="3 weights do not fit the returns of 2 tickers"):
        portfolio_returns(paths, np.ones(3))


def test_the_pit_of_an_outcome_is_its_rank_and_stays_inside() -> None:
    returns = np.array([0.0, 1.0, 2.0])
    assert [portfolio_pit(returns, at) for at in (-1.0, 1.0, 9.0)] == [0.125, 0.5, 0.875]
