"""Intervals and tests against published numbers, simulations and independent formulas."""

import numpy as np
import pytest
import statsmodels.api as sm

from forecast_assets.core.evaluation.significance import (
    Interval,
    bootstrap_interval,
    diebold_mariano,
    optimal_block,
    sharpe_interval,
)
from forecast_assets.core.scores.trading import sharpe


def autoregression(rho: float, *, sessions: int, rng: np.random.Generator) -> np.ndarray:
    series = rng.normal(size=sessions)
    for t in range(1, sessions):
        series[t] += rho * series[t - 1]
    return series


def mean(table: np.ndarray) -> float:
    return float(table.mean())


def test_blocks_grow_with_dependence() -> None:
    rng = np.random.default_rng(0)
    independent, dependent = rng.normal(size=800), autoregression(0.9, sessions=800, rng=rng)
    assert optimal_block(independent) <= 5
    assert optimal_block(dependent) > 20
    assert optimal_block(np.stack([independent, dependent], axis=1)) == optimal_block(dependent)
    assert optimal_block(np.zeros(100)) == 1
    assert optimal_block(independent[:10]) == 1


def test_the_interval_of_dependent_data_covers_where_an_independent_one_does_not() -> None:
    rng = np.random.default_rng(0)
    inside, naive, runs = 0, 0, 60
    for seed in range(runs):
        series = autoregression(0.8, sessions=600, rng=rng)
        interval = bootstrap_interval(series, mean, samples=200, seed=seed)
        inside += interval.low <= 0 <= interval.high
        naive += abs(series.mean()) <= 1.96 * series.std() / 600**0.5
    assert inside / runs >= 0.85
    assert naive / runs <= 0.7


def test_the_same_seed_gives_the_same_interval() -> None:
    returns = np.random.default_rng(0).normal(0.0005, 0.01, 500)
    first, second, other = (sharpe_interval(returns, sessions_per_year=252, samples=200, seed=s) for s in (1, 1, 2))
    assert first == second
    assert first != other
    assert first.estimate == pytest.approx(sharpe(returns, sessions_per_year=252))
    assert first.low < first.estimate < first.high


def test_a_zero_position_has_no_interval() -> None:
    assert np.isnan(sharpe_interval(np.zeros(100), sessions_per_year=252, samples=10, seed=0)).all()
    assert bootstrap_interval(np.zeros(100), mean, samples=10, seed=0) == (0.0, 0.0, 0.0)


def test_paired_columns_are_resampled_together() -> None:
    series = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 1.0]
    interval = bootstrap_interval(series, lambda table: float((table[:, 0] - table[:, 1]).mean()), samples=50, seed=0)
    assert interval == (0.0, 0.0, 0.0)


def test_a_nan_return_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 3"):
        sharpe_interval([0.1, np.nan, 0.2], sessions_per_year=252, samples=10, seed=0)


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_diebold_mariano_equals_a_newey_west_regression_on_a_constant(horizon: int) -> None:
    difference = autoregression(0.5, sessions=400, rng=np.random.default_rng(horizon)) + 0.2
    result = diebold_mariano(difference, horizon_sessions=horizon)
    options = {"maxlags": result.lags, "use_correction": False}
    fit = sm.OLS(difference, np.ones(400)).fit(cov_type="HAC", cov_kwds=options)
    correction = np.sqrt((400 + 1 - 2 * horizon + horizon * (horizon - 1) / 400) / 400)
    assert result.lags >= horizon - 1
    assert result.statistic == pytest.approx(fit.tvalues[0] * correction)
    assert result.mean_difference == pytest.approx(difference.mean())


def test_diebold_mariano_rejects_at_its_nominal_rate_under_overlap() -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(300):
        shocks = rng.normal(size=504)
        overlapping = np.convolve(shocks, np.ones(5), mode="valid")
        rejected += diebold_mariano(overlapping, horizon_sessions=5).p_value < 0.05
    assert 0.02 < rejected / 300 < 0.11


def test_diebold_mariano_is_undefined_for_equal_forecasts_and_needs_enough_days() -> None:
    assert np.isnan(diebold_mariano(np.zeros(50), horizon_sessions=1).p_value)
    with pytest.raises(ValueError, match="40 days"):
        diebold_mariano(np.zeros(40), horizon_sessions=20)


@pytest.mark.parametrize(
    ("interval", "judged"),
    [
        (Interval(0.002, 0.001, 0.003), "beats"),
        (Interval(-0.002, -0.003, -0.001), "loses"),
        (Interval(0.002, -0.001, 0.005), "no evidence"),
        (Interval(0.0003, 0.0001, 0.0004), "no difference that matters"),  # surely above 0, and surely too small
        (Interval(0.0, 0.0, 0.0), "no difference that matters"),
        (Interval(0.0004, 0.0001, 0.0007), "no evidence"),  # above 0, but it may matter and may not
        (Interval(0.0006, 0.0001, 0.0011), "beats"),
        (Interval(float("nan"), float("nan"), float("nan")), "no evidence"),
    ],
)
def test_a_difference_is_judged_by_the_smallest_that_matters(interval: Interval, judged: str) -> None:
    assert interval.judged(smallest=0.0005) == judged


def test_where_any_difference_matters_the_interval_alone_decides() -> None:
    assert Interval(0.0003, 0.0001, 0.0004).verdict == "beats"
    assert Interval(0.0, 0.0, 0.0).verdict == "no evidence"
