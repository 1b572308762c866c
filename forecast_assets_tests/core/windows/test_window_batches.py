from dataclasses import replace

import pytest
import torch

from forecast_assets.core.windows.window_batches import Layout, WindowBatch, check_windows, cover, single_windows
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 4


def test_a_block_holds_all_rows_of_its_windows() -> None:
    layout = Layout(ends=3, stride=2)
    block = WindowBatch(*(torch.tensor([row]) for row in (10, 5, 30)))
    assert block.rows(layout, lookback=LOOKBACK).tolist() == [list(range(7, 15))]
    ends, counts = block.ends(layout)
    assert ends.tolist() == [[10, 12, 14]]
    assert counts.tolist() == [[True, True, True]]
    assert layout.offsets(LOOKBACK, device=torch.device("cpu")).tolist() == [3, 5, 7]


def test_slots_beyond_the_edges_do_not_count_and_repeat_rows_within_them() -> None:
    layout = Layout(ends=3, stride=2)
    block = WindowBatch(*(torch.tensor([row]) for row in (-1, 1, 2)))
    ends, counts = block.ends(layout)
    assert ends.tolist() == [[1, 1, 2]]
    assert counts.tolist() == [[False, True, False]]
    assert block.rows(layout, lookback=2).tolist() == [[0, 0, 0, 1, 2, 2]]


@pytest.mark.parametrize("longest", [1, 3, 64])
def test_a_cover_holds_every_end_and_no_row_after_the_last_of_its_block(longest: int) -> None:
    panel = random_panel(tickers=3, sessions=40)
    ends = torch.tensor([9, 10, 11, 15, 39, 50, 49, 51, 51, 119])
    layout, batch, place = cover(panel, ends, longest=longest)
    slots, counts = batch.ends(layout)
    assert layout.ends <= longest
    assert torch.equal(slots.flatten()[place], ends)
    assert counts.flatten()[place].all()
    rows = batch.rows(layout, lookback=LOOKBACK)
    for block in range(len(batch)):
        of_block = ends[place // layout.ends == block]
        assert rows[block].max() == of_block.max()
        assert rows[block].min() >= of_block.min() - LOOKBACK + 1 - layout.span
        assert panel.ticker[rows[block]].unique().numel() == 1


def test_the_windows_of_a_block_have_one_sector() -> None:
    """A ticker that is relabelled twice: an earlier forecast must not see the later label, nor a later one the earlier."""
    panel = random_panel(tickers=2, sessions=40)
    sector = panel.sector.clone()
    sector[20:30] = 1 - sector[20]
    panel = replace(panel, sector=sector)
    ends = panel.ends(LOOKBACK)
    layout, batch, place = cover(panel, ends, longest=64)
    slots, _ = batch.ends(layout)
    assert torch.equal(slots.flatten()[place], ends)
    block = place // layout.ends
    assert torch.equal(panel.sector[slots[:, 0]][block], panel.sector[ends])


def test_one_end_per_ticker_is_covered_by_single_windows() -> None:
    ends = torch.tensor([39, 79, 119])
    layout, batch, place = cover(random_panel(tickers=3, sessions=40), ends, longest=64)
    assert layout == Layout(1, 1)
    assert torch.equal(batch.anchor, single_windows(ends).anchor)
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
