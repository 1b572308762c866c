"""B1 to B3: the Temporal Fusion Transformer with no, one or two static variables, and a monotone quantile head."""

import torch
from torch import Tensor, nn

from forecast_assets.core.models.base import Batch, LinearLocation, LocationScaleModel, QuantileHead, SummaryNetwork
from forecast_assets.core.models.catalogue import TftSpec
from forecast_assets.core.models.explanation import Explanation
from forecast_assets.core.models.tft.network import Outputs, TftNetwork, TftSizes
from forecast_assets.core.windows.stats import FoldStats


def embedding_size(count: int) -> int:
    """Return the width of an embedding of ``count`` ids, with the unknown one: min(round(count ** 0.25), 32), at least 1."""
    return max(1, min(round(count**0.25), 32))


class Tft(LocationScaleModel):
    """The TFT with ``static`` (of ticker, sector, exchange) as its static variables.

    The encoder reads ``lookback`` sessions of observed and known variables; the one decoder step carries the calendar of
    the sessions ahead. ``derived`` names observed variables that a subclass computes itself, see ``values``.
    """

    def __init__(
        self, spec: TftSpec, *, stats: FoldStats, lookback: int, static: tuple[str, ...], derived: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.reads, self.lookback = spec.reads, lookback
        self.variables = (*spec.observed, *derived, *spec.known)
        self.static, self.unknown_share = static, spec.unknown_share
        counts = {name: stats.count(name) for name in static}
        self.network = TftNetwork(
            TftSizes(
                hidden=spec.hidden,
                hidden_continuous=spec.hidden_continuous,
                heads=spec.heads,
                dropout=spec.dropout,
                lookback=lookback,
                observed=len(spec.observed) + len(derived),
                known=len(spec.known),
                static={name: (count, min(embedding_size(count), spec.hidden)) for name, count in counts.items()},
            )
        )
        nn.init.zeros_(self.network.output.weight)  # start from the base distribution, see QuantileHead
        nn.init.zeros_(self.network.output.bias)
        self.head = QuantileHead(stats.base_quantiles, shape_shrink=spec.shape_shrink)
        self.location = LinearLocation(len(self.variables))
        self.summary = SummaryNetwork(len(stats.summary_mean), hidden=spec.summary_hidden, dropout=spec.dropout)
        self.volatility_weight = spec.volatility_weight

    def raw(self, batch: Batch) -> Tensor:
        """Return the raw numbers of each forecast, (B, 3, 7)."""
        return self.outputs(batch).raw

    def outputs(self, batch: Batch) -> Outputs:
        """Return the network's raw numbers with its selection and attention weights."""
        return self.network.outputs(*self.inputs(batch))

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows, offsets and static ids that the network takes."""
        return self.values(batch), batch.offsets, self.ids(batch)

    def ids(self, batch: Batch) -> Tensor:
        """Return the static ids of each block, (K, S); in training a share of them unknown, per block."""
        ids = [batch.per_block(getattr(batch, name)) for name in self.static]
        if not ids:
            return batch.ticker.new_empty(batch.rows.shape[0], 0)
        return self.with_unknown(torch.stack(ids, dim=1))

    @torch.no_grad()
    def explain(self, batch: Batch) -> Explanation:
        """Return variable importance and attention of each forecast of ``batch``, in evaluation mode.

        The definitions are those of pytorch-forecasting's ``interpret_output(reduction="none")``, but for attention weights
        below 1e-5, which it drops.
        """
        training = self.training
        self.eval()
        outputs = self.outputs(batch)
        self.train(training)
        unread = batch.rows.shape[1] - outputs.encoder_weights.shape[1]  # sessions before the windows, see ``Maml``
        window = torch.arange(1 - batch.lookback, 1, device=batch.offsets.device)
        steps = batch.offsets[:, None] - unread + window  # (M, L)
        return Explanation(
            attention=outputs.attention.mean(dim=1),
            encoder=outputs.encoder_weights[:, steps].mean(dim=2).flatten(0, 1),  # (K, M, L, V) -> (B, V)
            decoder=outputs.decoder_weights,
            static=outputs.static_weights.repeat_interleave(len(batch.offsets), dim=0),
            encoder_names=self.variables,
            decoder_names=self.variables[len(self.variables) - outputs.decoder_weights.shape[-1] :],
            static_names=self.static,
        )
