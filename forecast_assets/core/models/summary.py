"""B8: a small MLP on numbers that sum up a ticker's history at the forecast origin, see ``core.windows.summary``."""

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch, LinearLocation, LocationScaleModel, QuantileHead, SummaryNetwork
from forecast_assets.core.models.catalogue import SummarySpec
from forecast_assets.core.windows.stats import FoldStats


class SummaryMlp(LocationScaleModel):
    """The network of the summary that all have, alone."""

    def __init__(self, spec: SummarySpec, *, stats: FoldStats, lookback: int) -> None:
        super().__init__()
        self.reads, self.lookback, self.unknown_share = spec.reads, lookback, 0.0
        self.head = QuantileHead(stats.base_quantiles, shape_shrink=spec.shape_shrink)
        self.location = LinearLocation(len(stats.summary_mean))
        self.summary = SummaryNetwork(len(stats.summary_mean), hidden=spec.summary_hidden, dropout=spec.dropout)
        self.volatility_weight = spec.volatility_weight

    def raw(self, batch: Batch) -> Tensor:
        """Return zeros, (B, 3, 7): the summary's numbers and the location are added to them."""
        return torch.zeros(batch.summary.shape[0], len(HORIZONS), len(QUANTILES), device=batch.summary.device)

    def last_values(self, batch: Batch) -> Tensor:
        """Return the summary."""
        return batch.summary
