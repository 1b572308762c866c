import numpy as np
import pytest

from forecast_assets.core.training.ensemble import choose_members, median_of_means


def test_members_are_the_best_by_validation_and_ties_go_by_name() -> None:
    scores = {"c": 0.3, "b": 0.1, "a": 0.1, "d": 0.05}
    assert choose_members(scores, members=3) == ["d", "a", "b"]


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
