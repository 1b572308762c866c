"""How widely a portfolio's returns spread by its own past, and how volatile it has lately been."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.filtered import (
    PastSurprises,
    past_returns,
    past_surprises,
    stretched,
    volatility_factors,
)
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets_tests.helpers.joint_panel import SIGMA, joint_panel

SPEC = ScenarioSpec()
SESSIONS = range(1, HORIZONS[-1] + 1)
DAYS = np.datetime64("2020-01-01") + np.arange(2000)
ROOT = np.sqrt(np.array(HORIZONS))


def drawn(*, deviation: float = 1.0, sessions: int = len(SESSIONS)) -> np.ndarray:
    """Normal scenarios of each session whose variance grows with it."""
    from scipy.special import ndtri

    scores = ndtri((np.arange(4000) + 0.5) / 4000)
    return deviation * np.sqrt(np.arange(1, sessions + 1))[:, None] * scores


def past(days: int, *, seed: int = 0, deviation: float = 1.0) -> np.ndarray:
    """Returns of past days over each horizon, of the same deviation a session."""
    return np.random.default_rng(seed).normal(size=(days, 1)) * deviation * ROOT


def regimes(days: int, *, seed: int = 0) -> np.ndarray:
    """Returns whose deviation is 1.6 in every second stretch of 25 days, else 0.6."""
    return past(days, seed=seed) * np.where(np.arange(days) // 25 % 2, 1.6, 0.6)[:, None]


def factors(returns: np.ndarray, *, spec: ScenarioSpec = SPEC, deviation: float = 1.0) -> np.ndarray:
    return volatility_factors(drawn(deviation=deviation), returns, sessions=SESSIONS, spec=spec)


def test_scenarios_that_spread_too_little_are_stretched_to_the_range_of_the_past() -> None:
    found = np.mean([factors(past(500, seed=k), deviation=0.8) for k in range(60)], axis=0)
    assert found == pytest.approx(np.full(len(SESSIONS), 1 / 0.8), rel=0.03)


def test_a_calibrated_ticker_alone_stays_as_it_is_though_its_tails_are_heavy() -> None:
    """Beyond the outer quantiles draws go on as a Normal would: their deviation is less than that of the outcomes."""
    rng = np.random.default_rng(5)
    outcomes = np.where(rng.random((4000, 1)) < 0.03, 4.0, 1.0) * rng.normal(size=(4000, 1))
    scaled = outcomes / np.quantile(outcomes, 0.95) * 1.6449  # calibrated at its outer quantiles
    assert scaled.std() > 1.1
    found = np.mean([factors(scaled[k : k + 500] * ROOT) for k in range(0, 3501, 250)], axis=0)
    assert found[0] == pytest.approx(1.0, abs=0.03)


def test_later_days_count_more() -> None:
    lately, before = (np.concatenate([past(250, deviation=a), past(250, deviation=b)]) for a, b in ((1, 1.5), (1.5, 1)))
    calm = SPEC.model_copy(update={"volatility_sessions": 1e-3})  # forgets within a day
    assert factors(lately, spec=calm)[0] > 1.04 * factors(before, spec=calm)[0] > 1.04


def test_after_volatile_days_losses_are_stretched_and_after_calm_ones_they_shrink() -> None:
    returns = regimes(500)
    volatile, calm = factors(returns), factors(returns[:475])
    assert volatile[0] > 1.15 * calm[0]
    for found in (volatile, calm):
        assert len(found) == len(SESSIONS)
        assert (np.diff(np.abs(found / found[-1] - 1.0)) < 1e-9).all()  # the further ahead, the less of it


def test_squares_that_foretell_nothing_leave_losses_nearly_as_they_are() -> None:
    found = np.array([factors(past(500, seed=k))[0] for k in range(100)])
    assert found.mean() == pytest.approx(1.0, abs=0.02)
    assert found.std() < 0.08


def test_it_predicts_the_next_return_better_than_none() -> None:
    """Mean of the logarithmic score of the next day, over 300 days: it is larger with the factor."""
    returns = regimes(900, seed=1)
    gains = []
    for day in range(600, 900):
        seen, square = returns[day - 500 : day], returns[day, 0] ** 2
        usual = seen[:, 0].var()
        variance = usual * factors(seen, deviation=np.sqrt(usual))[0] ** 2
        gains.append(np.log(usual / variance) + square * (1 / usual - 1 / variance))
    assert np.mean(gains) > 0.02


@pytest.mark.parametrize("changed", [{"volatility_sessions": 0.0}, {"least_days": 501}])
def test_factors_are_one_where_switched_off_or_little_has_matured(changed: dict[str, float]) -> None:
    assert factors(regimes(500), spec=SPEC.model_copy(update=changed)).tolist() == [1.0] * len(SESSIONS)


def test_a_portfolio_that_can_lose_nothing_has_a_factor_of_one() -> None:
    flat = np.zeros((len(HORIZONS), 100))
    assert volatility_factors(flat, np.zeros((500, 3)), sessions=HORIZONS, spec=SPEC).tolist() == [1.0] * 3


def test_past_returns_are_surprises_at_todays_weights_and_sigmas() -> None:
    """Two tickers; a day on which half of the risk is known counts as if the other half had spread alike."""
    surprise = np.array([[1.0, 1.0], [0.0, -1.5], [np.nan, 1.0], [1.0, np.nan]])
    history = PastSurprises(DAYS[:4], surprise, np.broadcast_to(DAYS[1:5, None], (4, 2)))
    sigma = np.array([[0.01, 0.02, 0.04], [0.02, 0.04, 0.08]])
    returns = past_returns(history, np.array([0.5, -0.25]), sigma)
    assert returns[:, 0] == pytest.approx([0.0, 0.0075, -0.005 * np.sqrt(2), 0.005 * np.sqrt(2)])
    assert returns[:, 2] == pytest.approx(4 * returns[:, 0])
    assert len(past_returns(history, np.array([0.5, -1.0]), sigma)) == 3  # of the last day too little is known
    assert len(past_returns(history, np.zeros(2), sigma)) == 0


def test_surprises_of_calibrated_forecasts_deviate_by_one_and_end_with_the_day() -> None:
    panel = joint_panel(tickers=6, sessions=300, correlation=0.6)
    every = past_surprises(panel.forecasts, tickers=list(panel.tickers))
    assert every.surprise.shape == (300, 6)
    known = every.known_at_end_of(panel.days[200], latest=150)
    assert known.days[[0, -1]].tolist() == panel.days[[50, 199]].tolist()
    assert np.isfinite(known.surprise).all()  # the outcome of the last of them has ended on the day itself
    assert known.surprise.std() == pytest.approx(1.0, abs=0.1)
    shorter = every.known_at_end_of(panel.days[200] - 1, latest=150)
    assert shorter.days[-1] == panel.days[198]
    returns = past_returns(known.of(np.array([0, 3, 5])), np.full(3, 1 / 3), np.full((3, len(HORIZONS)), SIGMA))
    assert returns[:, 0].std() == pytest.approx(SIGMA * np.sqrt((1 + 2 * 0.6) / 3), rel=0.15)
    late = panel.forecasts.with_columns(label_end=pl.col("label_end") + pl.duration(days=1))
    waiting = past_surprises(late, tickers=list(panel.tickers)).known_at_end_of(panel.days[200], latest=150)
    assert np.isnan(waiting.surprise[-1]).all()


def test_scenarios_are_stretched_about_their_median() -> None:
    returns = np.array([[-0.1, 0.0, 0.02], [0.1, 0.2, 0.5]])
    assert stretched(returns, np.array([2.0, 1.0])) == pytest.approx(np.array([[-0.2, 0.0, 0.04], [0.1, 0.2, 0.5]]))
