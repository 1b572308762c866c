from dataclasses import replace

import numpy as np
import pytest

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.momentum import fit_coefficients, fit_predict, past_return
from forecast_assets_tests.core.models.arrays_builder import simulated_panel

PANEL = simulated_panel(tickers=2, sessions=120, seed=3)
TRAIN = np.r_[30:90, 150:210]


def test_past_return_is_the_sum_of_twenty_sessions_of_the_same_segment() -> None:
    missing = np.zeros(240, dtype=bool)
    missing[50:53] = True
    starts = PANEL.segment_start.copy()
    starts[200] = True
    panel = replace(PANEL, is_missing=missing, segment_start=starts)
    past = past_return(panel)
    for row in range(240):
        first = max(start for start in (0, 120, 200) if start <= row)
        if row - first < 20:
            assert np.isnan(past[row])
        else:
            expected = sum(panel.log_return[i] for i in range(row - 19, row + 1) if not missing[i])
            assert past[row] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_coefficients_are_as_large_as_the_least_squares_slopes_and_positive(sign: float) -> None:
    panel = replace(PANEL, targets=sign * PANEL.targets)
    past = past_return(panel)
    slopes = [np.polyfit(past[TRAIN], panel.targets[TRAIN, column], 1)[0] for column in range(3)]
    assert np.abs(slopes).min() > 1e-4
    np.testing.assert_allclose(fit_coefficients(panel, past=past, train=TRAIN), np.abs(slopes), rtol=1e-9)


def test_a_planted_momentum_is_found() -> None:
    past = past_return(PANEL)
    panel = replace(PANEL, targets=0.25 * past[:, None] + 0.001 * np.array([[1.0, 5.0, 20.0]]))
    np.testing.assert_allclose(fit_coefficients(panel, past=past, train=TRAIN), 0.25, rtol=1e-9)
    quantiles = fit_predict(panel, train=TRAIN, origins=np.array([110]))
    shape = np.quantile(0.001 / panel.ewma_vol[TRAIN], QUANTILES)
    np.testing.assert_allclose(quantiles[0, 0], 0.25 * past[110] + panel.ewma_vol[110] * shape, rtol=1e-9)


def test_no_row_with_twenty_sessions_behind_it_is_an_error() -> None:
    with pytest.raises(ValueError, match="20 past sessions"):
        fit_coefficients(PANEL, past=past_return(PANEL), train=np.array([3, 4]))
