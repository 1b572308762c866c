import numpy as np
import pytest

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.empirical import SCALE_FLOOR, location_scale_quantiles
from forecast_assets_tests.core.models.arrays_builder import simulated_panel

PANEL = simulated_panel(tickers=2, sessions=200, seed=1)
TRAIN = np.r_[30:120, 230:320]
ORIGINS = np.r_[150:180, 350:380]


def test_quantiles_are_location_plus_scale_times_pooled_training_residuals() -> None:
    rng = np.random.default_rng(2)
    location, scale = rng.normal(size=(400, 3)), rng.uniform(0.5, 2, size=(400, 3))
    quantiles = location_scale_quantiles(PANEL, location=location, scale=scale, train=TRAIN, origins=ORIGINS)
    assert quantiles.shape == (60, 3, 7)
    for column in range(3):
        residuals = [(PANEL.targets[row, column] - location[row, column]) / scale[row, column] for row in TRAIN]
        for level, probability in enumerate(QUANTILES):
            shape = np.quantile(residuals, probability)
            for position, row in enumerate(ORIGINS):
                expected = location[row, column] + scale[row, column] * shape
                assert quantiles[position, column, level] == pytest.approx(expected, abs=1e-12)


def test_a_scale_of_zero_is_lifted_to_the_floor() -> None:
    zeros, tiny = np.zeros((400, 3)), np.full((400, 3), SCALE_FLOOR)
    np.testing.assert_array_equal(
        location_scale_quantiles(PANEL, location=zeros, scale=zeros, train=TRAIN, origins=ORIGINS),
        location_scale_quantiles(PANEL, location=zeros, scale=tiny, train=TRAIN, origins=ORIGINS),
    )


def test_training_labels_that_are_not_valid_are_left_out() -> None:
    everywhere, nowhere = np.ones((400, 3)), np.zeros((400, 3))
    with_invalid = np.r_[TRAIN[:90], 199, TRAIN[90:]]  # the first ticker's last row has no label
    np.testing.assert_array_equal(
        location_scale_quantiles(PANEL, location=nowhere, scale=everywhere, train=with_invalid, origins=ORIGINS),
        location_scale_quantiles(PANEL, location=nowhere, scale=everywhere, train=TRAIN, origins=ORIGINS),
    )


def test_a_horizon_without_labels_is_named() -> None:
    everywhere, nowhere = np.ones((400, 3)), np.zeros((400, 3))
    with pytest.raises(ValueError, match="no training row has a valid 5-session label"):
        location_scale_quantiles(PANEL, location=nowhere, scale=everywhere, train=np.array([196]), origins=ORIGINS)


def test_a_forecast_origin_in_the_warm_up_is_an_error() -> None:
    scale = np.ones((400, 3))
    scale[[151, 160]] = np.nan
    with pytest.raises(ValueError, match=r"2 of 60 decisions .* .the first is row 151"):
        location_scale_quantiles(PANEL, location=np.zeros((400, 3)), scale=scale, train=TRAIN, origins=ORIGINS)
