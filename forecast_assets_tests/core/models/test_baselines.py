"""What every baseline owes, and the closed forms of those that have one."""

from dataclasses import fields, replace

import numpy as np
import pytest

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import PanelArrays, Rows
from forecast_assets.core.models.baselines import BASELINES
from forecast_assets_tests.core.models.arrays_builder import simulated_panel

TICKERS, SESSIONS = 3, 500
PANEL = simulated_panel(tickers=TICKERS, sessions=SESSIONS, seed=5)
CUT = 400
"""Training labels end at this session; all that follows is the future."""


def of_each_ticker(first: int, end: int) -> Rows:
    """Rows of sessions first .. end - 1 of every ticker."""
    return np.concatenate([np.arange(first, end) + code * SESSIONS for code in range(TICKERS)])


TRAIN = of_each_ticker(60, CUT - max(HORIZONS))
ORIGINS = of_each_ticker(CUT + 21, 480)


def poisoned(panel: PanelArrays, *, rows: Rows) -> PanelArrays:
    """The same panel with garbage in every float at ``rows``, and in every label that reads one of them."""
    garbage = {}
    for field in fields(panel):
        column = getattr(panel, field.name)
        if column.dtype == np.float64 and field.name != "targets":
            garbage[field.name] = column.copy()
            garbage[field.name][rows] = 37.0
    targets = panel.targets.copy()
    for column, horizon in enumerate(HORIZONS):
        targets[np.isin(np.arange(len(targets)) + horizon, rows), column] = -1e6
    return replace(panel, **garbage, targets=targets)


@pytest.mark.parametrize("name", BASELINES)
def test_quantiles_are_finite_and_non_decreasing(name: str) -> None:
    quantiles = BASELINES[name](PANEL, train=TRAIN, origins=ORIGINS)
    assert quantiles.shape == (len(ORIGINS), len(HORIZONS), len(QUANTILES))
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=2) >= 0).all()


@pytest.mark.parametrize("name", BASELINES)
def test_the_future_of_the_training_labels_changes_no_fit(name: str) -> None:
    future = of_each_ticker(CUT, SESSIONS)
    before = of_each_ticker(60, CUT)  # origins whose inputs are all known before the cut
    np.testing.assert_array_equal(
        BASELINES[name](poisoned(PANEL, rows=future), train=TRAIN, origins=before),
        BASELINES[name](PANEL, train=TRAIN, origins=before),
    )


@pytest.mark.parametrize("name", BASELINES)
def test_the_training_labels_do_change_the_fit(name: str) -> None:
    stretched = replace(PANEL, targets=3 * PANEL.targets)
    actual = BASELINES[name](stretched, train=TRAIN, origins=ORIGINS)
    np.testing.assert_allclose(actual, 3 * BASELINES[name](PANEL, train=TRAIN, origins=ORIGINS), rtol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_a_ticker_that_training_has_not_seen_gets_a_forecast(name: str) -> None:
    without_last = TRAIN[TRAIN < 2 * SESSIONS]
    quantiles = BASELINES[name](PANEL, train=without_last, origins=np.arange(2 * SESSIONS + 60, 3 * SESSIONS))
    assert np.isfinite(quantiles).all()


@pytest.mark.parametrize("name", BASELINES)
def test_ninety_five_percent_bands_hold_about_that_many_training_labels(name: str) -> None:
    quantiles = BASELINES[name](PANEL, train=TRAIN, origins=TRAIN)
    inside = (quantiles[:, :, 0] <= PANEL.targets[TRAIN]) & (PANEL.targets[TRAIN] <= quantiles[:, :, -1])
    np.testing.assert_allclose(inside.mean(axis=0), 0.95, atol=0.003)


def test_the_random_walk_is_the_unconditional_distribution() -> None:
    expected = [[np.quantile(PANEL.targets[TRAIN, column], p) for p in QUANTILES] for column in range(3)]
    quantiles = BASELINES["random_walk"](PANEL, train=TRAIN, origins=ORIGINS)
    np.testing.assert_allclose(quantiles, np.broadcast_to(expected, quantiles.shape), rtol=1e-12)


@pytest.mark.parametrize(("name", "column"), [("ewma", "ewma_vol"), ("histvol20", "volatility_20")])
def test_bands_follow_the_volatility_at_the_forecast_origin(name: str, column: str) -> None:
    quantiles = BASELINES[name](PANEL, train=TRAIN, origins=ORIGINS)
    volatility = getattr(PANEL, column)
    for position, horizon in enumerate(HORIZONS):
        scale = volatility[TRAIN] * np.sqrt(horizon)
        shape = np.quantile(PANEL.targets[TRAIN, position] / scale, QUANTILES)
        expected = np.outer(volatility[ORIGINS] * np.sqrt(horizon), shape)
        np.testing.assert_allclose(quantiles[:, position], expected, rtol=1e-12)
