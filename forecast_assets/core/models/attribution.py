"""Attribution of a forecast to the messages of its neighbours, by integrated gradients."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel
from forecast_assets.core.models.explanation import Neighbours


class Attribution(NamedTuple):
    """One neighbour's contribution to a forecast."""

    ticker: str
    correlation: float | None  # on the forecast origin's session; None for a neighbour of earlier sessions only
    added: float  # to the one-session median over all sessions of the window, log-return units


STEPS = 8  # points of the path from messages of zero to the actual ones at which gradients are taken


def influence(model: ForecastModel, batch: Batch) -> Tensor:
    """Return the contribution of each neighbour on each session to the one-session median, (B, T, k), in ``batch.scale``.

    Integrated gradients (Sundararajan et al., Axiomatic Attribution for Deep Networks, 2017) from columns of zero, the means
    of the training rows, where messages are zero; the sum over neighbours and sessions is, up to the rule's error, what the
    median would change by without any message. ``batch`` has one window per block; ``model`` is in evaluation mode.
    """
    assert batch.neighbours is not None
    columns = batch.neighbours.detach()
    total = torch.zeros_like(columns)
    with torch.enable_grad():
        for step in range(STEPS):
            at = (columns * ((step + 0.5) / STEPS)).requires_grad_()
            median = model(replace(batch, neighbours=at))[:, 0, QUANTILES.index(0.5)] / batch.scale[:, 0]
            total += torch.autograd.grad(median.sum(), at)[0]
    return (total * columns / STEPS).sum(dim=-1)


def attributions(found: Neighbours, *, ticker: Tensor, tickers: Sequence[str]) -> list[list[Attribution]]:
    """Return the neighbours of each forecast, largest contribution first; ``ticker`` (N,) are the panel's codes."""
    each = zip(found.row.long(), found.weight, found.influence, strict=True)
    return [_by_ticker(*of, ticker=ticker, tickers=tickers) for of in each]


def _by_ticker(
    row: Tensor, weight: Tensor, added: Tensor, *, ticker: Tensor, tickers: Sequence[str]
) -> list[Attribution]:
    """Sum the contributions of one forecast's neighbours, 3 x (L, k), over the sessions of its window."""
    is_edge = (row >= 0) & (weight != 0)  # (L, k)
    codes, place = ticker[row[is_edge]].unique(return_inverse=True)
    total = torch.zeros(len(codes)).index_add_(0, place, added[is_edge])
    now = dict(zip(ticker[row[-1][is_edge[-1]]].tolist(), weight[-1][is_edge[-1]].tolist(), strict=True))
    added_by = zip(codes.tolist(), total.tolist(), strict=True)
    found = [Attribution(tickers[code], now.get(code), value) for code, value in added_by]
    return sorted(found, key=lambda one: (-abs(one.added), one.ticker))
