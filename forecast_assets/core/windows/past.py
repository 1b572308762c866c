"""Realised outcomes of past sessions that are known at a forecast origin, computed from returns alone.

A model that reads them needs them at night and in the service too, where only the history up to the origin is given.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors

LOG_RETURN = "log_return"
"""Feature whose sums are the outcomes: of an observed session the return since the quote before it."""


class Past(NamedTuple):
    """Returns of the T sessions of K blocks; sessions that must not be used count as not quoted."""

    log_return: Tensor  # (K, T) raw, 0 where not quoted
    quoted: Tensor  # (K, T) bool


def past_of(panel: PanelTensors, rows: Tensor, *, first: Tensor) -> Past:
    """Return the past of blocks of ``rows`` (K, T), which may begin before ``first`` (K,), the earliest row to be used."""
    counts = rows >= first[:, None]
    at = torch.maximum(rows, first[:, None])
    quoted = counts & panel.observed[at]
    column = panel.feature_names.index(LOG_RETURN)
    return Past(torch.where(quoted, panel.features[at, column], 0.0), quoted)


def outcomes(past: Past, offsets: Tensor, *, sessions: int) -> Tensor:
    """Return log returns over H horizons after each of ``sessions`` sessions before an origin: (K M, sessions, H).

    ``offsets`` (M,) are the origins' positions in a block. NaN where an outcome was not known at the origin's close, or
    its first or last session was not quoted; a filled session between them counts as a session. These are the panel's
    targets wherever every row is a session of the ticker's own exchange.
    """
    price = past.log_return.cumsum(dim=1)  # (K, T) log price, from the block's first row on
    at = offsets[:, None] + torch.arange(-sessions, 0, device=offsets.device)  # (M, S)
    columns = []
    for horizon in HORIZONS:
        ahead = torch.minimum(at + horizon, offsets[:, None])
        known = (at + horizon <= offsets[:, None]) & past.quoted[:, at] & past.quoted[:, ahead]  # (K, M, S)
        columns.append(torch.where(known, price[:, ahead] - price[:, at], float("nan")))
    return torch.stack(columns, dim=-1).flatten(0, 1)
