from dataclasses import replace

import pytest
import torch
from scipy.stats import chisquare

from forecast_assets.core.windows.sampler import OVERSAMPLING_CAP, WindowSampler, sample_of_tickers, ticker_shares
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout
from forecast_assets_tests.helpers.tensors import random_panel


def test_a_drawn_block_has_one_sector() -> None:
    panel = random_panel(tickers=2, sessions=60)
    sector = panel.sector.clone()
    sector[30:45] = 1 - sector[30]
    panel = replace(panel, sector=sector)
    layout = Layout(ends=8, stride=2)
    sampler = WindowSampler.over(panel, panel.ends(3), layout=layout)
    ends, counts = sampler.draw(500, generator=torch.Generator().manual_seed(0)).ends(layout)
    of_first = panel.sector[ends[:, :1]].expand_as(ends)
    assert torch.equal(panel.sector[ends][counts], of_first[counts])
    assert set(ends[counts].tolist()) == set(panel.ends(3).tolist())


def test_every_ticker_gets_the_same_share() -> None:
    assert ticker_shares(torch.tensor([100, 300, 200])).tolist() == pytest.approx([1 / 3] * 3)


def test_a_short_history_is_capped_and_the_others_share_the_rest() -> None:
    counts = torch.tensor([1, 999, 1000])
    shares = ticker_shares(counts)
    assert shares[0] == pytest.approx(OVERSAMPLING_CAP / 2000)
    assert shares[1] == pytest.approx(float(shares[2]))
    assert float(shares.sum()) == pytest.approx(1.0)


def test_shares_sum_to_one_where_all_but_one_are_capped() -> None:
    shares = ticker_shares(torch.tensor([1, 2, 3, 10_000]))
    assert float(shares.sum()) == pytest.approx(1.0)
    assert shares[:3].tolist() == pytest.approx([10 * k / 10_006 for k in (1, 2, 3)])


LOOKBACK = 3


def two_tickers() -> tuple[PanelTensors, torch.Tensor]:
    """Two tickers of 60 sessions; training ends: 10 of the first, 38 of the second, which has a halt and a new segment.

    The second's rows 60 to 119: rows 80 and 81 are filled, a segment begins at row 95, ends stop at row 107.
    """
    panel = random_panel(tickers=2, sessions=60)
    observed, start, length = panel.observed.clone(), panel.segment_start.clone(), panel.run_length.clone()
    observed[80:82] = False
    start[95] = True
    length[95:] = torch.arange(1, 26)
    panel = replace(panel, observed=observed, segment_start=start, run_length=length)
    ends = panel.ends(LOOKBACK)
    return panel, ends[(ends < 12) | ((ends >= 62) & (ends < 108))]


def drawn_windows(
    panel: PanelTensors, ends: torch.Tensor, layout: Layout, *, blocks: int, seed: int = 0
) -> torch.Tensor:
    """Row of every window that counts in ``blocks`` drawn blocks."""
    drawn = WindowSampler.over(panel, ends, layout=layout).draw(blocks, generator=torch.Generator().manual_seed(seed))
    slots, counts = drawn.ends(layout)
    is_end = torch.zeros(panel.rows, dtype=torch.bool)
    is_end[ends] = True
    return slots[counts & is_end[slots]]


LAYOUTS = [Layout(1, 1), Layout(4, 1), Layout(4, 3), Layout(16, 8)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_windows_are_even_over_tickers_and_over_the_ends_of_a_ticker(layout: Layout) -> None:
    panel, ends = two_tickers()
    first = ends < 60
    # Windows of one block are drawn together: one slot of each block is as good as independent draws.
    for slot in {0, layout.ends - 1}:
        drawn = WindowSampler.over(panel, ends, layout=layout).draw(
            60_000, generator=torch.Generator().manual_seed(slot)
        )
        slots, inside = drawn.ends(layout)
        counts = torch.bincount(slots[:, slot][inside[:, slot]], minlength=panel.rows)[ends].double()
        expected = torch.where(first, 1 / first.sum(), 1 / (~first).sum()).double() * counts.sum() / 2
        assert counts.sum() > 5_000
        assert chisquare(counts.numpy(), (expected * counts.sum() / expected.sum()).numpy()).pvalue > 0.01


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_as_many_windows_are_drawn_as_asked_for(layout: Layout) -> None:
    panel, ends = two_tickers()
    blocks = WindowSampler.over(panel, ends, layout=layout).blocks_for(40_000)
    assert len(drawn_windows(panel, ends, layout, blocks=blocks)) == pytest.approx(40_000, rel=0.02)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_window_that_counts_is_a_training_end_within_one_segment(layout: Layout) -> None:
    panel, ends = two_tickers()
    windows = drawn_windows(panel, ends, layout, blocks=2_000)
    assert set(windows.tolist()) == set(ends.tolist())
    border = torch.nonzero(panel.segment_start).flatten()
    for end in set(windows.tolist()):
        assert not ((border > end - LOOKBACK + 1) & (border <= end)).any()


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_no_block_reads_a_row_after_the_last_training_end_of_its_sequence(layout: Layout) -> None:
    panel, ends = two_tickers()
    drawn = WindowSampler.over(panel, ends, layout=layout).draw(2_000, generator=torch.Generator().manual_seed(0))
    rows = drawn.rows(layout, lookback=LOOKBACK)
    assert set(rows.unique().tolist()) == {*range(12), *range(60, 108)}
    segment = panel.segment_start.cumsum(0)[rows]
    assert (segment == segment[:, :1]).all()


def test_a_seed_draws_the_same_blocks_and_another_seed_others() -> None:
    panel, ends = two_tickers()
    first, again, other = (drawn_windows(panel, ends, Layout(4, 3), blocks=100, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_sample_of_tickers_is_whole_tickers_and_just_as_many_as_hold_the_origins() -> None:
    panel = random_panel(tickers=6, sessions=200)
    ends = panel.ends(10)
    per_ticker = panel.ticker[ends].bincount()
    assert per_ticker.min() == per_ticker.max()
    each = int(per_ticker[0])
    for origins, tickers in ((1, 1), (each, 1), (each + 1, 2), (3 * each, 3), (100 * each, 6)):
        sample = sample_of_tickers(panel, ends, origins=origins)
        chosen = panel.ticker[sample].unique()
        assert len(chosen) == tickers
        assert torch.equal(sample, ends[torch.isin(panel.ticker[ends], chosen)])


def test_a_sample_of_tickers_depends_on_names_and_not_on_the_order_of_the_rows() -> None:
    panel = random_panel(tickers=6, sessions=200)
    ends = panel.ends(10)
    sample = sample_of_tickers(panel, ends, origins=len(ends) // 2)
    assert torch.equal(sample_of_tickers(panel, ends.flip(0), origins=len(ends) // 2), sample.flip(0))
    left_out = set(panel.ticker[ends].tolist()) - set(panel.ticker[sample].tolist())
    fewer = ends[panel.ticker[ends] != min(left_out)]  # a ticker that is not chosen displaces none
    assert torch.equal(sample_of_tickers(panel, fewer, origins=len(ends) // 2), sample)
