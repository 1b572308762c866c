"""Sample the training windows of an epoch, and the validation windows that epochs are compared on.

Of training windows as many of each ticker, and each window of a ticker equally often.
"""

from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, WindowBatch

OVERSAMPLING_CAP = 10.0
"""A window of a short history is drawn at most this many times as often as under uniform sampling."""


def ticker_shares(counts: Tensor) -> Tensor:
    """Return each ticker's share of an epoch, (T,) float64: equal, but at most the cap times its share of windows.

    ``counts``: (T,) windows per ticker. What capped tickers give up goes evenly to the others.
    """
    shares = torch.zeros(len(counts), dtype=torch.float64)
    limit = OVERSAMPLING_CAP * counts.double() / counts.sum()
    open_ = counts > 0
    while open_.any():
        even = (1.0 - shares.sum()) / open_.sum()
        capped = open_ & (limit < even)
        if not capped.any():
            shares[open_] = even
            break
        shares[capped] = limit[capped]
        open_ &= ~capped
    return shares


def sample_of_tickers(panel: PanelTensors, ends: Tensor, *, origins: int) -> Tensor:
    """Return those of ``ends`` (M,) whose tickers' digests come first: just as many tickers as hold ``origins``, or all.

    All sessions of some tickers rather than some sessions of all: what moves all tickers at once is then whole, and
    neighbouring windows of a ticker share work. The sample depends on names alone, so it is the same for every network.
    """
    codes, counts = panel.ticker[ends].unique(return_counts=True)
    order = sorted(range(len(codes)), key=lambda k: sha256(panel.tickers[int(codes[k])].encode()).digest())
    before = counts[order].cumsum(0) - counts[order]  # (tickers,) origins of those that come earlier
    chosen = codes[torch.tensor(order)[before < origins]]
    return ends[torch.isin(panel.ticker[ends], chosen)]


@dataclass(frozen=True)
class WindowSampler:
    """Draws contiguous blocks whose windows are spread over training ends as single windows would be.

    A block of M ends may be anchored anywhere that puts at least its last slot at or after the first end of a sequence of
    complete rows, so each end is in exactly M of the anchors, one per slot: with one weight for all anchors of a ticker,
    each of its ends is equally likely. The cost: blocks that reach over the edges of a sequence have empty outer slots.
    """

    layout: Layout
    first: Tensor  # (S,) first and last training end of each sequence of complete rows
    last: Tensor  # (S,)
    cumulative: Tensor  # (S,) float64, of the sequences' shares in all draws
    windows_per_block: float  # expected windows of a block that are training ends

    @classmethod
    def over(cls, panel: PanelTensors, ends: Tensor, *, layout: Layout) -> "WindowSampler":
        """Return a sampler over ``ends`` (M,), ascending; each ticker gets its ``ticker_shares``."""
        _, counts = panel.sequences()[ends].unique_consecutive(return_counts=True)
        final = counts.cumsum(0) - 1
        first, last = ends[final - counts + 1], ends[final]
        _, ticker = panel.ticker[last].unique(return_inverse=True)
        per_ticker = torch.zeros(int(ticker.max()) + 1, dtype=torch.int64).index_add_(0, ticker, counts)
        weight = (ticker_shares(per_ticker) / per_ticker)[ticker]  # (S,) of one anchor
        mass = weight * (last - first + 1 + layout.span)
        return cls(layout, first, last, mass.cumsum(0), windows_per_block=layout.ends / float(mass.sum()))

    def blocks_for(self, windows: int) -> int:
        """Return the number of blocks that hold ``windows`` training windows, in expectation."""
        return max(1, round(windows / self.windows_per_block))

    def draw(self, blocks: int, *, generator: torch.Generator) -> WindowBatch:
        """Draw ``blocks`` blocks with replacement: a sequence by its share, then one of its anchors uniformly."""
        # Inverse transform sampling: torch.multinomial takes at most 2**24 categories.
        points = torch.rand(blocks, dtype=torch.float64, generator=generator) * self.cumulative[-1]
        sequence = torch.searchsorted(self.cumulative, points, right=True).clamp(max=len(self.cumulative) - 1)
        first, last = self.first[sequence], self.last[sequence]
        place = torch.rand(blocks, dtype=torch.float64, generator=generator) * (last - first + 1 + self.layout.span)
        return WindowBatch(first - self.layout.span + place.long(), first, last)
