"""Sizes, neutrality and caps on literal tables."""

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.sizing import capped_book, carry, demean_within_region, kelly_sizes, tranches
from forecast_assets.core.specs import BacktestSpec

REGION = np.array([0, 0, 0, 1, 1])


def sizes(mean: list[float], sigma: list[float], *, unconditional_mean: float = 0.0) -> np.ndarray:
    return kelly_sizes(
        np.array(mean),
        np.array(sigma),
        spec=BacktestSpec().model_copy(update={"horizon_sessions": 4, "kelly_fraction": 0.5, "sigma_floor": 0.005}),
        unconditional_mean=unconditional_mean,
        round_trip=2.0 * Costs(5.0).rates(["A"]),
    )


def test_half_kelly_is_half_the_edge_over_the_variance() -> None:
    expected = 0.5 * (0.01 + 0.05**2 / 2) / 0.05**2
    np.testing.assert_allclose(sizes([0.01, -0.01 - 0.05**2], [0.05, 0.05]), [expected, -expected])


def test_the_unconditional_mean_is_not_an_edge() -> None:
    np.testing.assert_array_equal(sizes([0.01 - 0.05**2 / 2], [0.05], unconditional_mean=0.01), [0.0])


def test_an_edge_below_the_round_trip_sizes_to_zero() -> None:
    floor = 0.01**2  # sigma 0.01 at four sessions is the floor itself
    np.testing.assert_allclose(
        sizes([0.00099 - floor / 2, 0.00101 - floor / 2], [0.01, 0.01]), [0.0, 0.5 * 0.00101 / floor]
    )


def test_sigma_is_not_believed_below_the_floor_of_its_horizon() -> None:
    floored = 0.5 * (0.01 + 0.001**2 / 2) / (0.005**2 * 4)
    np.testing.assert_allclose(sizes([0.01], [0.001]), [floored])


def test_a_shut_ticker_keeps_its_size_for_the_limit_and_then_loses_it() -> None:
    nan = np.nan
    given = np.array([[nan, 0.3], [0.1, nan], [nan, nan], [nan, nan], [nan, 0.2]])
    np.testing.assert_array_equal(carry(given, limit=2), [[0, 0.3], [0.1, 0.3], [0.1, 0.3], [0.1, 0], [0, 0.2]])


def test_each_region_is_demeaned_over_the_names_that_trade() -> None:
    neutral = demean_within_region(np.array([[0.3, 0.1, 0.0, 0.2, 0.2], [0.0, 0.4, 0.0, 0.1, -0.1]]), REGION)
    np.testing.assert_allclose(neutral, [[0.1, -0.1, 0, 0, 0], [0, 0, 0, 0.1, -0.1]], atol=1e-15)


def capped(sizes: list[float], *, neutral: bool, name_cap: float, gross_cap: float) -> NDArray[np.float64]:
    rules = {"book": "neutral" if neutral else "directional", "name_cap": name_cap, "gross_cap": gross_cap}
    return capped_book(np.array([sizes]), REGION, spec=BacktestSpec().model_copy(update=rules))[0]


def test_the_gross_cap_keeps_the_proportions_of_the_names() -> None:
    book = capped([2.0, -1.0, -1.0, 0.5, -0.5], neutral=True, name_cap=1.0, gross_cap=1.0)
    np.testing.assert_allclose(book, [0.4, -0.2, -0.2, 0.1, -0.1])


def test_sizes_far_beyond_the_name_cap_keep_their_order_and_not_only_their_signs() -> None:
    book = capped([3.0, 2.0, 1.0, 0.0, 0.0], neutral=True, name_cap=0.5, gross_cap=0.6)
    np.testing.assert_allclose(book, [0.3, 0.0, -0.3, 0.0, 0.0], atol=1e-15)


def test_the_name_cap_cuts_a_neutral_book_and_leaves_it_neutral() -> None:
    book = capped([0.9, -0.2, -0.1, 0.1, -0.1], neutral=True, name_cap=0.2, gross_cap=2.0)
    assert np.abs(book).max() <= 0.2 + 1e-12
    assert book[:3].sum() == pytest.approx(0.0, abs=1e-12)
    assert book[0] == pytest.approx(0.2, abs=1e-6)
    np.testing.assert_allclose(book[3:], [0.1, -0.1])


def test_a_directional_book_is_clipped_and_need_not_be_neutral() -> None:
    book = capped([0.5, 0.1, -0.3, 0.0, 0.0], neutral=False, name_cap=0.2, gross_cap=2.0)
    np.testing.assert_allclose(book, [0.2, 0.1, -0.2, 0.0, 0.0])


def test_a_book_within_both_caps_stays_as_it_is() -> None:
    small = [0.1, -0.1, 0.0, 0.05, -0.05]
    np.testing.assert_allclose(capped(small, neutral=True, name_cap=0.2, gross_cap=1.0), small)


def test_equal_sizes_leave_nothing_at_all_to_trade() -> None:
    book = capped([0.1 + 0.2, 0.3, 0.3, 0.7, 0.7], neutral=True, name_cap=0.2, gross_cap=1.0)
    np.testing.assert_array_equal(book, np.zeros(5))


def test_tranches_average_the_last_decisions_and_start_empty() -> None:
    book = np.array([[3.0], [6.0], [9.0], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(tranches(book, horizon_sessions=3), [[1], [3], [6], [5], [3], [0]])
    np.testing.assert_array_equal(tranches(book, horizon_sessions=1), book)
