import logging
from dataclasses import replace

import numpy as np
import pytest
from arch import arch_model
from threadpoolctl import threadpool_limits

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.garch import GarchFit, filter_variance, fit, fit_predict, predict_scale
from forecast_assets_tests.core.models.arrays_builder import garch_returns, simulated_panel

PARAMETERS = GarchFit(
    omega=np.array([3e-6, 5e-6]), alpha=np.array([0.1, 0.05]), beta=np.array([0.85, 0.92]), start=np.array([2e-4, 1e-4])
)


def test_the_filter_equals_a_loop_that_skips_halts_and_restarts_in_a_new_segment() -> None:
    panel = simulated_panel(tickers=2, sessions=60, seed=6)
    missing, starts = panel.is_missing.copy(), panel.segment_start.copy()
    missing[20:23] = True
    starts[90] = True
    panel = replace(panel, is_missing=missing, segment_start=starts)
    actual = filter_variance(panel, PARAMETERS)
    for row in range(120):
        code = row // 60
        if starts[row]:
            variance = PARAMETERS.start[code]
        elif not missing[row]:
            shock = PARAMETERS.alpha[code] * panel.log_return[row] ** 2
            variance = PARAMETERS.omega[code] + shock + PARAMETERS.beta[code] * variance
        assert actual[row] == pytest.approx(variance, rel=1e-12)


def test_the_variance_over_a_horizon_is_the_closed_form_of_its_reversion_to_the_mean() -> None:
    panel = simulated_panel(tickers=2, sessions=60, seed=6)
    scale, next_variance = predict_scale(panel, PARAMETERS), filter_variance(panel, PARAMETERS)
    persistence = (PARAMETERS.alpha + PARAMETERS.beta)[panel.ticker_code]
    mean = PARAMETERS.omega[panel.ticker_code] / (1 - persistence)
    for column, horizon in enumerate(HORIZONS):
        decayed = (1 - persistence**horizon) / (1 - persistence)
        np.testing.assert_allclose(scale[:, column] ** 2, horizon * mean + decayed * (next_variance - mean), rtol=1e-9)


def test_forecasts_equal_those_of_the_arch_package() -> None:
    panel = simulated_panel(tickers=1, sessions=600, seed=7)
    last = 599
    garch = fit(panel, train=np.array([last]))
    result = arch_model(100 * panel.log_return[1:], mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False).fit(
        disp="off"
    )
    oracle = result.forecast(horizon=20).variance.to_numpy()[-1] / 100**2
    expected = [np.sqrt(oracle[:horizon].sum()) for horizon in HORIZONS]
    np.testing.assert_allclose(predict_scale(panel, garch)[last], expected, rtol=1e-5)


def test_the_number_of_threads_changes_no_bit() -> None:
    panel = simulated_panel(tickers=6, sessions=1500, seed=8)
    train = np.flatnonzero(~panel.is_missing)
    fits = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            fits.append(fit(panel, train=train))
    np.testing.assert_array_equal(fits[0].beta, fits[1].beta)


def test_planted_parameters_are_recovered() -> None:
    panel = simulated_panel(tickers=1, sessions=4000, seed=8)
    panel = replace(panel, log_return=garch_returns(np.random.default_rng(9), sessions=4000, alpha=0.1, beta=0.85))
    garch = fit(panel, train=np.array([3999]))
    assert garch.alpha[0] == pytest.approx(0.1, abs=0.03)
    assert garch.beta[0] == pytest.approx(0.85, abs=0.04)


def test_parameters_are_frozen_at_the_last_training_row() -> None:
    panel = simulated_panel(tickers=2, sessions=500, seed=10)
    train = np.r_[100:400, 600:900]
    returns = panel.log_return.copy()
    returns[np.r_[400:500, 900:1000]] = 0.7
    actual, expected = fit(replace(panel, log_return=returns), train=train), fit(panel, train=train)
    for name in ("omega", "alpha", "beta", "start"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))


def test_short_flat_and_unseen_tickers_take_the_ewma_scale_and_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    panel = simulated_panel(tickers=4, sessions=400, seed=11)
    returns = panel.log_return.copy()
    returns[400:800] = 0.0
    panel = replace(panel, log_return=returns)
    train = np.r_[100:350, 500:750, 900:1000]  # the third has 199 returns by then, the fourth none
    np.testing.assert_array_equal(fit(panel, train=train).fitted, [True, False, False, False])

    origins = np.r_[360:370, 760:770, 1160:1170, 1560:1570]
    with caplog.at_level(logging.INFO):
        quantiles = fit_predict(panel, train=train, origins=origins)
    assert "3 of 4 tickers have no usable fit" in caplog.text
    shape = quantiles[:, 0] / panel.ewma_vol[origins, None]
    np.testing.assert_allclose(shape[10:], np.broadcast_to(shape[10], (30, 7)), rtol=1e-12)
    assert not np.allclose(shape[:10], shape[10])
