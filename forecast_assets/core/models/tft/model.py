"""B1 to B3: the TFT with no, one or two static variables, and a monotone quantile head."""

import torch
from torch import Tensor, nn

from forecast_assets.core.models.base import Batch, LocationScaleModel, QuantileHead
from forecast_assets.core.models.tft.network import Outputs, TftNetwork, TftSizes
from forecast_assets.core.specs import TftSpec
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats


def embedding_size(count: int) -> int:
    """Width of an embedding of ``count`` ids, the unknown one included: min(round(count ** 0.25), 32), at least 1."""
    return max(1, min(round(count**0.25), 32))


class Tft(LocationScaleModel):
    """The TFT with ``static`` (of ticker, sector, exchange) as its static variables.

    The encoder shows ``lookback`` sessions of observed and known variables; the one decoder step carries the calendar
    of the sessions at the horizons. Some training ids are shown as unknown, so that the unknown id is a trained one.
    ``made`` names observed variables that a subclass makes itself, see ``shown``.
    """

    def __init__(
        self,
        spec: TftSpec,
        *,
        stats: FoldStats,
        lookback: int,
        static: tuple[str, ...],
        made: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.columns: tuple[str, ...] = (*spec.observed, *spec.known)
        self.variables = (*spec.observed, *made, *spec.known)
        self.lookback, self.static, self.unknown_share = lookback, static, spec.unknown_share
        counts = {name: stats.count(name) for name in static}
        self.network = TftNetwork(
            TftSizes(
                hidden=spec.hidden,
                hidden_continuous=spec.hidden_continuous,
                heads=spec.heads,
                dropout=spec.dropout,
                lookback=lookback,
                observed=len(spec.observed) + len(made),
                known=len(spec.known),
                static={name: (count, min(embedding_size(count), spec.hidden)) for name, count in counts.items()},
            )
        )
        nn.init.zeros_(self.network.output.weight)  # start from the base distribution, see QuantileHead
        nn.init.zeros_(self.network.output.bias)
        self.head = QuantileHead(
            stats.base_quantiles, location_shrink=spec.location_shrink, shape_shrink=spec.shape_shrink
        )
        self.volatility_weight = spec.volatility_weight

    def raw(self, batch: Batch) -> Tensor:
        """Raw numbers of each decision, (B, 3, 7)."""
        return self.look(batch).raw

    def look(self, batch: Batch) -> Outputs:
        """The network's raw numbers, and what it looked at to get them."""
        return self.network.explain(self.shown(batch), batch.offsets, self.ids(batch))

    def shown(self, batch: Batch) -> Tensor:
        """The ``variables`` of each session of the runs, (K, T, V): here the first columns of the rows."""
        return batch.rows[..., : len(self.variables)]

    def ids(self, batch: Batch) -> Tensor:
        """Static ids of each run, (K, S); in training a share of them unknown, per run."""
        ids = [batch.per_run(getattr(batch, name)) for name in self.static]
        if not ids:
            return batch.ticker.new_empty(batch.rows.shape[0], 0)
        stacked = torch.stack(ids, dim=1)
        if self.training and self.unknown_share > 0:
            hidden = torch.rand(stacked.shape, device=stacked.device) < self.unknown_share
            stacked = torch.where(hidden, UNKNOWN_ID, stacked)
        return stacked
