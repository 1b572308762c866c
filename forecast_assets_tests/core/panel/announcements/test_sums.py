"""Sums of rows against plain loops, and their rounding."""

import numpy as np
import pytest

from forecast_assets.core.panel.announcements.sums import GroupSums, centred_sum, lagged, trailing_sum


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(150, 3)) ** 3


@pytest.mark.parametrize("length", [1, 2, 5, 22, 65, 66, 200])
def test_a_trailing_sum_is_that_of_a_plain_loop(values: np.ndarray, length: int) -> None:
    plain = [values[max(0, row - length + 1) : row + 1].sum(axis=0) for row in range(len(values))]
    np.testing.assert_allclose(trailing_sum(values, length), plain, atol=1e-12)


@pytest.mark.parametrize("half", [1, 4, 32])
def test_a_centred_sum_is_that_of_a_plain_loop(values: np.ndarray, half: int) -> None:
    plain = [values[max(0, row - half) : row + half + 1].sum(axis=0) for row in range(len(values))]
    np.testing.assert_allclose(centred_sum(values, half), plain, atol=1e-12)


def test_a_trailing_sum_begins_anew_where_positions_do(values: np.ndarray) -> None:
    own = values[:, 0]
    position = np.concatenate([np.arange(40), np.arange(7), np.arange(103)])
    plain = [own[row - min(position[row], 21) : row + 1].sum() for row in range(len(own))]
    np.testing.assert_allclose(trailing_sum(own, 22, position=position), plain, atol=1e-12)


@pytest.mark.parametrize("length", [5, 22, 65, 66])
def test_a_sums_rounding_depends_on_its_own_rows_alone(values: np.ndarray, length: int) -> None:
    late = trailing_sum(values[50:], length)[length - 1 :]
    whole = trailing_sum(values, length)[50 + length - 1 :]
    assert np.array_equal(whole, late)
    assert not np.array_equal(
        np.cumsum(values, axis=0)[50:] - np.cumsum(values, axis=0)[49], values[50:].cumsum(axis=0)
    )


def test_a_lag_does_not_reach_before_its_history() -> None:
    values, position = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 0, 1])
    assert lagged(values, 1, position=position, fill=-1.0).tolist() == [-1.0, 1.0, -1.0, 3.0]
    assert lagged(values, 2).tolist() == [0.0, 0.0, 1.0, 2.0]


def test_group_sums_of_parts_are_those_of_the_whole_to_the_last_bit() -> None:
    rng = np.random.default_rng(1)
    values, group, counts = rng.normal(size=500), rng.integers(0, 7, 500), rng.random(500) < 0.8
    values[::50] = np.nan
    whole, parts = GroupSums(8), GroupSums(8)
    whole.add(values, group, counts=counts)
    for begin in range(0, 500, 90):
        part = slice(begin, begin + 90)
        parts.add(values[part], group[part], counts=counts[part])
    assert np.array_equal(whole.total, parts.total)
    assert np.array_equal(whole.count, parts.count)
    chosen = counts & np.isfinite(values)
    plain = [values[chosen & (group == k)].mean() for k in range(7)]
    np.testing.assert_allclose(whole.mean(np.arange(7)), plain, atol=1e-12)
    assert np.isnan(whole.mean(np.array([7]))).all()


def test_the_mean_of_others_leaves_a_row_itself_out_and_is_shrunk() -> None:
    values, group = np.array([1.0, 3.0, 8.0, np.nan, 5.0]), np.zeros(5, dtype=np.int64)
    counts = np.array([True, True, True, True, False])
    sums = GroupSums(1)
    sums.add(values, group, counts=counts)
    found = sums.of_others(values, group, counts=counts, prior=4.0)
    assert found.tolist() == [11 / 6, 9 / 6, 4 / 6, 12 / 7, 12 / 7]
