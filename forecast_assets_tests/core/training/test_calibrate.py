import json
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.scores.quantile import coverage
from forecast_assets.core.specs import CalibrationSpec
from forecast_assets.core.training.calibrate import (
    MAX_LOG_FACTOR,
    Calibrated,
    CalibrationState,
    Matured,
    apply,
    calibrate_online,
    calibrate_split,
    label_dates,
    split_conformal_quantile,
    update,
    volatility_regimes,
)
from forecast_assets.core.windows.tensors import NO_DATE
from forecast_assets_tests.helpers.scores import mean_pinball
from forecast_assets_tests.helpers.tensors import random_panel

Floats = NDArray[np.float64]
NORMAL = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
SPEC = CalibrationSpec(rate=0.04)


class Simulation:
    """N tickers a day with a common shock, forecast as a standard Normal whatever their volatility really is."""

    def __init__(self, volatility: Floats, *, tickers: int = 60, delay: int = 20, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        days = len(volatility)
        shocks = math.sqrt(0.3) * rng.standard_normal((days, 1, 3)) + math.sqrt(0.7) * rng.standard_normal(
            (days, tickers, 3)
        )
        self.y = (shocks * volatility[:, None, None]).reshape(-1, 3)
        self.date = np.repeat(np.arange(days), tickers)
        self.label_date = np.repeat(self.date[:, None] + delay, 3, axis=1)
        self.quantiles = np.tile(NORMAL, (len(self.y), 3, 1))
        self.regime = rng.integers(0, 3, len(self.y))

    def calibrated(self, order: slice | NDArray[np.int64] = slice(None)) -> Calibrated:
        return calibrate_online(
            self.quantiles[order],
            y=self.y[order],
            date=self.date[order],
            label_date=self.label_date[order],
            regime=self.regime[order],
            spec=SPEC,
        )


def test_coverage_recovers_from_a_doubling_of_volatility_with_labels_20_days_late() -> None:
    market = Simulation(np.repeat([1.0, 2.0], [200, 800]))
    after = market.date >= 200
    y, raw, online = market.y[after], market.quantiles[after], market.calibrated().quantiles[after]
    assert coverage(y, raw[..., 0], raw[..., -1]) < 0.70
    assert coverage(y[:, 0], online[:, 0, 0], online[:, 0, -1]) == pytest.approx(0.95, abs=0.01)
    assert coverage(y, online[..., 0], online[..., -1]) > 0.92  # the longer horizons are slower on purpose
    assert mean_pinball(y, online, levels=QUANTILES) < 0.95 * mean_pinball(y, raw, levels=QUANTILES)


def test_calibrated_forecasts_are_not_harmed() -> None:
    market = Simulation(np.ones(1000))
    online = market.calibrated().quantiles
    harm = mean_pinball(market.y, online, levels=QUANTILES) / mean_pinball(market.y, market.quantiles, levels=QUANTILES)
    assert harm <= 1.002
    # Days are the independent draws: the standard error of coverage comes from daily shares.
    inside = ((market.y >= online[..., 0]) & (market.y <= online[..., -1])).reshape(1000, -1).mean(axis=1)
    assert inside.mean() == pytest.approx(0.95, abs=3 * inside.std() / math.sqrt(1000))


def test_an_outcome_that_ends_on_the_forecast_date_or_later_changes_nothing() -> None:
    market = Simulation(np.ones(120), tickers=5)
    cut = 70
    before = market.calibrated().quantiles
    poisoned = Simulation(np.ones(120), tickers=5)
    poisoned.y[poisoned.label_date >= cut] = 1e6
    after = poisoned.calibrated().quantiles
    np.testing.assert_array_equal(after[market.date <= cut], before[market.date <= cut])
    assert (after[market.date == cut + 1] != before[market.date == cut + 1]).any()  # and a day later it does


def test_a_label_that_is_known_at_its_own_forecast_is_an_error() -> None:
    market = Simulation(np.ones(30), tickers=2)
    market.label_date[7, 1] = market.date[7]
    with pytest.raises(ValueError, match="ends on or before the date of its own forecast"):
        market.calibrated()


def test_the_order_of_rows_is_irrelevant() -> None:
    market = Simulation(np.ones(80), tickers=7)
    order = np.random.default_rng(1).permutation(len(market.y))
    np.testing.assert_allclose(
        market.calibrated(order).quantiles, market.calibrated().quantiles[order], rtol=0, atol=1e-12
    )


def test_the_vectorised_loop_equals_one_outcome_at_a_time() -> None:
    market = Simulation(np.linspace(1, 2, 40), tickers=4, delay=3)
    market.y[::11, 2] = np.nan
    factor = np.zeros((3, 3, 7))
    expected = np.empty_like(market.quantiles)
    slope = [abs(z) * NormalDist().pdf(z) for z in NORMAL]
    for day in range(40):
        matured = [
            (i, h) for i in range(len(market.y)) for h in range(3)
            if market.label_date[i, h] == day - 1 and np.isfinite(market.y[i, h])
        ]  # fmt: skip
        moved = factor.copy()
        for h, sessions in enumerate(HORIZONS):
            for r in range(3):
                mine = [i for i, column in matured if column == h and market.regime[i] == r]
                total = sum(column == h for _, column in matured)
                for low in range(3):
                    alpha, excess = QUANTILES[low], 0.0
                    for i in mine:
                        outside = (market.y[i, h] < expected[i, h, low]) + (market.y[i, h] > expected[i, h, 6 - low])
                        excess += outside / 2 - alpha
                    step = SPEC.rate / math.sqrt(sessions) * excess / max(len(mine), total / 3, 1) / slope[low]
                    moved[r, h, [low, 6 - low]] += step
        factor = moved
        today = np.flatnonzero(market.date == day)
        expected[today] = np.sort(np.exp(factor[market.regime[today]]) * market.quantiles[today], axis=-1)
    np.testing.assert_allclose(market.calibrated().quantiles, expected, rtol=0, atol=1e-12)


def test_quantiles_stay_finite_and_in_order_and_the_median_where_it_was() -> None:
    rng = np.random.default_rng(3)
    market = Simulation(np.repeat([1.0, 1e9, 1e-9], 300), tickers=3)
    market.quantiles = np.sort(rng.standard_t(3, market.quantiles.shape), axis=-1)
    online, state = market.calibrated()
    assert np.isfinite(online).all()
    assert (np.diff(online, axis=-1) >= 0).all()
    np.testing.assert_array_equal(online[..., 3], market.quantiles[..., 3])
    assert np.abs(state.log_factor).max() <= MAX_LOG_FACTOR


def test_the_state_goes_through_json_bit_for_bit() -> None:
    state = Simulation(np.full(60, 1.7), tickers=3).calibrated().state
    assert np.abs(state.log_factor).max() > 0
    again = CalibrationState.from_json(json.loads(json.dumps(state.to_json())))
    np.testing.assert_array_equal(again.log_factor, state.log_factor)
    with pytest.raises(BadInput, match="log_factor has shape"):
        CalibrationState.from_json({"log_factor": [[0.0]]})


def test_a_day_without_outcomes_is_no_step_and_the_first_state_changes_nothing() -> None:
    state = CalibrationState.initial()
    nothing = Matured(np.empty(0), np.empty((0, 7)), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    assert update(state, nothing, spec=SPEC) is state
    raw = np.tile(NORMAL, (4, 3, 1))
    np.testing.assert_array_equal(apply(state, raw, regime=np.array([0, 1, 2, 0])), raw)


@pytest.mark.parametrize(("n", "level", "rank"), [(99, 0.95, 95), (100, 0.95, 96), (19, 0.95, 19), (39, 0.5, 20)])
def test_the_split_conformal_quantile_is_an_order_statistic(n: int, level: float, rank: int) -> None:
    scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert split_conformal_quantile(scores, level=level) == rank


def test_too_few_scores_for_a_level_mean_an_infinite_band() -> None:
    assert split_conformal_quantile(np.arange(18.0), level=0.95) == math.inf


def test_split_conformal_bands_equal_those_of_mapie() -> None:
    mapie = pytest.importorskip("mapie.regression", reason="no mapie: the order statistic above is the oracle")
    dummy = pytest.importorskip("sklearn.dummy")
    rng = np.random.default_rng(5)
    y = rng.standard_t(4, 501)
    zero = dummy.DummyRegressor(strategy="constant", constant=0.0).fit(np.zeros((2, 1)), np.zeros(2))
    peer = mapie.SplitConformalRegressor(zero, confidence_level=0.95, prefit=True)
    peer.conformalize(np.zeros((501, 1)), y)
    _, band = peer.predict_interval(np.zeros((1, 1)))
    assert split_conformal_quantile(np.abs(y), level=0.95) == pytest.approx(float(band[0, 1, 0]), rel=1e-12)


def test_split_calibration_covers_its_own_validation_rows_and_reads_no_other() -> None:
    market = Simulation(np.full(100, 1.5))
    validation = market.date < 50
    split = calibrate_split(market.quantiles, y=market.y, validation=validation)
    for low, high in ((0, 6), (1, 5), (2, 4)):
        inside = coverage(market.y[validation, 1], split[validation, 1, low], split[validation, 1, high])
        assert inside == pytest.approx(QUANTILES[high] - QUANTILES[low], abs=1 / 3000 + 1e-9)
    poisoned = np.where(validation[:, None], market.y, 1e6)
    np.testing.assert_array_equal(calibrate_split(market.quantiles, y=poisoned, validation=validation), split)


def test_a_label_is_dated_by_its_own_horizon_on_the_default_calendar() -> None:
    panel = random_panel(tickers=2, sessions=40)
    ends, date = label_dates(panel), panel.date.numpy()
    for column, horizon in enumerate(HORIZONS):
        np.testing.assert_array_equal(ends[: 40 - horizon, column], date[horizon:40])
        np.testing.assert_array_equal(ends[40 - horizon : 40, column], NO_DATE)


def test_where_rows_are_not_own_sessions_every_label_waits_for_the_furthest() -> None:
    panel = random_panel(tickers=1, sessions=40)
    later = panel.label_end.clone()
    later[3] += 1
    ends = label_dates(replace(panel, label_end=later))
    np.testing.assert_array_equal(ends[3], [int(later[3])] * 3)
    np.testing.assert_array_equal(ends[10], [int(later[10])] * 3)


def test_regimes_compare_a_ticker_with_its_own_past_only() -> None:
    panel = random_panel(tickers=3, sessions=90)
    rng = np.random.default_rng(2)
    scale = panel.scale * torch.from_numpy(np.exp(rng.normal(0, 0.3, panel.rows))).float()
    scale[90:180] *= 50  # a wild ticker is in no higher regime for being wild
    scale[:5] = float("nan")
    panel = replace(panel, scale=scale)
    train = np.r_[20:60, 110:150, 200:240]
    regime = volatility_regimes(panel, train=train)
    assert regime[:5].tolist() == [1] * 5
    for code in range(3):
        assert np.bincount(regime[90 * code + 20 : 90 * code + 60], minlength=3).min() >= 5
    later = scale.clone()
    later[75:90] = 9.0
    np.testing.assert_array_equal(
        np.delete(volatility_regimes(replace(panel, scale=later), train=train), np.s_[75:90]),
        np.delete(regime, np.s_[75:90]),
    )
