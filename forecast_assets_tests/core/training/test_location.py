import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.training.location import EarnedLocation, earned_location

Floats = NDArray[np.float64]
TICKERS, EXCHANGES = 24, 3


def simulated(*, sessions: int, ic: float, seed: int, persistence: float = 0.0, timing: float = 0.0) -> EarnedLocation:
    """Earn a location that has an information coefficient of ``ic`` within a day, and ``timing`` on the market's own move.

    Half of a return's variance is the market's. The learned location is right where it predicts: the slope is 1.
    """
    rng = np.random.default_rng(seed)
    total = sessions + HORIZONS[-1]
    signal, shared = rng.normal(size=(total, TICKERS)), rng.normal(size=(total, 1))
    for t in range(1, total):
        signal[t] = persistence * signal[t - 1] + np.sqrt(1 - persistence**2) * signal[t]
    returns = np.sqrt(0.5) * (rng.normal(size=(total, TICKERS)) + rng.normal(size=(total, 1)))
    drift = np.sqrt(0.5) * (ic * signal + timing * shared)
    returns[1:] += drift[:-1]
    price = np.cumsum(returns, axis=0)
    outcome = np.stack([price[h : h + sessions] - price[:sessions] for h in HORIZONS], axis=-1)  # (T, N, 3)
    learned = drift if ic or timing else 0.1 * signal
    deviation = np.repeat(learned[:sessions, :, None], len(HORIZONS), axis=-1)
    return earned_location(
        deviation.reshape(-1, len(HORIZONS)),
        outcome.reshape(-1, len(HORIZONS)),
        session=np.repeat(np.arange(sessions), TICKERS),
        exchange=np.tile(np.arange(TICKERS) % EXCHANGES, sessions),
    )


def by_hand(x: Floats, y: Floats, day: list[int], exchange: list[int], horizon: int) -> tuple[float, float]:
    """The definition, with loops, of one horizon."""
    keys = list(zip(day, exchange, strict=True))
    mean = {key: [np.mean([v[i] for i in range(len(v)) if keys[i] == key]) for v in (x, y)] for key in set(keys)}
    between = np.array([mean[key] for key in keys])
    within = np.column_stack([x, y]) - between
    between = between - between.mean(axis=0)
    earned, errors, variances = [], [], []
    for a, b in (within.T, between.T):
        slope = (a * b).sum() / (a * a).sum()
        score = [sum((a * (b - slope * a))[i] for i in range(len(a)) if day[i] == d) for d in range(max(day) + 1)]
        lags = 2 * horizon
        spread = sum(
            max(0, 1 - abs(i - j) / (lags + 1)) * score[i] * score[j]
            for i in range(len(score))
            for j in range(len(score))
        )
        error = np.sqrt(spread) / (a * a).sum()
        critical = student.isf(0.00135, max(1.0, 1.5 * len(set(day)) / (lags + 1)))
        earned.append(min(slope, 1.0) * max(0.0, 1 - (critical * error / slope) ** 2) if slope > 0 else 0.0)
        errors.append(error)
        variances.append((a * a).sum())
    inside, total = variances[0] / (len(x) - len(mean)), sum(variances)
    common = max(0.0, variances[1] - (len(mean) - 1) * inside) / total
    share = np.array([1 - common, common])
    return float(share @ earned), float(np.sqrt(((share * errors) ** 2).sum()))


def test_slopes_and_errors_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    day = [int(d) for d in np.sort(rng.integers(0, 40, 200))]
    exchange = [int(e) for e in rng.integers(0, 2, 200)]
    x = rng.normal(size=(200, 3))
    y = 0.7 * x + rng.normal(size=(200, 3)) * 0.3
    y[::7, 1] = np.nan
    found = earned_location(x, y, session=day, exchange=exchange)
    for k, horizon in enumerate(HORIZONS):
        known = np.flatnonzero(np.isfinite(y[:, k])).tolist()
        days, codes = [day[i] for i in known], [exchange[i] for i in known]
        expected = by_hand(x[known, k], y[known, k], days, codes, horizon)
        assert (found.slope[k], found.error[k]) == pytest.approx(expected, rel=1e-9)
    assert 0.6 < found.slope[0] < 0.8


@pytest.mark.parametrize(("sessions", "persistence"), [(126, 0.0), (126, 0.98), (294, 0.98)])
def test_noise_earns_nothing_at_any_horizon(sessions: int, persistence: float) -> None:
    found = [simulated(sessions=sessions, ic=0.0, seed=seed, persistence=persistence) for seed in range(50)]
    assert sum(slope > 0 for each in found for slope in each.slope) <= 2  # of 150; none or one is expected


@pytest.mark.parametrize(("ic", "low", "high"), [(0.25, 0.85, 1.0), (0.1, 0.3, 0.8), (0.02, 0.0, 0.05)])
def test_a_location_that_is_right_is_kept_as_far_as_it_can_be_told_from_noise(
    ic: float, low: float, high: float
) -> None:
    found = [simulated(sessions=126, ic=ic, seed=seed).slope[0] for seed in range(20)]
    assert low <= np.mean(found) <= high


def test_the_right_move_of_the_market_is_earned_by_the_days_it_was_right_on() -> None:
    strong, weak = (
        np.mean([simulated(sessions=126, ic=0.0, timing=t, seed=s).slope[0] for s in range(20)]) for t in (0.8, 0.1)
    )
    assert strong > 0.8
    assert weak < 0.05  # an IC of 0.1 on 126 days is an ordinary accident, however many tickers move together


def test_market_timing_that_predicts_nothing_takes_its_share_off_a_right_location() -> None:
    rng = np.random.default_rng(0)
    day, exchange = np.repeat(np.arange(200), 50), np.zeros(10_000, dtype=np.int64)
    right, noise = rng.normal(size=10_000), rng.normal(size=200)[day]
    outcome = right + rng.normal(size=10_000) + rng.normal(size=200)[day]
    columns = [np.repeat(v[:, None], 3, axis=1) for v in (right + noise, outcome)]
    found = earned_location(columns[0], columns[1], session=day, exchange=exchange)
    assert found.slope[0] == pytest.approx(0.5, abs=0.05)  # half of what was learned is right


def test_rows_without_outcomes_or_differences_earn_nothing() -> None:
    nothing = earned_location(np.zeros((0, 3)), np.zeros((0, 3)), session=[], exchange=[])
    flat = earned_location(np.ones((9, 3)), np.ones((9, 3)), session=list(range(9)), exchange=[0] * 9)
    unknown = earned_location(np.ones((9, 3)), np.full((9, 3), np.nan), session=list(range(9)), exchange=[0] * 9)
    for found in (nothing, flat, unknown):
        assert found == EarnedLocation((0.0,) * 3, (float("inf"),) * 3)


def test_a_wrong_location_is_not_turned_around() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 3))
    found = earned_location(x, -x, session=np.arange(3_000) // 10, exchange=np.zeros(3_000, dtype=np.int64))
    assert found.slope == (0.0, 0.0, 0.0)
