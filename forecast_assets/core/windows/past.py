"""What became of a ticker's sessions, as far as it is known at a decision: labels of the past, from returns alone.

Training has labels of its own; what a model reads of the past has to be there at night and in the service too, where there
is nothing but the decision's history.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors

LOG_RETURN = "log_return"
"""Feature that outcomes add up: of an observed session the return since the quote before it."""


class Past(NamedTuple):
    """Sessions of K runs and what is needed to tell their outcomes; sessions that may not be looked at are not quoted."""

    log_return: Tensor  # (K, T) raw, 0 where not quoted
    quoted: Tensor  # (K, T) bool


def past_of(panel: PanelTensors, rows: Tensor, *, first: Tensor) -> Past:
    """The past of runs that show ``rows`` (K, T), which may begin before ``first`` (K,), their earliest row that counts."""
    counts = rows >= first[:, None]
    at = torch.maximum(rows, first[:, None])
    quoted = counts & panel.observed[at]
    column = panel.feature_names.index(LOG_RETURN)
    return Past(torch.where(quoted, panel.features[at, column], 0.0), quoted)


def outcomes(past: Past, offsets: Tensor, *, sessions: int) -> Tensor:
    """Log returns over each horizon after the ``sessions`` sessions before each decision, (K, T) -> (K M, sessions, 3).

    ``offsets`` (M,) are the decisions' positions. NaN where an outcome was not known
    at the decision's close, or its first or last session was not quoted; a filled session between them is one of its
    sessions. These are the panel's targets wherever every row is a session of the ticker's own exchange.
    """
    price = past.log_return.cumsum(dim=1)  # (K, T) log price, from the run's first row on
    at = offsets[:, None] + torch.arange(-sessions, 0, device=offsets.device)  # (M, S)
    columns = []
    for horizon in HORIZONS:
        ahead = torch.minimum(at + horizon, offsets[:, None])
        known = (at + horizon <= offsets[:, None]) & past.quoted[:, at] & past.quoted[:, ahead]  # (K, M, S)
        columns.append(torch.where(known, price[:, ahead] - price[:, at], float("nan")))
    return torch.stack(columns, dim=-1).flatten(0, 1)
