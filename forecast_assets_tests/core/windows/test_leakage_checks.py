"""The leakage checks of tensors pass, and fail on planted bugs."""

import datetime as dt

import polars as pl
import pytest
import torch

from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.core.windows import build, leakage_checks
from forecast_assets.core.windows.leakage_checks import window_leakage
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk

START = dt.date(2023, 9, 1)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Two tickers, and one that lists after the cut and comes first in alphabetical order."""
    parts = panel(
        walk("AAPL", 180, seed=1, start=START),
        walk("SAP.DE", 180, seed=3, start=START, exchange="XETR"),
        walk("A", 70, seed=5, start=dt.date(2024, 4, 10)),
    )
    return feature_panel(reindex(parts, spec=panel_spec()), features=FeatureSpec())


def test_windows_do_not_depend_on_later_data(rows: pl.DataFrame) -> None:
    found = window_leakage(rows.lazy(), lookback=20)
    assert {name: dict(check.changed) for name, check in found.items()} == {"truncation": {}, "poison": {}}
    assert all(check.holds and check.rows > 200 for check in found.values())


def test_a_panel_too_short_for_a_window_holds(rows: pl.DataFrame) -> None:
    assert all(check.holds for check in window_leakage(rows.lazy(), lookback=5000).values())


def scaled(frame: pl.DataFrame, *, feature_names: tuple[str, ...]) -> PanelTensors:
    columns = [pl.col(name) - pl.col(name).fill_nan(None).mean() for name in feature_names]
    return build.build_tensors(frame.with_columns(columns), feature_names=feature_names)


def counted_backwards(frame: pl.DataFrame, *, feature_names: tuple[str, ...]) -> PanelTensors:
    tensors = build.build_tensors(frame, feature_names=feature_names)
    return PanelTensors(**{**vars(tensors), "run_length": torch.flip(tensors.run_length, [0])})


@pytest.mark.parametrize(("bug", "what"), [(scaled, "features"), (counted_backwards, "run_length")])
def test_tensors_that_look_ahead_fail_the_leakage_checks(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, bug: object, what: str
) -> None:
    monkeypatch.setattr(leakage_checks, "build_tensors", bug)
    found = window_leakage(rows.lazy(), lookback=20)
    assert what in found["truncation"].changed
    assert not found["truncation"].holds
