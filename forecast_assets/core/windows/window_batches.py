"""Window batches: overlapping windows gathered in contiguous blocks, so that a network computes shared sessions once.

A block is T consecutive sessions of one ticker and segment; with M window ends in it, ``stride`` sessions apart, T is
lookback + (M - 1) stride. Single windows are the special case M = 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from forecast_assets.core.windows.tensors import PanelTensors

CHECKED_ROWS = 1 << 16  # rows that are checked at once


class Layout(NamedTuple):
    """Number and spacing of the window ends in a block."""

    ends: int  # M, window ends of a block
    stride: int  # sessions between neighbouring ends

    @property
    def span(self) -> int:
        """Sessions between a block's first and last end."""
        return (self.ends - 1) * self.stride

    def offsets(self, lookback: int, *, device: torch.device) -> Tensor:
        """Return the position of each window end in a block's rows, (M,)."""
        return lookback - 1 + self.stride * torch.arange(self.ends, device=device)


@dataclass(frozen=True)
class WindowBatch:
    """K contiguous blocks, as row numbers. Slots outside ``first`` to ``last`` only fill the shape with repeated rows."""

    anchor: Tensor  # (K,) row of the block's first end; it may lie before ``first``, even before the panel
    first: Tensor  # (K,) earliest row that may end a window of the block
    last: Tensor  # (K,) latest row of the block that may be read

    def __len__(self) -> int:
        return len(self.anchor)

    def __getitem__(self, chosen: slice) -> "WindowBatch":
        return WindowBatch(self.anchor[chosen], self.first[chosen], self.last[chosen])

    def to(self, device: torch.device | str) -> "WindowBatch":
        """Return the same blocks on ``device``."""
        return WindowBatch(self.anchor.to(device), self.first.to(device), self.last.to(device))

    def rows(self, layout: Layout, *, lookback: int) -> Tensor:
        """Return the rows of each block, (K, T)."""
        steps = torch.arange(1 - lookback, layout.span + 1, device=self.anchor.device)
        rows = self.anchor[:, None] + steps
        return rows.clamp(self.first[:, None] - lookback + 1, self.last[:, None])

    def ends(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Return the row of each window end and whether it is one of the block's, 2 x (K, M)."""
        slots = self.anchor[:, None] + layout.stride * torch.arange(layout.ends, device=self.anchor.device)
        first, last = self.first[:, None], self.last[:, None]
        return slots.clamp(first, last), (slots >= first) & (slots <= last)


def single_windows(ends: Tensor) -> WindowBatch:
    """Return a block for each of ``ends`` (K,)."""
    return WindowBatch(ends, ends, ends)


def cover(panel: PanelTensors, ends: Tensor, *, longest: int) -> tuple[Layout, WindowBatch, Tensor]:
    """Return blocks of consecutive ends that contain all rows ``ends`` (B,), at most ``longest`` ends each.

    Returns the layout, the blocks, and the place (B,) of each of ``ends`` among their K x M windows, block-major. No
    window reads a row after the last of its block's ``ends``.
    """
    sequence = panel.sequences()[ends].unique(return_inverse=True)[1]  # (B,)
    earliest = _per_group(ends, sequence, reduce="amin")  # (sequences,)
    distance = ends - earliest[sequence]  # (B,) sessions since the sequence's first end
    sessions = int(distance.max()) + 1
    count = -(-sessions // longest)
    size = -(-sessions // count)  # blocks of the longest sequence are even
    keys, block = (sequence * count + distance // size).unique(return_inverse=True)
    anchor = earliest[keys // count] + keys % count * size
    batch = WindowBatch(anchor, first=anchor, last=_per_group(ends, block, reduce="amax"))
    return Layout(size, 1), batch, block * size + distance % size


def check_windows(panel: PanelTensors, ends: Tensor, *, lookback: int, columns: Tensor | slice = slice(None)) -> None:
    """Raise AssertionError unless the windows of all ``ends`` are finite in ``columns`` (all of them, if none are named) and
    lie within one ticker and segment each.
    """
    begin = ends - lookback + 1
    if bool((begin < 0).any()):
        raise AssertionError(f"windows: {int((begin < 0).sum())} windows begin before the panel")
    # A window's rows are counted as the difference of a cumulative count, at one cost for any lookback.
    broken = torch.zeros(panel.rows + 1, dtype=torch.int32, device=ends.device)
    for k in range(0, panel.rows, CHECKED_ROWS):
        block = slice(k, k + CHECKED_ROWS)
        finite = torch.isfinite(panel.features[block][:, columns]).all(dim=1) & torch.isfinite(panel.scale[block])
        broken[1 + k : 1 + k + len(finite)] = (~finite).int()
    starts = torch.zeros_like(broken)
    starts[1:] = panel.segment_start.int()
    for problem, count, inside in (("hold a missing value", broken, 0), ("cross a border", starts, 1)):
        count.copy_(count.cumsum(0, dtype=torch.int32))
        bad = sum(
            int((count[block + 1] > count[block - lookback + 1 + inside]).sum()) for block in ends.split(CHECKED_ROWS)
        )
        if bad:
            raise AssertionError(f"windows: {bad} of {len(ends)} windows {problem}")


def _per_group(values: Tensor, group: Tensor, *, reduce: str) -> Tensor:
    """Return the smallest or largest of ``values`` (B,) in each ``group`` (B,) 0, 1, ..: (groups,)."""
    result = values.new_zeros(int(group.max()) + 1)
    return result.scatter_reduce(0, group, values, reduce=reduce, include_self=False)
