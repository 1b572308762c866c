from dataclasses import replace

import pytest
import torch

from forecast_assets.core.windows.window_batches import Layout, WindowBatch, check_windows, cover, single_windows
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 4


def test_a_run_shows_its_windows_end_to_end() -> None:
    layout = Layout(ends=3, stride=2)
    run = WindowBatch(*(torch.tensor([row]) for row in (10, 5, 30)))
    assert run.rows(layout, lookback=LOOKBACK).tolist() == [list(range(7, 15))]
    ends, counts = run.ends(layout)
    assert ends.tolist() == [[10, 12, 14]]
    assert counts.tolist() == [[True, True, True]]
    assert layout.offsets(LOOKBACK, device=torch.device("cpu")).tolist() == [3, 5, 7]


def test_slots_beyond_the_edges_do_not_count_and_repeat_rows_within_them() -> None:
    layout = Layout(ends=3, stride=2)
    run = WindowBatch(*(torch.tensor([row]) for row in (-1, 1, 2)))
    ends, counts = run.ends(layout)
    assert ends.tolist() == [[1, 1, 2]]
    assert counts.tolist() == [[False, True, False]]
    assert run.rows(layout, lookback=2).tolist() == [[0, 0, 0, 1, 2, 2]]


@pytest.mark.parametrize("longest", [1, 3, 64])
def test_a_cover_holds_every_end_at_its_place_and_no_row_after_its_run_s_last(longest: int) -> None:
    panel = random_panel(tickers=3, sessions=40)
    ends = torch.tensor([9, 10, 11, 15, 39, 50, 49, 51, 51, 119])
    layout, runs, place = cover(panel, ends, longest=longest)
    slots, counts = runs.ends(layout)
    assert layout.ends <= longest
    assert torch.equal(slots.flatten()[place], ends)
    assert counts.flatten()[place].all()
    rows = runs.rows(layout, lookback=LOOKBACK)
    for run in range(len(runs)):
        of_run = ends[place // layout.ends == run]
        assert rows[run].max() == of_run.max()
        assert rows[run].min() >= of_run.min() - LOOKBACK + 1 - layout.span
        assert panel.ticker[rows[run]].unique().numel() == 1


def test_a_lone_end_per_ticker_is_covered_by_single_windows() -> None:
    ends = torch.tensor([39, 79, 119])
    layout, runs, place = cover(random_panel(tickers=3, sessions=40), ends, longest=64)
    assert layout == Layout(1, 1)
    assert torch.equal(runs.anchor, single_windows(ends).anchor)
    assert place.tolist() == [0, 1, 2]


def test_windows_over_a_border_or_a_missing_value_are_named() -> None:
    panel = random_panel(tickers=2, sessions=20)
    check_windows(panel, torch.tensor([3, 19, 23]), lookback=LOOKBACK)
    with pytest.raises(AssertionError, match="1 of 2 windows cross a border"):
        check_windows(panel, torch.tensor([3, 22]), lookback=LOOKBACK)
    with pytest.raises(AssertionError, match="1 windows begin before the panel"):
        check_windows(panel, torch.tensor([2, 10]), lookback=LOOKBACK)
    features = panel.features.clone()
    features[12, 1] = float("nan")
    with pytest.raises(AssertionError, match="4 of 5 windows hold a missing value"):
        check_windows(replace(panel, features=features), torch.tensor([12, 13, 14, 15, 16]), lookback=LOOKBACK)
