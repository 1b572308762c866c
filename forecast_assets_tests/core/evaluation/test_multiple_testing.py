"""Noise, in which nothing may be found more often than promised, and planted differences, which must be."""

import numpy as np
import pytest

from forecast_assets.core.evaluation.multiple_testing import confidence_set, superior_ability

NAMES = [f"m{k}" for k in range(6)]


def test_among_equals_a_winner_is_declared_about_as_seldom_as_promised() -> None:
    found, runs = 0, 80
    for seed in range(runs):
        losses = np.random.default_rng(seed).normal(1.0, 0.2, (250, 7))
        result = superior_ability(losses[:, 0], losses[:, 1:], names=NAMES, samples=200, seed=seed)
        found += result.p_value < 0.05
    assert found / runs <= 0.12


def test_a_candidate_that_is_truly_better_is_named_and_the_others_are_not() -> None:
    losses = np.random.default_rng(0).normal(1.0, 0.2, (400, 7))
    losses[:, 4] -= 0.1
    result = superior_ability(losses[:, 0], losses[:, 1:], names=NAMES, samples=300, seed=0)
    assert result.p_value < 0.01
    assert result.better == ("m3",)


def test_the_unit_of_the_losses_changes_nothing() -> None:
    losses = np.random.default_rng(1).normal(1.0, 0.2, (200, 7))
    first, second = (
        superior_ability(k * losses[:, 0], k * losses[:, 1:], names=NAMES, samples=200, seed=3) for k in (1.0, 1e-5)
    )
    assert first.p_value == pytest.approx(second.p_value)


def test_a_copy_of_the_reference_is_no_candidate() -> None:
    reference = np.random.default_rng(2).normal(1.0, 0.2, 200)
    result = superior_ability(reference, reference[:, None], names=["copy"], samples=50, seed=0)
    assert np.isnan(result.p_value)
    assert result.better == ()


def test_the_confidence_set_keeps_the_equal_best_and_drops_the_worse() -> None:
    losses = np.random.default_rng(0).normal(1.0, 0.1, (500, 6))
    losses[:, :3] += 0.1
    kept = confidence_set(losses, names=NAMES, samples=300, seed=0)
    assert set(kept) == {"m3", "m4", "m5"}
    assert next(iter(kept.values())) == 1.0  # the best model's


def test_a_model_twice_is_one_model() -> None:
    losses = np.random.default_rng(0).normal(1.0, 0.1, (200, 2))
    twice = np.column_stack([losses, losses[:, 0]])
    assert "copy" not in confidence_set(twice, names=["a", "b", "copy"], samples=100, seed=0)
    assert confidence_set(losses[:, :1], names=["a"], samples=10, seed=0) == {"a": 1.0}


def test_losses_that_do_not_fit_their_names_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\) do not fit 6 names"):
        confidence_set(np.ones((3, 2)), names=NAMES, samples=10, seed=0)
    with pytest.raises(ValueError, match="1 of 4 values are not"):
        confidence_set([[1.0, np.inf], [1.0, 2.0]], names=["a", "b"], samples=10, seed=0)
