"""The paper's own numbers; noise, where choosing the best means nothing; and one candidate that is truly better."""

from itertools import combinations

import numpy as np
import pytest

from forecast_assets.core.evaluation.overfitting import (
    backtest_overfitting,
    deflated_sharpe,
    deflated_sharpe_from_moments,
    deflated_sharpe_power,
    expected_max_sharpe,
    skill_less_variance,
)


def test_choosing_among_noise_is_overfitting_half_the_time() -> None:
    rng = np.random.default_rng(0)
    found = [backtest_overfitting(rng.normal(0, 0.01, (500, 20)), blocks=8) for _ in range(60)]
    assert np.mean([pbo.probability for pbo in found]) == pytest.approx(0.5, abs=0.08)
    assert {(pbo.candidates, pbo.splits) for pbo in found} == {(20, 70)}


def test_a_candidate_that_is_truly_better_is_found_in_every_half() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (1000, 20))
    returns[:, 7] += 0.003
    pbo = backtest_overfitting(returns)
    assert pbo.probability == 0.0
    assert pbo.rank == pytest.approx(20 / 21)


def test_a_candidate_good_in_one_half_only_is_overfitting() -> None:
    """The best of each half is the worst of the other."""
    returns = np.random.default_rng(2).normal(0, 0.001, (200, 2))
    returns[:100, 0] += 0.01
    returns[100:, 0] -= 0.01
    assert backtest_overfitting(returns, blocks=2).probability == 1.0


def test_the_splits_agree_with_a_naive_loop_over_them() -> None:
    returns = np.random.default_rng(3).normal(0.0004, 0.01, (125, 5))
    blocks = np.split(returns[5:], 6)
    low = []
    for chosen in combinations(range(6), 3):
        inside = np.concatenate([blocks[k] for k in chosen])
        outside = np.concatenate([blocks[k] for k in range(6) if k not in chosen])
        best = (inside.mean(axis=0) / inside.std(axis=0)).argmax()
        ratio = outside.mean(axis=0) / outside.std(axis=0)
        low.append(((ratio <= ratio[best]).sum()) / 6 <= 0.5)
    assert backtest_overfitting(returns, blocks=6).probability == pytest.approx(np.mean(low))


def test_a_zero_position_is_no_candidate() -> None:
    returns = np.random.default_rng(4).normal(0, 0.01, (100, 3))
    returns[:, 1] = 0.0
    assert backtest_overfitting(returns).candidates == 2
    assert np.isnan(backtest_overfitting(returns[:, :2]).probability)


def test_sessions_that_do_not_make_blocks_are_an_error() -> None:
    with pytest.raises(ValueError, match="15 sessions do not make 8 blocks"):
        backtest_overfitting(np.ones((15, 3)), blocks=8)
    with pytest.raises(ValueError, match="an even number"):
        backtest_overfitting(np.ones((100, 3)), blocks=7)
    with pytest.raises(ValueError, match="finite return on every session"):
        backtest_overfitting(np.full((100, 3), np.nan))


def test_deflated_sharpe_reproduces_the_papers_example() -> None:
    """Bailey and Lopez de Prado 2014, p. 10: annual Sharpe 2.5 over 1250 days, 100 trials of annual variance 1/2."""
    trials = {"trials": 100, "trial_sharpe_variance": 0.5 / 250}
    hurdle = expected_max_sharpe(**trials)  # type: ignore[arg-type]
    probability = deflated_sharpe_from_moments(
        sharpe_per_session=2.5 / 250**0.5,
        sessions=1250,
        skewness=-3.0,
        kurtosis=10.0,
        **trials,  # type: ignore[arg-type]
    )
    assert hurdle == pytest.approx(0.1132, abs=5e-5)
    assert probability == pytest.approx(0.9004, abs=5e-5)


def test_the_expected_best_of_many_trials_is_that_of_normal_draws() -> None:
    draws = np.random.default_rng(0).normal(0, 0.3, size=(20_000, 50)).max(axis=1).mean()
    assert expected_max_sharpe(trials=50, trial_sharpe_variance=0.09) == pytest.approx(draws, rel=0.02)
    assert expected_max_sharpe(trials=1, trial_sharpe_variance=0.09) == 0.0


def test_deflated_sharpe_falls_with_the_number_of_trials() -> None:
    returns = np.random.default_rng(0).normal(0.001, 0.01, 1000)
    one, many = (deflated_sharpe(returns, trials=n) for n in (1, 500))
    assert one > 0.95 > many
    assert np.isnan(deflated_sharpe(np.zeros(100), trials=5))


def test_the_variance_without_skill_is_that_of_simulated_sharpe_ratios() -> None:
    """Of skewed and fat-tailed returns too: at a true Sharpe ratio of zero their moments do not matter."""
    rng = np.random.default_rng(0)
    for draws in (rng.standard_normal((8_000, 500)), rng.exponential(size=(8_000, 500)) - 1.0):
        ratios = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
        assert ratios.var() == pytest.approx(skill_less_variance(500), rel=0.06)
    with pytest.raises(ValueError, match="at least 2 sessions"):
        skill_less_variance(1)


def test_luck_is_seldom_called_skill_and_skill_is_found_as_often_as_in_theory() -> None:
    """Sharpe ratio 1.5 over 6.5 years among 100 trials: .36 by theory, and by simulation."""
    per_year, sessions, trials = 252.0, 1638, 100
    options = {"sessions": sessions, "trials": trials}
    assert deflated_sharpe_power(true_sharpe=1.5 / per_year**0.5, **options) == pytest.approx(0.36, abs=0.005)
    rng = np.random.default_rng(0)
    found, chance = 0, 0
    for _ in range(300):
        planted = rng.normal(1.5 / per_year**0.5, 1.0, sessions)
        found += deflated_sharpe(planted, trials=trials) >= 0.95
        noise = rng.standard_normal((trials, sessions))
        best = noise[(noise.mean(axis=1) / noise.std(axis=1)).argmax()]
        chance += deflated_sharpe(best, trials=trials) >= 0.95
    assert found / 300 == pytest.approx(0.36, abs=0.07)
    assert chance <= 0.05 * 300
