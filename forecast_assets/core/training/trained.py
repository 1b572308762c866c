"""Open a trained network from the weights of its fit; without what training needs, which takes seconds to import."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.base import ForecastModel
from forecast_assets.core.models.catalogue import EARLIER_LOCATION, MODELS
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.windows.stats import FoldStats


def trained_model(
    name: str, spec: ModelSpec, weights: Mapping[str, Tensor], *, stats: FoldStats, lookback: int
) -> ForecastModel:
    """Return model ``name`` with the ``weights`` of a fit, in evaluation mode."""
    model = MODELS[name].build(spec, stats=stats, lookback=lookback)
    load_weights(model, weights)
    return model.eval()


def load_weights(model: ForecastModel, weights: Mapping[str, Tensor]) -> None:
    """Load the ``weights`` of a fit. One of an earlier release has no linear location: as an untrained one, it is zero."""
    untrained = {name: value for name, value in model.state_dict().items() if name.startswith("location.")}
    model.load_state_dict(untrained | dict(weights))


def with_slope(weights: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the ``weights`` of a fit with the slope of its location: in earlier releases, a setting."""
    slope = settings.get(EARLIER_LOCATION)
    if slope is None or "head.location_slope" in weights:
        return dict(weights)
    every = torch.ones(len(HORIZONS))
    return {**weights, "head.location_slope": slope * every, "head.location_error": 0 * every}
