"""Sizes, neutrality and caps on literal tables."""

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast_assets.core.backtest.sizing import (
    Views,
    capped_book,
    carry,
    directional_sizes,
    neutral_sizes,
    neutralise,
    tranches,
)
from forecast_assets.core.specs import BacktestSpec

Floats = NDArray[np.float64]

REGION = np.array([0, 0, 0, 1, 1])
SPEC = BacktestSpec().model_copy(update={"horizon_sessions": 4, "kelly_fraction": 0.5, "sigma_floor": 0.005})
SIGMA = np.array([0.04, 0.06, 0.09, 0.13, 0.07, 0.05])
BETA = np.array([0.8, 1.3, 1.1, 0.9, 1.2, 0.7])


def directional(location: list[float], sigma: list[float]) -> Floats:
    views = Views(*(np.array([row]) for row in (location, sigma, sigma)))
    return directional_sizes(views, round_trip=np.array([0.001]), spec=SPEC)[0]


def neutral(location: Floats, *, scale: Floats = SIGMA, sigma: Floats = SIGMA, round_trip: float = 0.0) -> Floats:
    views = Views(*(np.asarray(row)[None] for row in (location, scale, sigma)))
    region = np.zeros(len(scale), dtype=np.intp)
    trip = np.full(len(scale), round_trip)
    return neutral_sizes(views, beta=BETA[None, : len(scale)], region=region, round_trip=trip, spec=SPEC)[0]


def test_half_kelly_is_half_the_edge_over_the_variance() -> None:
    expected = 0.5 * 0.01 / 0.05**2
    np.testing.assert_allclose(directional([0.01, -0.01], [0.05, 0.05]), [expected, -expected])


def test_an_edge_below_the_round_trip_sizes_to_zero() -> None:
    floor = 0.01**2  # sigma 0.01 at four sessions is the floor itself
    np.testing.assert_allclose(directional([0.00099, 0.00101], [0.01, 0.01]), [0.0, 0.5 * 0.00101 / floor])


def test_sigma_is_not_believed_below_the_floor_of_its_horizon() -> None:
    np.testing.assert_allclose(directional([0.01], [0.001]), [0.5 * 0.01 / (0.005**2 * 4)])


def test_one_log_mean_for_all_tickers_holds_nothing_whatever_their_volatility() -> None:
    four = SIGMA[:4]  # half the variance added to the mean made this -.98, -.02, .41, .59
    np.testing.assert_array_equal(neutral(np.full(4, 0.004), scale=four, sigma=four), np.zeros(4))
    np.testing.assert_array_equal(neutral(np.full(6, 0.004)), np.zeros(6))


def test_a_location_that_is_scale_times_a_shape_holds_nothing_even_calibrated() -> None:
    calibrated = SIGMA * np.array([1.1, 0.9, 1.0, 1.2, 0.8, 1.0])
    np.testing.assert_array_equal(neutral(0.05 * SIGMA, sigma=calibrated), np.zeros(6))
    np.testing.assert_array_equal(neutral(0.002 + 0.05 * SIGMA, sigma=calibrated), np.zeros(6))


def test_a_view_is_held_without_net_position_scale_or_beta() -> None:
    book = neutral(np.array([0.01, 0, 0, 0, 0, 0]) + 0.004 + 0.03 * SIGMA)
    assert book[0] > 0.1
    for exposure in (np.ones(6), SIGMA, BETA):
        assert book @ exposure == pytest.approx(0.0, abs=1e-12)


def test_a_neutral_book_is_the_best_one_among_the_neutral() -> None:
    """Against a general solver of the constrained problem it states."""
    from scipy.optimize import minimize

    location = np.random.default_rng(0).normal(0, 0.01, 6)
    book = neutral(location)
    exposures = np.stack([np.ones(6), SIGMA, BETA])

    def minus_growth(weights: Floats) -> float:
        return float(-(weights @ location) + weights @ (weights * SIGMA**2) / (2 * SPEC.kelly_fraction))

    constraint = {"type": "eq", "fun": lambda weights: exposures @ weights}
    found = minimize(minus_growth, np.zeros(6), constraints=[constraint], tol=1e-14)
    np.testing.assert_allclose(book, found.x, atol=1e-5)


def test_tickers_that_do_not_pay_the_round_trip_are_in_no_ones_mean() -> None:
    location = np.array([0.02, -0.02, 0.015, -0.015, 0.0, 0.0])
    book = neutral(location, scale=np.full(6, 0.05), sigma=np.full(6, 0.05), round_trip=0.01)
    assert (book[4:] == 0).all()
    assert np.sign(book[:4]).tolist() == [1, -1, 1, -1]
    assert abs(book.sum()) < 1e-12


@pytest.mark.parametrize("tickers", [1, 2, 3])
def test_a_region_with_as_few_tickers_as_exposures_holds_nothing(tickers: int) -> None:
    location = np.array([0.02, -0.03, 0.01])[:tickers]
    np.testing.assert_array_equal(neutral(location, scale=SIGMA[:tickers], sigma=SIGMA[:tickers]), np.zeros(tickers))


