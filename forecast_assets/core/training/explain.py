"""Explain the forecasts of a trained model: what it reads most, and what each neighbour adds."""

import torch
from torch import Tensor

from forecast_assets.core.models.attribution import influence
from forecast_assets.core.models.base import ForecastModel, single_batch
from forecast_assets.core.models.explanation import Explanation, Neighbours
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

INFLUENCE_BATCH = 128  # windows whose gradients are held at once


def explain_forecasts(
    model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats
) -> Explanation | None:
    """Return a trained model's variable importance and attention for the forecasts at rows ``ends`` (B,), if it has any."""
    return model.explain(single_batch(model, ends, panel=panel, stats=stats))


def neighbours_of(model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Neighbours | None:
    """Return the neighbours of the forecasts at rows ``ends`` (B,) and their contributions; None for a model without any.

    Takes some twenty times as long as the forecast.
    """
    if not model.reads.messages or panel.graph is None:
        return None
    graph = panel.graph.of(ends[:, None] + torch.arange(1 - model.lookback, 1))  # (B, L, k)
    batches = (single_batch(model, part, panel=panel, stats=stats) for part in ends.split(INFLUENCE_BATCH))
    added = [influence(model, batch) * batch.scale[:, :1, None] for batch in batches]
    return Neighbours(graph.neighbour, graph.weight, torch.cat(added))
