from dataclasses import replace

import numpy as np
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.har import fit, forward_log_variance, predict_scale
from forecast_assets_tests.core.models.arrays_builder import simulated_panel

PANEL = simulated_panel(tickers=3, sessions=200, seed=4)
TRAIN = np.r_[30:150, 230:350, 430:550]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_forward_variance_equals_a_loop_over_the_observed_sessions_ahead(horizon: int) -> None:
    missing = np.zeros(600, dtype=bool)
    missing[[40, 41, 42, 240]] = True
    starts = PANEL.segment_start.copy()
    starts[300] = True
    panel = replace(PANEL, is_missing=missing, segment_start=starts)
    actual = forward_log_variance(panel, np.arange(600), horizon=horizon)
    for row in range(600):
        end = min(bound for bound in (200, 300, 400, 600) if bound > row)
        ahead = [i for i in range(row + 1, row + horizon + 1) if i >= end or not missing[i]]
        if row + horizon >= end or not ahead:
            assert np.isnan(actual[row])
        else:
            assert actual[row] == pytest.approx(np.log(np.mean(np.exp(panel.har_1[ahead]))), abs=1e-12)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_fit_is_least_squares_over_all_tickers(horizon: int) -> None:
    actual = fit(PANEL, horizon=horizon, train=TRAIN)
    design = np.array([[1.0, PANEL.har_1[t], PANEL.har_5[t], PANEL.har_22[t]] for t in TRAIN])
    outcome = forward_log_variance(PANEL, TRAIN, horizon=horizon)
    expected = np.linalg.solve(design.T @ design, design.T @ outcome)
    np.testing.assert_allclose([actual.intercept, *actual.slopes], expected, rtol=1e-8)
    assert actual.residual_variance == pytest.approx(np.mean((outcome - design @ expected) ** 2), rel=1e-8)


def test_the_scale_is_the_root_of_a_log_normal_mean_variance() -> None:
    har = fit(PANEL, horizon=5, train=TRAIN)
    row = 170
    x = np.array([PANEL.har_1[row], PANEL.har_5[row], PANEL.har_22[row]])
    per_session = np.exp(har.intercept + x @ har.slopes + har.residual_variance / 2)
    assert predict_scale(PANEL, har, horizon=5)[row] == pytest.approx(np.sqrt(5 * per_session), rel=1e-12)


def test_a_row_without_a_valid_label_is_not_fitted_on() -> None:
    targets = PANEL.targets.copy()
    targets[100:150, HORIZONS.index(5)] = np.nan
    fewer = np.setdiff1d(TRAIN, np.arange(100, 150))
    np.testing.assert_array_equal(
        fit(replace(PANEL, targets=targets), horizon=5, train=TRAIN).slopes,
        fit(PANEL, horizon=5, train=fewer).slopes,
    )


def test_no_usable_row_is_an_error() -> None:
    with pytest.raises(ValueError, match="no training row has a 20-session label"):
        fit(PANEL, horizon=20, train=np.array([195]))
