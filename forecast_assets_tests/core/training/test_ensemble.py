import numpy as np
import pytest
from numpy.typing import NDArray

from forecast_assets.core.training.ensemble import choose_members, median_of_means

Floats = NDArray[np.float64]


def bands(location: Floats) -> Floats:
    """Return unit-wide quantiles (M, 1, 7) around ``location`` (M,)."""
    return (location[:, None] + np.linspace(-0.5, 0.5, 7))[:, None, :]


def choose(forecasts: dict[str, Floats], outcomes: Floats, *, members: int = 5) -> list[str]:
    return choose_members(forecasts, outcomes[:, None], members=members, groups=1, tolerance=0.001)


def test_a_fit_that_errs_the_other_way_is_chosen_before_a_better_one_that_errs_alike() -> None:
    outcomes = np.zeros(4)
    error = np.array([1.0, -1.0, 1.0, -1.0])
    forecasts = {"best": bands(error), "alike": bands(1.1 * error), "other": bands(-1.2 * error)}
    assert choose(forecasts, outcomes, members=2) == ["best", "other"]


def test_the_ensemble_is_one_fit_where_every_other_costs() -> None:
    outcomes = np.zeros(4)
    error = np.array([1.0, -1.0, 1.0, -1.0])
    assert choose({"b": bands(error), "a": bands(2 * error), "c": bands(1.5 * error)}, outcomes) == ["b"]


def test_a_fit_that_costs_no_more_than_noise_is_taken() -> None:
    outcomes = np.zeros(4)
    error = np.array([1.0, -1.0, 1.0, -1.0])
    assert choose({"b": bands(error), "a": bands(1.001 * error), "c": bands(2 * error)}, outcomes) == ["b", "a"]


def test_there_are_at_most_so_many_members_none_twice_and_ties_go_by_name() -> None:
    rng = np.random.default_rng(0)
    outcomes = rng.normal(size=400)
    forecasts = {name: bands(rng.normal(size=400)) for name in "fedcba"}
    chosen = choose(forecasts | {"g": forecasts["a"]}, outcomes, members=3)
    assert len(chosen) == len(set(chosen)) == 3
    assert choose({"b": forecasts["a"], "a": forecasts["a"]}, outcomes) == ["a", "b"]


def test_outcomes_that_have_not_matured_do_not_count_and_one_at_least_has_to() -> None:
    outcomes = np.array([0.0, np.nan])
    forecasts = {"good": bands(np.array([0.1, 9.0])), "bad": bands(np.array([0.2, 0.0]))}
    assert choose(forecasts, outcomes)[0] == "good"
    with pytest.raises(ValueError, match="no outcome has matured"):
        choose(forecasts, np.full(2, np.nan))


def test_a_horizon_of_which_nothing_has_matured_does_not_count() -> None:
    outcomes = np.array([[0.0, np.nan], [0.0, np.nan]])
    good, bad = (bands(np.full(2, error)).repeat(2, axis=1) for error in (0.1, 3.0))
    assert choose_members({"bad": bad, "good": good}, outcomes, members=1, groups=1, tolerance=0.0) == ["good"]


def test_median_of_means_by_hand() -> None:
    # Members 1..5 dealt to three groups: {1, 4}, {2, 5}, {3} -> means 2.5, 3.5, 3 -> median 3.
    members = np.arange(1.0, 6.0)[:, None, None, None] * np.ones((5, 1, 1, 1))
    assert median_of_means(members, groups=3).tolist() == [[[3.0]]]


def test_one_wild_member_does_not_move_the_median_of_means_past_the_others() -> None:
    members = np.array([1.0, 1.1, 0.9, 1.0, 1e6])[:, None, None, None]
    assert median_of_means(members, groups=5).item() == pytest.approx(1.0)


def test_combined_quantiles_do_not_cross_even_where_the_median_of_each_level_would() -> None:
    members = np.array([[0.0, 1.0], [0.5, 0.6], [-2.0, -1.0]])[:, None, None, :]
    combined = median_of_means(members, groups=3)
    assert (np.diff(combined, axis=-1) >= 0).all()


def test_fewer_members_than_groups_make_as_many_groups_as_members() -> None:
    members = np.array([1.0, 3.0])[:, None, None, None]
    assert median_of_means(members, groups=3).item() == 2.0