def test_a_ticker_without_a_decision_has_no_part_in_the_book() -> None:
    location = np.array([0.02, -0.01, 0.01, -0.02, 0.005, 0.0])
    book = neutral(np.append(location, np.nan)[:6] * 1.0)
    with_gap = Views(*(np.insert(row, 2, np.nan)[None] for row in (location, SIGMA, SIGMA)))
    wide = neutral_sizes(
        with_gap,
        beta=np.insert(BETA, 2, 1.0)[None],
        region=np.zeros(7, dtype=np.intp),
        round_trip=np.zeros(7),
        spec=SPEC,
    )[0]
    assert wide[2] == 0.0
    np.testing.assert_allclose(np.delete(wide, 2), book, rtol=1e-12)


def test_a_shut_ticker_keeps_its_decision_for_the_limit_and_then_loses_it() -> None:
    nan = np.nan
    given = np.array([[nan, 0.3], [0.1, nan], [nan, nan], [nan, nan], [nan, 0.2]])
    np.testing.assert_array_equal(carry(given, limit=2), [[nan, 0.3], [0.1, 0.3], [0.1, 0.3], [0.1, nan], [nan, 0.2]])


def test_each_region_is_demeaned_over_the_tickers_that_trade() -> None:
    held = neutralise(np.array([[0.3, 0.1, 0.0, 0.2, 0.2], [0.0, 0.4, 0.0, 0.1, -0.1]]), [], REGION)
    np.testing.assert_allclose(held, [[0.1, -0.1, 0, 0, 0], [0, 0, 0, 0.1, -0.1]], atol=1e-15)


def capped(sizes: list[float], *, is_neutral: bool, name_cap: float, gross_cap: float) -> Floats:
    spec = BacktestSpec().model_copy(update={"name_cap": name_cap, "gross_cap": gross_cap})
    return capped_book(np.array([sizes]), REGION, exposures=[] if is_neutral else None, spec=spec)[0]


def test_the_gross_cap_keeps_the_proportions_of_the_names() -> None:
    book = capped([2.0, -1.0, -1.0, 0.5, -0.5], is_neutral=True, name_cap=1.0, gross_cap=1.0)
    np.testing.assert_allclose(book, [0.4, -0.2, -0.2, 0.1, -0.1])


def test_sizes_far_beyond_the_name_cap_keep_their_order_and_not_only_their_signs() -> None:
    book = capped([3.0, 2.0, 1.0, 0.0, 0.0], is_neutral=True, name_cap=0.5, gross_cap=0.6)
    np.testing.assert_allclose(book, [0.3, 0.0, -0.3, 0.0, 0.0], atol=1e-15)


def test_the_name_cap_cuts_a_neutral_book_and_leaves_it_neutral() -> None:
    book = capped([0.9, -0.2, -0.1, 0.1, -0.1], is_neutral=True, name_cap=0.2, gross_cap=2.0)
    assert np.abs(book).max() <= 0.2 + 1e-12
    assert book[:3].sum() == pytest.approx(0.0, abs=1e-12)
    assert book[0] == pytest.approx(0.2, abs=1e-6)
    np.testing.assert_allclose(book[3:], [0.1, -0.1])


def test_a_directional_book_is_clipped_and_need_not_be_neutral() -> None:
    book = capped([0.5, 0.1, -0.3, 0.0, 0.0], is_neutral=False, name_cap=0.2, gross_cap=2.0)
    np.testing.assert_allclose(book, [0.2, 0.1, -0.2, 0.0, 0.0])


def test_a_book_within_both_caps_stays_as_it_is() -> None:
    small = [0.1, -0.1, 0.0, 0.05, -0.05]
    np.testing.assert_allclose(capped(small, is_neutral=True, name_cap=0.2, gross_cap=1.0), small)


def test_equal_sizes_leave_nothing_at_all_to_trade() -> None:
    book = capped([0.1 + 0.2, 0.3, 0.3, 0.7, 0.7], is_neutral=True, name_cap=0.2, gross_cap=1.0)
    np.testing.assert_array_equal(book, np.zeros(5))


def test_tranches_average_the_decisions_in_force() -> None:
    book = np.array([[3.0], [6.0], [9.0], [0.0], [0.0], [0.0]])
    session = np.arange(6)
    np.testing.assert_allclose(tranches(book, session=session, horizon_sessions=3)[:, 0], [3, 4.5, 6, 5, 3, 0])
    np.testing.assert_array_equal(tranches(book, session=session, horizon_sessions=1), book)


def test_no_tranche_outlives_its_horizon_over_a_gap() -> None:
    book = np.array([[3.0], [6.0], [9.0], [1.0]])
    short, long = np.array([0, 1, 4, 5]), np.array([0, 1, 5, 6])
    np.testing.assert_allclose(tranches(book, session=short, horizon_sessions=3)[:, 0], [3, 4.5, 6, 16 / 3])
    np.testing.assert_allclose(tranches(book, session=long, horizon_sessions=3)[:, 0], [3, 4.5, 9, 5])
