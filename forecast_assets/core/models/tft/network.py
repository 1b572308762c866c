"""The TFT's network: blocks of consecutive sessions and the windows in them -> raw quantile numbers per horizon.

What depends on one session alone (prescalers, variable selection) is computed once per block and session, then copied to
the windows that hold it; what depends on a window's start (the LSTM's state and all after it) once per window. pytorch-
forecasting computes all of it for every session of every window.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.execution import exporting
from forecast_assets.core.models.tft.layers import GateAddNorm, GatedResidualNetwork, Lstm, QueryAttention
from forecast_assets.core.models.tft.selection import Affine, Folded, RealSelection, StaticSelection

TRAINING_CHUNK, FORECAST_CHUNK = 256, 512  # windows at a time: what is computed of them stays near a core's cache


@dataclass(frozen=True)
class TftSizes:
    """Sizes of a ``TftNetwork``."""

    hidden: int
    hidden_continuous: int
    heads: int
    dropout: float
    lookback: int
    observed: int  # columns known up to the forecast origin only
    known: int  # known-future covariates; they follow the observed columns
    static: dict[str, tuple[int, int]]  # name -> (number of ids, width of the embedding)


class Outputs(NamedTuple):
    """Raw numbers, selection and attention weights; windows in block-major order, B = K x M."""

    raw: Tensor  # (B, 3, 7)
    attention: Tensor  # (B, heads, L) over the window's sessions, oldest first
    encoder_weights: Tensor  # (K, T, observed + known) of each session of a block
    decoder_weights: Tensor  # (B, known)
    static_weights: Tensor  # (K, S)
    hidden: Tensor  # (B, H) last hidden state: the raw numbers are a linear map of it


class TftNetwork(nn.Module):
    """The Temporal Fusion Transformer with one decoder step, a single layer of LSTM and reals that vary in time."""

    def __init__(self, sizes: TftSizes) -> None:
        super().__init__()
        hidden, rate, self.sizes = sizes.hidden, sizes.dropout, sizes
        columns = sizes.observed + sizes.known
        self.prescaler_weight = nn.Parameter(torch.empty(columns, sizes.hidden_continuous).uniform_(-1, 1))
        self.prescaler_bias = nn.Parameter(torch.empty(columns, sizes.hidden_continuous).uniform_(-1, 1))
        self.static_selection = StaticSelection(sizes.static, hidden=hidden, dropout=rate) if sizes.static else None
        selection = partial(RealSelection, size=sizes.hidden_continuous, hidden=hidden, dropout=rate)
        self.encoder_selection = selection(tuple(range(columns)))
        self.decoder_selection = selection(tuple(range(sizes.observed, columns))) if sizes.known else None
        self.context_selection = GatedResidualNetwork(hidden, hidden, hidden, dropout=rate)
        self.context_hidden = GatedResidualNetwork(hidden, hidden, hidden, dropout=rate)
        self.context_cell = GatedResidualNetwork(hidden, hidden, hidden, dropout=rate)
        self.context_enrichment = GatedResidualNetwork(hidden, hidden, hidden, dropout=rate)
        self.encoder = Lstm(hidden)
        self.decoder = Lstm(hidden)
        self.post_lstm = GateAddNorm(hidden, hidden, dropout=rate)
        self.enrichment = GatedResidualNetwork(hidden, hidden, hidden, dropout=rate, context=hidden)
        self.attention = QueryAttention(hidden, heads=sizes.heads, dropout=rate)
        self.post_attention = GateAddNorm(hidden, hidden, dropout=rate)
        self.feed_forward = GatedResidualNetwork(hidden, hidden, hidden, dropout=rate)
        self.pre_output = GateAddNorm(hidden, hidden, dropout=0.0)
        self.output = nn.Linear(hidden, len(HORIZONS) * len(QUANTILES))

    def forward(self, rows: Tensor, offsets: Tensor, ids: Tensor) -> Tensor:
        """Return the raw numbers of each window, (K M, 3, 7), windows in block-major order.

        ``rows``: (K, T, C) standardised sessions of K blocks; ``offsets``: (M,) positions in a block where a window ends,
        each at least ``lookback`` - 1; ``ids``: (K, S) static ids.
        """
        return self.outputs(rows, offsets, ids).raw

    def outputs(self, rows: Tensor, offsets: Tensor, ids: Tensor) -> Outputs:
        """Return the raw numbers with the selection and attention weights."""
        prescalers = Affine(self.prescaler_weight, self.prescaler_bias)
        encoder = self.encoder_selection.fold(prescalers)
        decoder = None if self.decoder_selection is None else self.decoder_selection.fold(prescalers)
        if exporting():
            return self._chunk(rows, offsets, ids, encoder, decoder)
        size = max(1, (TRAINING_CHUNK if self.training else FORECAST_CHUNK) // len(offsets))
        parts = [
            self._chunk(rows[k : k + size], offsets, ids[k : k + size], encoder, decoder)
            for k in range(0, len(rows), size)
        ]
        return Outputs(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _chunk(self, rows: Tensor, offsets: Tensor, ids: Tensor, encoder: Folded, decoder: Folded | None) -> Outputs:
        blocks, lookback, hidden_size = rows.shape[0], self.sizes.lookback, self.sizes.hidden
        if self.static_selection is None:
            static, static_weights = rows.new_zeros(blocks, hidden_size), rows.new_zeros(blocks, 0)
        else:
            static, static_weights = self.static_selection(ids)  # (K, H), (K, S)
        context = self.context_selection(static)
        x = rows.transpose(0, 1).contiguous()  # (K, T, C) -> (T, K, C): a session of all blocks is one contiguous row
        selected, encoder_weights = self.encoder_selection(x, context, encoder)  # (T, K, H)
        ahead, decoder_weights = self._decoder_input(x, offsets, context, decoder)  # (M, K, H)

        # Each window's copy of its sessions; windows are in end-major order (M K) from here on.
        steps = offsets + torch.arange(1 - lookback, 1, device=offsets.device)[:, None]  # (L, M)
        windows = selected.index_select(0, steps.reshape(-1)).view(lookback, -1, hidden_size)  # (L, M K, H)
        last = ahead.reshape(1, -1, hidden_size)  # (1, M K, H)
        hidden, cell, enrichment = (
            network(static).repeat(offsets.shape[0], 1)  # (K, H) -> (M K, H)
            for network in (self.context_hidden, self.context_cell, self.context_enrichment)
        )
        encoded, hidden, cell = self.encoder(windows, hidden, cell)
        decoded, _, _ = self.decoder(last, hidden, cell)
        decoded = self.post_lstm(decoded, last)  # (1, M K, H)
        query = self.enrichment(decoded, enrichment)[0]  # (M K, H)
        attended, attention = self.attention(query, self.enrichment(self.post_lstm(encoded, windows), enrichment))
        fused = self.feed_forward(self.post_attention(attended, query))
        last_hidden = self.pre_output(fused, decoded[0])  # (M K, H)
        return Outputs(
            _block_major(self.output(last_hidden).view(-1, blocks, len(HORIZONS), len(QUANTILES))),
            _block_major(attention.view(-1, blocks, *attention.shape[1:])),
            encoder_weights.transpose(0, 1),
            _block_major(decoder_weights),
            static_weights,
            _block_major(last_hidden.view(-1, blocks, hidden_size)),
        )

    def _decoder_input(
        self, x: Tensor, offsets: Tensor, context: Tensor, folded: Folded | None
    ) -> tuple[Tensor, Tensor]:
        """Select among the known-future covariates, in the last row of a window: (M, K, H), (M, K, known) weights."""
        last = x[..., self.sizes.observed :].index_select(0, offsets)  # (M, K, known)
        if self.decoder_selection is None or folded is None:
            return context.new_zeros(*last.shape[:2], self.sizes.hidden), last
        return self.decoder_selection(last, context, folded)


def _block_major(x: Tensor) -> Tensor:
    """(M, K, ...) -> (K M, ...)."""
    return x.transpose(0, 1).contiguous().flatten(0, 1)
