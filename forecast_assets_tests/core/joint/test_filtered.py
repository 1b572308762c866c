"""How volatile a portfolio has lately been: found where it foretells something, and nothing is made of it elsewhere."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.joint.filtered import (
    LONGEST,
    PastSurprises,
    past_surprises,
    portfolio_squares,
    stretched,
    volatility_factors,
)
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets_tests.helpers.joint_panel import SIGMA, joint_panel

SPEC = ScenarioSpec()
DAYS = np.datetime64("2020-01-01") + np.arange(2000)


def regimes(days: int, *, seed: int = 0) -> np.ndarray:
    """Squared Normal scores whose deviation is 1.6 in every second stretch of 25 days, else 0.6."""
    scale = np.where(np.arange(days) // 25 % 2, 1.6, 0.6)
    return (np.random.default_rng(seed).normal(size=days) * scale) ** 2


def test_after_volatile_days_losses_are_stretched_and_after_calm_ones_they_shrink() -> None:
    squares = regimes(500)
    volatile, calm = (volatility_factors(squares[:until], spec=SPEC) for until in (500, 475))
    assert 1.05 < volatile[0] < 1.6
    assert 0.6 < calm[0] < 0.95
    for factors in (volatile, calm):
        assert len(factors) == LONGEST
        assert (np.diff(np.abs(factors - 1.0)) < 0).all()  # the further ahead, the less of it


def test_squares_that_foretell_nothing_leave_losses_nearly_as_they_are() -> None:
    factors = np.array(
        [volatility_factors(np.random.default_rng(k).normal(size=500) ** 2, spec=SPEC)[0] for k in range(100)]
    )
    assert np.abs(factors - 1.0).mean() < 0.02
    assert volatility_factors(np.ones(500), spec=SPEC).tolist() == [1.0] * LONGEST


def test_it_predicts_the_next_square_better_than_none() -> None:
    """Mean of the logarithmic score of the next day, over 300 days: it is larger with the factor."""
    squares = regimes(900, seed=1)
    gains = []
    for day in range(600, 900):
        past = squares[day - 500 : day]
        variance = volatility_factors(past, spec=SPEC)[0] ** 2 * past.mean()
        gains.append(np.log(past.mean() / variance) + squares[day] * (1 / past.mean() - 1 / variance))
    assert np.mean(gains) > 0.02


@pytest.mark.parametrize("changed", [{"volatility_sessions": 0.0}, {"least_days": 501}])
def test_factors_are_one_where_switched_off_or_little_has_matured(changed: dict[str, float]) -> None:
    assert volatility_factors(regimes(500), spec=SPEC.model_copy(update=changed)).tolist() == [1.0] * LONGEST


def test_a_portfolios_squares_are_its_returns_over_their_forecast_deviation() -> None:
    """Two tickers with a correlation of .5 and sigmas .01 and .02, against the formula."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(4000, 2)) @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T
    surprise = np.array([[0.01, 0.02], [0.0, -0.03], [np.nan, 0.02], [0.01, np.nan]])
    sigma = np.tile([0.01, 0.02], (4, 1))
    past = PastSurprises(DAYS[:4], surprise, sigma, np.broadcast_to(DAYS[1:5, None], (4, 2)))
    deviation = np.sqrt(0.5**2 * 0.01**2 + 0.25**2 * 0.02**2 - 2 * 0.5 * 0.5 * 0.25 * 0.01 * 0.02)
    one, two = 0.5 * 0.01, 0.25 * 0.02
    expected = [
        ((0.5 * 0.01 - 0.25 * 0.02) / deviation) ** 2,
        ((0.25 * 0.03) / deviation) ** 2,
        (0.25 * 0.02 / two) ** 2,  # half of the risk is known
        (0.5 * 0.01 / one) ** 2,
    ]
    assert portfolio_squares(past, np.array([0.5, -0.25]), scores) == pytest.approx(expected, rel=0.05, abs=1e-9)
    heavy = portfolio_squares(past, np.array([0.5, -1.0]), scores)
    assert len(heavy) == 3  # of the last day too little is known
    assert len(portfolio_squares(past, np.zeros(2), scores)) == 0


def test_calibrated_forecasts_give_squares_of_one_in_the_mean_and_end_with_the_day() -> None:
    panel = joint_panel(tickers=6, sessions=300, correlation=0.6)
    past = past_surprises(panel.forecasts, tickers=list(panel.tickers))
    assert past.surprise.shape == (300, 6)
    known = past.known_at_end_of(panel.days[200], latest=150)
    assert known.days[[0, -1]].tolist() == panel.days[[50, 199]].tolist()
    assert np.isfinite(known.surprise).all()  # the outcome of the last of them has ended on the day itself
    shorter = past.known_at_end_of(panel.days[200] - 1, latest=150)
    assert shorter.days[-1] == panel.days[198]
    scores = (past.surprise / SIGMA)[:200]
    squares = portfolio_squares(known.of(np.array([0, 3, 5])), np.full(3, 1 / 3), scores[:, [0, 3, 5]])
    assert squares.mean() == pytest.approx(1.0, abs=0.2)
    late = panel.forecasts.with_columns(label_end=pl.col("label_end") + pl.duration(days=1))
    waiting = past_surprises(late, tickers=list(panel.tickers)).known_at_end_of(panel.days[200], latest=150)
    assert np.isnan(waiting.surprise[-1]).all()


def test_scenarios_are_stretched_about_their_median() -> None:
    returns = np.array([[-0.1, 0.0, 0.02], [0.1, 0.2, 0.5]])
    assert stretched(returns, np.array([2.0, 1.0])) == pytest.approx(np.array([[-0.2, 0.0, 0.04], [0.1, 0.2, 0.5]]))
