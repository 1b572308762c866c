from dataclasses import replace

import numpy as np
import pytest

from forecast_assets.core.models.arrays import PanelArrays
from forecast_assets_tests.core.models.arrays_builder import simulated_panel
from forecast_assets_tests.helpers.tensors import random_panel


def test_a_column_of_the_wrong_length_is_named() -> None:
    panel = simulated_panel(tickers=1, sessions=30, seed=0)
    with pytest.raises(ValueError, match=r"har_5 has shape \(29,\), expected \(30,\)"):
        replace(panel, har_5=panel.har_5[1:])


def test_targets_need_one_column_per_horizon() -> None:
    panel = simulated_panel(tickers=1, sessions=30, seed=0)
    with pytest.raises(ValueError, match=r"targets has shape \(30, 2\), expected \(30, 3\)"):
        replace(panel, targets=panel.targets[:, :2])


def test_every_ticker_starts_a_segment() -> None:
    panel = simulated_panel(tickers=2, sessions=30, seed=0)
    with pytest.raises(ValueError, match="first row of a ticker"):
        replace(panel, segment_start=np.arange(60) == 0)


def test_filled_rows_and_first_rows_have_no_return_of_their_own() -> None:
    panel = simulated_panel(tickers=2, sessions=3, seed=0)
    panel = replace(
        panel,
        log_return=np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        is_missing=np.array([False, False, True, False, False, False]),
    )
    np.testing.assert_array_equal(panel.observed_return, [np.nan, 0.2, np.nan, np.nan, 0.5, 0.6])
    np.testing.assert_array_equal(panel.segment, [1, 1, 1, 2, 2, 2])


def test_tensors_become_columns_by_name() -> None:
    names = ("har_22", "har_1", "log_return", "har_5", "volatility_20")
    tensors = replace(random_panel(tickers=2, sessions=30, features=5), feature_names=names)
    tensors.observed[7] = False
    panel = PanelArrays.from_tensors(tensors)
    for position, name in enumerate(names):
        np.testing.assert_array_equal(getattr(panel, name), tensors.features[:, position].double().numpy())
    np.testing.assert_array_equal(panel.ewma_vol, np.float32(0.01))
    np.testing.assert_array_equal(panel.targets, tensors.targets.double().numpy())
    np.testing.assert_array_equal(panel.ticker_code, np.repeat([0, 1], 30))
    np.testing.assert_array_equal(np.flatnonzero(panel.segment_start), [0, 30])
    np.testing.assert_array_equal(np.flatnonzero(panel.is_missing), [7])
