"""Evidence that may be looked at every day: it holds the truth at all times, and finds what is not as it should be."""

import itertools

import numpy as np
import pytest

from forecast_assets.core.evaluation.anytime import BETS, confidence_sequence, log_e_values, log_e_values_above
from forecast_assets.core.scores.trading import Floats

SESSIONS, RECORDS, TWENTY = 500, 100, np.log(20.0)


def shares(rng: np.random.Generator, *, tickers: int = 60, threshold: float = 1.96) -> Floats:
    """Return daily shares of tickers inside a band; a common factor moves all of them."""
    market = rng.standard_normal((SESSIONS, 1)) * np.sqrt(0.3)
    returns = market + rng.standard_normal((SESSIONS, tickers)) * np.sqrt(0.7)
    inside: Floats = (np.abs(returns) <= threshold).mean(axis=1)
    return inside


def test_the_truth_is_inside_at_every_time_in_95_of_100_records() -> None:
    rng = np.random.default_rng(7)
    truth = 0.9500042  # of a standard Normal within 1.96
    missed = sum(bool((log_e_values(shares(rng), mean=truth) >= TWENTY).any()) for _ in range(RECORDS))
    assert missed <= 5


def test_an_interval_looked_at_daily_would_miss_the_truth_far_more_often() -> None:
    rng, missed = np.random.default_rng(7), 0
    for _ in range(RECORDS):
        values = shares(rng)
        count = np.arange(1, SESSIONS + 1)
        mean = values.cumsum() / count
        error = np.sqrt(np.maximum((values**2).cumsum() / count - mean**2, 0) / count)
        missed += bool((np.abs(mean - 0.9500042) > 1.96 * error)[20:].any())
    assert missed > 15


def test_conditional_means_that_move_with_the_regime_are_followed() -> None:
    rng, missed = np.random.default_rng(3), 0
    for _ in range(RECORDS):
        calm = np.cumsum(rng.random(SESSIONS) < 0.02) % 2 == 0  # regimes of some fifty sessions, known beforehand
        mean = np.where(calm, 0.97, 0.90)
        values = rng.beta(20 * mean, 20 * (1 - mean))
        found, truth = confidence_sequence(values), mean.cumsum() / np.arange(1, SESSIONS + 1)
        missed += bool(((truth < found.low) | (truth > found.high)).any())
    assert missed <= 5


def test_a_band_that_covers_90_instead_of_95_percent_is_found_within_a_year() -> None:
    rng = np.random.default_rng(5)
    found = [log_e_values(shares(rng, threshold=1.645), mean=0.95)[:252].max() >= TWENTY for _ in range(20)]
    assert all(found)


def test_e_values_and_interval_are_what_exact_fractions_give() -> None:
    outcomes = [0.25, 1.0, 0.5]
    bets = [float(bet) for bet in BETS]
    for t, m in itertools.product((1, 2, 3), (0.1, 0.5)):
        up = [np.prod([(1 + g * x) / (1 + g * m) for x in outcomes[:t]]) for g in bets]
        down = [np.prod([(1 + g * (1 - x)) / (1 + g * (1 - m)) for x in outcomes[:t]]) for g in bets]
        assert log_e_values(np.array(outcomes), mean=m)[t - 1] == pytest.approx(np.log(np.mean(up + down)))
        assert log_e_values_above(np.array(outcomes), mean=m)[t - 1] == pytest.approx(np.log(np.mean(up)))


def test_bounds_are_where_the_e_value_crosses_its_limit() -> None:
    values = np.random.default_rng(1).beta(8, 2, 40)
    found = confidence_sequence(values, level=0.9)
    for bound in (found.low[-1], found.high[-1]):
        assert log_e_values(values, mean=float(bound))[-1] == pytest.approx(np.log(10), abs=1e-6)
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()


def test_the_truth_of_no_outcome_and_of_the_first_may_be_anything_or_nearly() -> None:
    assert confidence_sequence(np.empty(0)).low.shape == (0,)
    assert log_e_values(np.empty(0), mean=0.5).shape == (0,)
    first = confidence_sequence(np.array([1.0]))
    assert first.low[0] < 0.1
    assert first.high[0] == 1.0


@pytest.mark.parametrize("bad", [[0.5, 1.01], [-0.1], [float("nan")]])
def test_an_outcome_outside_of_its_bounds_is_an_error(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=f"1 of {len(bad)} are not"):
        confidence_sequence(np.array(bad))
