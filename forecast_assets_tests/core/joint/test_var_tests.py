"""Tests of value at risk against published regions, hand-made counts and statsmodels."""

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.stats.multitest import multipletests

from forecast_assets.core.joint.var_tests import apart, christoffersen, christoffersen_independence, holm, kupiec


def hits(count: int, days: int) -> np.ndarray:
    """Exceedances spread evenly, so that no two follow each other."""
    made = np.zeros(days, dtype=bool)
    made[np.linspace(0, days - 1, count).astype(int)] = count > 0
    return made


@pytest.mark.parametrize(
    ("level", "days", "least", "most"),
    [
        (0.99, 255, 1, 6),
        (0.99, 510, 2, 10),
        (0.99, 1000, 5, 16),
        (0.95, 255, 7, 20),
        (0.95, 510, 17, 35),
        (0.95, 1000, 38, 64),
    ],
)
def test_counts_that_are_not_rejected_are_those_that_kupiec_published(
    level: float, days: int, least: int, most: int
) -> None:
    """Kupiec 1995, non-rejection regions at 95 % test confidence, as Jorion prints them. His first one, "N < 7", has 0
    too, whose statistic of 5.1 is above 3.84.
    """
    accepted = [count for count in range(days // 5) if kupiec(hits(count, days), level=level).p_value >= 0.05]
    assert (accepted[0], accepted[-1]) == (least, most)


def test_kupiec_is_the_ratio_of_two_binomial_likelihoods() -> None:
    found = kupiec(hits(8, 100), level=0.95)
    by_hand = 2 * (8 * np.log(0.08 / 0.05) + 92 * np.log(0.92 / 0.95))
    assert found.statistic == pytest.approx(by_hand)
    assert found.p_value == pytest.approx(chi2.sf(by_hand, 1))


def test_independence_is_the_ratio_of_a_markov_chain_to_none() -> None:
    """0 0 1 1 0 1 0 0 0 0: of six days after none two exceed, of three after one, one does."""
    days = np.array([0, 0, 1, 1, 0, 1, 0, 0, 0, 0], dtype=bool)
    free = 2 * np.log(2 / 6) + 4 * np.log(4 / 6) + np.log(1 / 3) + 2 * np.log(2 / 3)
    tied = 3 * np.log(3 / 9) + 6 * np.log(6 / 9)
    assert christoffersen_independence(days).statistic == pytest.approx(2 * (free - tied), abs=1e-12)


def test_clustered_exceedances_are_found_though_their_number_is_right() -> None:
    clustered = np.zeros(500, dtype=bool)
    clustered[100:125] = True
    assert kupiec(clustered, level=0.95).p_value == pytest.approx(1.0)
    assert christoffersen_independence(clustered).p_value < 1e-6
    both = christoffersen(clustered, level=0.95)
    assert both.p_value < 1e-6
    assert both.statistic == pytest.approx(christoffersen_independence(clustered).statistic)


def test_days_without_an_exceedance_say_nothing_about_independence() -> None:
    none = np.zeros(40, dtype=bool)
    assert christoffersen_independence(none).p_value == 1.0
    assert kupiec(none, level=0.95).statistic == pytest.approx(-80 * np.log(0.95))
    assert christoffersen_independence(np.ones(1, dtype=bool)).p_value == 1.0


def test_right_values_at_risk_are_rejected_about_as_often_as_the_tests_promise() -> None:
    rng = np.random.default_rng(0)
    draws = rng.random((400, 1000)) < 0.05
    number = np.mean([kupiec(days, level=0.95).p_value < 0.05 for days in draws])
    both = np.mean([christoffersen(days, level=0.95).p_value < 0.05 for days in draws])
    assert 0.02 < number < 0.09
    assert 0.02 < both < 0.10


def test_p_values_are_adjusted_as_holm_does_and_nan_does_not_count() -> None:
    given = [0.01, 0.2, 0.012, 0.9, 0.04, 0.012]
    assert holm(given) == pytest.approx(multipletests(given, method="holm")[1])
    with_gap = holm([0.01, float("nan"), 0.03])
    assert (with_gap[0], np.isnan(with_gap[1]), with_gap[2]) == (pytest.approx(0.02), True, pytest.approx(0.03))


def test_days_are_kept_whose_outcomes_do_not_overlap() -> None:
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"], dtype="datetime64[D]")
    ends = np.array(["2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09"], dtype="datetime64[D]")
    assert apart(days, ends).tolist() == [0, 2, 4]
    assert apart(days[:0], ends[:0]).tolist() == []


def test_no_day_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        kupiec([], level=0.95)
