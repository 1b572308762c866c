"""How much each neighbour's messages moved a forecast."""

from dataclasses import replace

import torch
from torch import Tensor

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel

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
