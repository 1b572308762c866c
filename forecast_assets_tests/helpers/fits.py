"""Forecasts of a stored fit, for tests and benchmarks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.training.fit import forecast
from forecast_assets.core.training.trained import trained_model
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors


@torch.no_grad()
def predict(
    name: str,
    spec: ModelSpec,
    weights: Mapping[str, Tensor],
    *,
    panel: PanelTensors,
    ends: Tensor,
    stats: FoldStats,
    lookback: int,
    device: str,
) -> Tensor:
    """Return quantiles of the log return at rows ``ends``: (M,) -> (M, 3, 7) float32 on the CPU."""
    model = trained_model(name, spec, weights, stats=stats, lookback=lookback).to(device)
    return forecast(model, ends.to(device), panel=panel.to(device), stats=stats.to(device)).float().cpu()
