"""How much each neighbour's messages moved a forecast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel


@dataclass(frozen=True)
class Neighbours:
    """Who spoke to the sessions of B decisions' windows, and what that did to the forecast."""

    row: Tensor  # (B, L, k) int32 row of the neighbour, -1 for none; oldest session of the window first
    weight: Tensor  # (B, L, k) signed correlation with it, 0 for none
    influence: Tensor  # (B, L, k) what it added to the one-session median, in log-return units; see ``influence``


class Attribution(NamedTuple):
    """One neighbour of a decision."""

    ticker: str
    correlation: float | None  # on the decision's own session; None where it was a neighbour earlier in the window only
    added: float  # to the one-session median over all sessions of the window, log-return units


STEPS = 8
"""Points of the path from silent neighbours to what they said at which gradients are taken."""


def influence(model: ForecastModel, batch: Batch) -> Tensor:
    """What each neighbour's columns on each session added to the one-session median, (B, T, k), in units of ``batch.scale``.

    Integrated gradients (Sundararajan et al., Axiomatic Attribution for Deep Networks, 2017) from columns of zero, the means
    of the training rows, at which a message is silent; the sum over neighbours and sessions is, up to the rule's error, what
    the median would change by if all fell silent. ``batch`` has one window per run; ``model`` is in evaluation mode.
    """
    assert batch.neighbours is not None
    said = batch.neighbours.detach()
    total = torch.zeros_like(said)
    with torch.enable_grad():
        for step in range(STEPS):
            at = (said * ((step + 0.5) / STEPS)).requires_grad_()
            quantiles = model(replace(batch, neighbours=at))
            median = quantiles[:, 0, QUANTILES.index(0.5)] / batch.scale[:, 0]
            total += torch.autograd.grad(median.sum(), at)[0]
    return (total * said / STEPS).sum(dim=-1)


def attributions(found: Neighbours, *, ticker: Tensor, names: Sequence[str]) -> list[list[Attribution]]:
    """Of each decision its neighbours, the one that moved the forecast most first; ``ticker`` (N,) codes of the panel."""
    return [
        _of_decision(*of, ticker=ticker, names=names)
        for of in zip(found.row.long(), found.weight, found.influence, strict=True)
    ]


def _of_decision(
    row: Tensor, weight: Tensor, added: Tensor, *, ticker: Tensor, names: Sequence[str]
) -> list[Attribution]:
    speaks = (row >= 0) & (weight != 0)  # (L, k)
    codes, place = ticker[row[speaks]].unique(return_inverse=True)
    total = torch.zeros(len(codes)).index_add_(0, place, added[speaks])
    now = dict(zip(ticker[row[-1][speaks[-1]]].tolist(), weight[-1][speaks[-1]].tolist(), strict=True))
    heard = [
        Attribution(names[code], now.get(code), value)
        for code, value in zip(codes.tolist(), total.tolist(), strict=True)
    ]
    return sorted(heard, key=lambda one: (-abs(one.added), one.ticker))
