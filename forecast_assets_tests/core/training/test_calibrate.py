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
from forecast_assets.core.specs import CalibrationSpec, FoldSpec
from forecast_assets.core.training.calibrate import (
    MAX_LOG_FACTOR,
    Calibrated,
    CalibrationState,
    Issued,
    Matured,
    apply,
    calibrate_fold,
    calibrate_online,
    calibrate_split,
    follow,
    label_dates,
    split_conformal_quantile,
    update,
)
from forecast_assets.core.training.calibration_groups import Groups, Membership
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.tensors import NO_DATE
from forecast_assets_tests.helpers.scores import mean_pinball
from forecast_assets_tests.helpers.tensors import random_panel

Floats = NDArray[np.float64]
NORMAL = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
SPEC = CalibrationSpec(rate=0.04)
ONE_FOR_ALL = SPEC.model_copy(update={"exchange_rate": 0.0, "volatility_rate": 0.0})
REGIME_NAMES = ("regime 0", "regime 1", "regime 2")
NAMES = (*REGIME_NAMES, "exchange other", "exchange XNYS", "exchange XFRA", *(f"volatility {k}" for k in range(10)))


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
        ticker = np.tile(np.arange(tickers), days)  # the last twentieth on another exchange
        columns = (
            rng.integers(0, 3, len(self.y)),
            4 + (ticker >= tickers - tickers // 20),
            6 + rng.integers(0, 10, len(self.y)),
        )
        self.groups = Membership(NAMES, np.stack(columns, axis=1))

    def members(self, name: str) -> NDArray[np.bool_]:
        return (self.groups.code == NAMES.index(name)).any(axis=1)

    def calibrated(self, order: slice | NDArray[np.int64] = slice(None), *, spec: CalibrationSpec = SPEC) -> Calibrated:
        return calibrate_online(
            self.quantiles[order],
            y=self.y[order],
            date=self.date[order],
            label_date=self.label_date[order],
            groups=self.groups[order],
            spec=spec,
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
    market = Simulation(np.linspace(1, 2, 40), tickers=20, delay=3)
    market.y[::11, 2] = np.nan
    factor = np.zeros((len(NAMES), 3, 7))
    expected = np.empty_like(market.quantiles)
    slope = [abs(z) * NormalDist().pdf(z) for z in NORMAL]
    rates = {"regime": SPEC.rate, "exchange": SPEC.exchange_rate, "volatility": SPEC.volatility_rate}
    for day in range(40):
        moved = factor.copy()
        for h, sessions in enumerate(HORIZONS):
            matured = [
                i for i in range(len(market.y)) if market.label_date[i, h] == day - 1 and np.isfinite(market.y[i, h])
            ]
            for low in range(3):
                excess = {
                    i: ((market.y[i, h] < expected[i, h, low]) + (market.y[i, h] > expected[i, h, 6 - low])) / 2
                    - QUANTILES[low]
                    for i in matured
                }
                of_all = sum(excess.values()) / max(len(matured), 1)
                for g, name in enumerate(NAMES):
                    kind, mine = name.split(" ")[0], [i for i in matured if g in market.groups.code[i]]
                    if kind == "regime":
                        gap, least = sum(excess[i] for i in mine), max(len(matured) / 3, 1)
                    else:
                        gap, least = sum(excess[i] - of_all for i in mine), {"exchange": 1, "volatility": 10}[kind]
                    slower = sessions ** (0.25 if kind == "volatility" else 0.5)
                    step = rates[kind] / slower * gap / max(len(mine), least) / slope[low]
                    moved[g, h, [low, 6 - low]] += step
        factor = moved
        today = np.flatnonzero(market.date == day)
        expected[today] = np.sort(
            np.exp(factor[market.groups.code[today]].sum(axis=1)) * market.quantiles[today], axis=-1
        )
    np.testing.assert_allclose(market.calibrated().quantiles, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "scale"), [("exchange XFRA", 1.4), ("volatility 0", 1.3), ("volatility 9", 0.7)])
def test_a_group_that_is_scaled_wrongly_gets_its_own_coverage(name: str, scale: float) -> None:
    """Three of 60 tickers, or a tenth of the forecasts; one state for all leaves them outside 93-97 %."""
    market = Simulation(np.ones(1000), delay=2)
    mine, others = market.members(name), ~market.members(name)
    market.y[mine] *= scale
    late = market.date >= 300

    def at_h1(spec: CalibrationSpec, rows: NDArray[np.bool_]) -> float:
        online = market.calibrated(spec=spec).quantiles
        return coverage(market.y[rows & late, 0], online[rows & late, 0, 0], online[rows & late, 0, -1])

    assert not 0.93 <= at_h1(ONE_FOR_ALL, mine) <= 0.97
    assert at_h1(SPEC, mine) == pytest.approx(0.95, abs=0.01)
    assert at_h1(SPEC, others) == pytest.approx(0.95, abs=0.01)


def test_a_groups_mean_difference_from_all_is_what_its_factor_says() -> None:
    """So it is bounded, on a stream that jumps about and a small exchange that is wrong by another scale every 50 days."""
    days = 400
    market = Simulation(np.repeat([1.0, 3.0, 0.5, 2.0], days // 4), tickers=200, delay=1)
    wrong = np.repeat(np.random.default_rng(7).choice([0.6, 1.0, 1.7], days // 50), 50)
    mine = market.members("exchange XFRA")
    market.y[mine] *= wrong[market.date[mine], None]
    quantiles, state = market.calibrated()
    log_factor = state.of(("exchange XFRA",))[0]  # (3, 7)
    assert np.abs(log_factor).max() < MAX_LOG_FACTOR
    steps = days - 2  # on the labels that end before the last day
    matured = market.date < steps
    for low in range(3):
        outside = (market.y < quantiles[..., low]) | (market.y > quantiles[..., 6 - low])  # (M, 3)
        difference = (outside[matured & mine].mean(axis=0) - outside[matured].mean(axis=0)) / 2  # of a tail
        slope = abs(NORMAL[low]) * NormalDist().pdf(NORMAL[low])
        said = log_factor[:, low] * slope * np.sqrt(HORIZONS) / (steps * SPEC.exchange_rate)
        np.testing.assert_allclose(difference, said, rtol=0, atol=1e-12)


def test_the_only_exchange_of_a_panel_has_no_factor_of_its_own() -> None:
    market = Simulation(np.repeat([1.0, 2.0], 100), tickers=10)
    assert not market.members("exchange XFRA").any()
    state = market.calibrated().state
    np.testing.assert_allclose(state.of(("exchange XNYS",)), 0, atol=1e-12)
    assert np.abs(state.of(REGIME_NAMES)).max() > 0.01


def test_following_night_by_night_ends_in_the_state_of_the_whole_loop() -> None:
    market = Simulation(np.linspace(1, 2, 90), tickers=20, delay=4)
    quantiles, last = market.calibrated()
    issued = Issued(quantiles, market.y, market.label_date, market.groups)
    state = CalibrationState.initial()
    for day in range(1, 90):
        state = follow(state, issued, since=day - 1, days=[day], spec=SPEC)
    assert state.names == last.names
    np.testing.assert_array_equal(state.log_factor, last.log_factor)


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
    state = Simulation(np.full(60, 1.7), tickers=20).calibrated().state
    assert np.abs(state.log_factor).max(axis=(1, 2))[[0, 4, 5, 6]].min() > 0
    again = CalibrationState.from_json(json.loads(json.dumps(state.to_json())))
    assert again.names == state.names
    np.testing.assert_array_equal(again.log_factor, state.log_factor)
    assert CalibrationState.from_json(CalibrationState.initial().to_json()).names == ()


def test_an_earlier_state_is_read_as_that_of_the_regimes() -> None:
    earlier = np.random.default_rng(0).normal(size=(3, 3, 7))
    state = CalibrationState.from_json({"log_factor": earlier.tolist()})
    np.testing.assert_array_equal(state.of(("regime 2", "exchange XNYS")), [earlier[2], np.zeros((3, 7))])


@pytest.mark.parametrize("log_factor", [[[0.0]], {"regime 0": [[0.0] * 7] * 2}])
def test_a_state_of_other_horizons_is_refused(log_factor: object) -> None:
    with pytest.raises(BadInput, match="log_factor has shape"):
        CalibrationState.from_json({"log_factor": log_factor})


def test_a_group_that_the_state_has_not_met_has_the_common_factor() -> None:
    state = CalibrationState(("regime 1", "exchange XNYS"), np.full((2, 3, 7), 0.1) * (NORMAL != 0))
    raw = np.tile(NORMAL, (2, 3, 1))
    groups = Membership(("regime 1", "exchange XNYS", "exchange other"), np.array([[0, 1], [0, 2]]))
    known, other = apply(state, raw, groups=groups)
    np.testing.assert_allclose(known, np.exp(0.2) * raw[0], rtol=1e-12)
    np.testing.assert_allclose(other, np.exp(0.1) * raw[0], rtol=1e-12)


def test_a_day_without_outcomes_is_no_step_and_the_first_state_changes_nothing() -> None:
    state = CalibrationState.initial()
    groups = Membership(REGIME_NAMES, np.array([[0], [1], [2], [0]]))
    nothing = Matured(np.empty(0), np.empty((0, 7)), np.empty(0, dtype=np.int64), groups[:0])
    assert update(state, nothing, spec=SPEC) is state
    raw = np.tile(NORMAL, (4, 3, 1))
    np.testing.assert_array_equal(apply(state, raw, groups=groups), raw)


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


def test_a_row_without_a_forecast_stays_without_and_teaches_nothing() -> None:
    panel = random_panel(tickers=4, sessions=700)
    fold = make_fold(
        panel,
        year=2019,
        spec=FoldSpec(first_test_year=2019, validation_sessions=60, min_history_sessions=100),
        lookback=20,
    )
    rows = fold.origins.numpy()
    quantiles = np.tile(0.005 * NORMAL, (len(rows), len(HORIZONS), 1))
    absent = np.zeros((len(rows), len(HORIZONS)), dtype=bool)
    absent[panel.ticker[fold.origins].numpy() == 2] = True
    absent[:, 2] = True
    without = calibrate_fold(np.where(absent[..., None], np.nan, quantiles), panel=panel, fold=fold, spec=SPEC)
    assert np.isnan(without.quantiles[absent]).all()
    kept = rows[~absent[:, 0]]
    y = panel.targets[kept].double().numpy()
    y[:, 2] = np.nan
    expected = calibrate_online(
        quantiles[: len(kept)],
        y=y,
        date=panel.date[kept].numpy().astype(np.int64),
        label_date=label_dates(panel)[kept],
        groups=Groups.fit(panel, train=fold.train).of(panel, torch.from_numpy(kept)),
        spec=SPEC,
    )
    np.testing.assert_allclose(without.quantiles[~absent[:, 0], :2], expected.quantiles[:, :2], rtol=1e-12)
    assert not np.array_equal(expected.quantiles[:, :2], quantiles[: len(kept), :2])
