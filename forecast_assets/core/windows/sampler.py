"""Which training windows an epoch shows: as many of each ticker, however long its history."""

import torch
from torch import Tensor

OVERSAMPLING_CAP = 10.0
"""A window of a short history is drawn at most this many times as often as under uniform sampling."""


def ticker_shares(counts: Tensor) -> Tensor:
    """Share of an epoch that each ticker gets: equal, but at most the cap times its share of windows.

    ``counts``: (T,) windows per ticker. Returns (T,) float64 that sum to 1; what capped tickers give up goes evenly to
    the others.
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


def draw_epoch(ends: Tensor, ticker: Tensor, *, visits: int, generator: torch.Generator) -> Tensor:
    """Draw ``visits`` window ends with replacement: a ticker by its share, then one of its windows uniformly.

    ``ends``: (M,) rows; ``ticker``: (M,) code of each. Returns (visits,) rows.
    """
    _, group, counts = ticker.unique(return_inverse=True, return_counts=True)
    weight = (ticker_shares(counts) / counts)[group]  # (M,)
    cumulative = weight.cumsum(0)
    # Inverse transform sampling: torch.multinomial refuses more than 2**24 categories.
    points = torch.rand(visits, dtype=torch.float64, generator=generator) * cumulative[-1]
    return ends[torch.searchsorted(cumulative, points).clamp(max=len(ends) - 1)]
