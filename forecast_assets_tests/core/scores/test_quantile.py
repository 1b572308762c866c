"""Quantile scores against scoringrules, scipy and hand-made tables."""

import numpy as np
import pytest
import scoringrules
from scipy.stats import norm

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.quantile import coverage, crps_from_quantiles, mean_sigma_from_quantiles, pinball, pit
from forecast_assets_tests.helpers.scores import normal_quantiles

LEVELS = (0.1, 0.5, 0.9)


def test_pinball_of_a_literal_table() -> None:
    quantiles = [[-1.0, 0.0, 2.0], [-1.0, 0.0, 2.0]]
    losses = pinball([1.0, 3.0], quantiles, levels=LEVELS)
    np.testing.assert_allclose(losses, [[0.2, 0.5, 0.1], [0.4, 1.5, 0.9]])


def test_pinball_equals_scoringrules_on_every_level() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, 3))
    quantiles = np.sort(rng.normal(size=(40, 3, 7)), axis=-1)
    ours = pinball(y, quantiles, levels=QUANTILES)
    assert ours.shape == (40, 3, 7)
    for k, level in enumerate(QUANTILES):
        np.testing.assert_allclose(ours[..., k], scoringrules.quantile_score(y, quantiles[..., k], level))


def test_outcomes_that_have_not_matured_are_left_out_of_the_averages() -> None:
    quantiles = np.tile([-1.0, 0.0, 2.0], (3, 1))
    assert np.nanmean(pinball([1.0, np.nan, 1.0], quantiles, levels=LEVELS)) == pytest.approx(0.8 / 3)
    assert coverage([1.0, np.nan, 5.0], quantiles[:, 0], quantiles[:, 2]) == 0.5
    assert np.isnan(pit([np.nan], quantiles[:1], levels=LEVELS)[0])


def test_averages_over_nothing_matured_are_undefined_rather_than_zero() -> None:
    assert np.isnan(pinball([np.nan], [[-1.0, 0.0, 2.0]], levels=LEVELS)).all()
    assert np.isnan(coverage([np.nan], [-1.0], [1.0]))


def test_coverage_counts_the_ends_of_the_band_as_inside() -> None:
    assert coverage([-1.0, 0.0, 1.0, 1.1], [-1.0] * 4, [1.0] * 4) == 0.75


def test_crps_on_evenly_spread_levels_equals_scoringrules() -> None:
    rng = np.random.default_rng(1)
    levels = (np.arange(20) + 0.5) / 20
    quantiles = np.sort(rng.normal(size=(50, 20)), axis=-1)
    y = rng.normal(size=50)
    ours = crps_from_quantiles(y, quantiles, levels=tuple(levels))
    np.testing.assert_allclose(ours, scoringrules.crps_quantile(y, quantiles, levels))


def test_crps_of_a_normal_from_seven_quantiles_is_a_little_below_the_exact_one() -> None:
    y = np.random.default_rng(2).normal(size=50_000)
    ours = crps_from_quantiles(y, normal_quantiles(np.zeros(50_000), np.ones(50_000)), levels=QUANTILES).mean()
    exact = scoringrules.crps_normal(y, 0.0, 1.0).mean()
    assert 0.95 < ours / exact < 0.97


def test_pit_at_a_quantile_is_its_level_and_linear_between_two() -> None:
    quantiles = np.tile([-1.0, 0.0, 2.0], (4, 1))
    np.testing.assert_allclose(pit([-1.0, 0.0, 2.0, 1.0], quantiles, levels=LEVELS), [0.1, 0.5, 0.9, 0.7])


def test_pit_tails_decay_from_the_outer_levels_without_reaching_zero_or_one() -> None:
    quantiles = np.tile([-1.0, 0.0, 2.0], (4, 1))
    far_low, low, high, far_high = pit([-1.5, -1.001, 2.001, 3.0], quantiles, levels=LEVELS)
    assert 0 < far_low < low < 0.1
    assert 0.9 < high < far_high < 1
    assert [low, high] == pytest.approx([0.1, 0.9], abs=1e-3)
    assert far_low == pytest.approx(0.1 * np.exp(-0.5 * 0.4 / 0.1))


def test_pit_of_a_normal_is_close_to_its_distribution_function() -> None:
    y = np.linspace(-3.5, 3.5, 101)
    quantiles = normal_quantiles(np.zeros(101), np.ones(101))
    np.testing.assert_allclose(pit(y, quantiles, levels=QUANTILES), norm.cdf(y), atol=0.03)


def test_pit_takes_the_middle_of_a_jump_where_quantiles_coincide() -> None:
    quantiles = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(pit([0.0, 0.0, -1.0, 1.0], quantiles, levels=LEVELS), [0.3, 0.5, 0.0, 1.0])


def test_normal_quantiles_equal_scipy() -> None:
    ours = normal_quantiles([0.1, -0.2], [0.5, 2.0])
    theirs = norm.ppf(np.array(QUANTILES)[None], loc=[[0.1], [-0.2]], scale=[[0.5], [2.0]])
    np.testing.assert_allclose(ours, theirs)


def test_mean_is_exact_and_sigma_within_a_tenth_of_a_percent_for_a_normal() -> None:
    mean, sigma = mean_sigma_from_quantiles(normal_quantiles([[0.1, -0.2]], [[0.5, 2.0]]))
    np.testing.assert_allclose(mean, [[0.1, -0.2]])
    np.testing.assert_allclose(sigma, [[0.5, 2.0]], rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pinball([0.0, 1.0], [[0.0, 1.0, 2.0]], levels=LEVELS), "do not fit"),
        (lambda: pinball([0.0], [[0.0, 1.0, 2.0]], levels=(0.5, 0.1, 0.9)), "ascend"),
        (lambda: normal_quantiles([0.0, 0.0], [1.0, 0.0]), "1 of 2 sigmas"),
        (lambda: mean_sigma_from_quantiles([[0.0, 1.0, 2.0]], levels=LEVELS), r"levels \[0.05, 0.95\]"),
    ],
)
def test_arguments_that_disagree_are_named(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
