"""The probability of a rise: exact for a Normal, sensible where quantiles coincide."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from forecast_assets.core.scores.direction import probability_above
from forecast_assets_tests.helpers.scores import normal_quantiles


@pytest.mark.parametrize("mean", [-3.5, -1.7, -1.1, -0.3, 0.0, 0.2, 0.9, 1.8, 4.0])
def test_a_normal_gives_its_own_probability_in_every_piece_and_both_tails(mean: float) -> None:
    q = normal_quantiles(mean * 0.02, 0.02)
    assert probability_above(q) == pytest.approx(NormalDist().cdf(mean), abs=1e-12)


def test_a_skewed_distribution_is_met_within_a_point_and_a_half() -> None:
    """A log-normal, whose upper tail no Normal piece follows exactly."""
    q = np.exp(normal_quantiles(0.0, 0.4))
    worst = max(
        abs(float(probability_above(q, threshold=t)) - (1 - NormalDist(0, 0.4).cdf(math.log(t))))
        for t in np.linspace(0.4, 2.4, 201)
    )
    assert worst < 0.015


@pytest.mark.parametrize(
    ("quantiles", "probability"),
    [
        ([0.0] * 7, 0.5),
        ([0.01] * 7, 1.0),
        ([-0.01] * 7, 0.0),
        ([-1, -1, -1, 0, 0, 1, 1], 1 - (0.5 + 0.75) / 2),
        ([-2, -1, 0, 1, 2, 3, 4], 0.75),
    ],
)
def test_where_quantiles_coincide_the_middle_of_the_jump_counts(quantiles: list[float], probability: float) -> None:
    assert probability_above(np.array(quantiles, dtype=float)) == pytest.approx(probability)


def test_shapes_that_disagree_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) do not fit 7 levels"):
        probability_above(np.zeros((2, 3)))
