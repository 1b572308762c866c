"""Outcomes of the past are the panel's targets where these were known, and nothing else."""

import datetime as dt

import polars as pl
import pytest
import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.core.windows.build import build_tensors
from forecast_assets.core.windows.past import Past, outcomes, past_of
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, cover, single_windows
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk

SESSIONS = 30
START = dt.date(2023, 9, 1)


@pytest.fixture(scope="module")
def tensors() -> PanelTensors:
    """Two names; the second has holes of one and of three sessions, which are filled, and one that ends a segment."""
    second = walk("SAP.DE", 300, seed=3, start=START, exchange="XETR").with_row_index()
    gone = pl.col("index").is_in([100, 110, 111, 112]) | pl.col("index").is_between(130, 145)
    rows = panel(walk("AAPL", 300, seed=1, start=START), second.filter(~gone).drop("index"))
    built = feature_panel(reindex(rows, spec=panel_spec()), features=FeatureSpec())
    return build_tensors(built, feature_names=feature_names(built))


def of_singles(tensors: PanelTensors, ends: Tensor) -> Tensor:
    """Outcomes of the sessions before each of ``ends``, every decision a run of its own: (B, S, 3)."""
    rows = single_windows(ends).rows(Layout(1, 1), lookback=SESSIONS + 1)
    past = past_of(tensors, rows, first=ends - tensors.run_length[ends] + 1)
    return outcomes(past, torch.tensor([SESSIONS]), sessions=SESSIONS)


def test_they_are_the_targets_that_had_matured_by_the_decision(tensors: PanelTensors) -> None:
    """Against a loop over the panel's own targets."""
    ends = tensors.ends(2)
    found = of_singles(tensors, ends)
    expected = torch.full_like(found, float("nan"))
    for b, end in enumerate(ends.tolist()):
        for s in range(max(0, SESSIONS - int(tensors.run_length[end]) + 1), SESSIONS):
            row = end - SESSIONS + s
            for k, horizon in enumerate(HORIZONS):
                if row + horizon <= end:
                    expected[b, s, k] = tensors.targets[row, k]
    assert not tensors.observed.all()
    assert tensors.segment_start.sum() == 3
    assert torch.isfinite(expected).sum() > 10_000
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6, equal_nan=True)


def test_a_first_session_has_no_past_and_a_second_one_the_return_between_them(tensors: PanelTensors) -> None:
    first = torch.nonzero(tensors.run_length == 1).squeeze(1)
    assert torch.isnan(of_singles(tensors, first)).all()
    second = of_singles(tensors, first + 1)
    assert torch.isfinite(second).sum() == len(first)
    torch.testing.assert_close(second[:, -1, 0], tensors.column("log_return")[first + 1])


def test_decisions_that_share_a_run_see_what_each_would_alone(tensors: PanelTensors) -> None:
    ends = tensors.ends(2)
    layout, runs, place = cover(tensors, ends, longest=40)
    rows = runs.rows(layout, lookback=SESSIONS + 1)
    past = past_of(tensors, rows, first=runs.last - tensors.run_length[runs.last] + 1)
    shared = outcomes(past, layout.offsets(SESSIONS + 1, device=ends.device), sessions=SESSIONS)[place]
    torch.testing.assert_close(shared, of_singles(tensors, ends), rtol=0, atol=1e-6, equal_nan=True)


def test_by_hand() -> None:
    """Six sessions of which the third was not quoted, decisions at the fifth and sixth; four sessions before each."""
    past = Past(torch.tensor([[0.9, 0.1, 0.0, 0.2, 0.4, 0.8]]), torch.tensor([[True, True, False, True, True, True]]))
    nan = float("nan")
    found = outcomes(past, torch.tensor([4, 5]), sessions=4)
    assert found[..., 0].nan_to_num(-1).tolist() == [
        pytest.approx([0.1, -1, -1, 0.4]),  # from the second, third, fourth and fifth session back
        pytest.approx([-1, -1, 0.4, 0.8]),
    ]
    longer = outcomes(past, torch.tensor([5]), sessions=5)[0, :, 1]
    torch.testing.assert_close(longer, torch.tensor([0.1 + 0.2 + 0.4 + 0.8, nan, nan, nan, nan]), equal_nan=True)
