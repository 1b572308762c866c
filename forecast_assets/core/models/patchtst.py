"""B4: PatchTST (Nie et al. 2023, arXiv 2211.14730) with a monotone quantile head.

Instance normalisation, patches and encoder are those of the paper's supervised code: post-norm layers with BatchNorm over
all tokens, attention with biases and without dropout on its weights, residual attention scores (RealFormer, He et al. 2021)
unless switched off. How it is executed is our own: sequences of all channels are one batch, which is innermost in memory
from layer to layer, and queries, keys and values are one product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch, LinearLocation, LocationScaleModel, QuantileHead, SummaryNetwork
from forecast_assets.core.models.catalogue import PatchTstSpec
from forecast_assets.core.models.execution import exporting
from forecast_assets.core.models.short_attention import attention
from forecast_assets.core.models.tft.layers import dropout
from forecast_assets.core.models.tft.model import embedding_size
from forecast_assets.core.windows.stats import FoldStats

STATIC = ("ticker", "sector", "exchange")
RAW = (len(HORIZONS), len(QUANTILES))

CHUNK_WINDOWS = 32  # of a forecast at a time: what is computed of them stays near a core's cache

EPSILON = 1e-5  # added to a window's variance, so that a constant channel becomes zeros


@dataclass(frozen=True)
class EncoderSizes:
    """Sizes of ``PatchEncoder``. ValueError where patches do not fit the window or heads the width."""

    lookback: int  # L, steps of a window
    patch: int  # steps of a patch
    stride: int  # steps between the starts of neighbouring patches
    hidden: int  # D, width of a token
    heads: int
    layers: int
    feed_forward: int  # width inside a layer's feed-forward network
    dropout: float
    residual_attention: bool

    def __post_init__(self) -> None:
        if self.patch > self.lookback:
            raise ValueError(f"PatchTST: a patch of {self.patch} steps is longer than the window of {self.lookback}")
        if self.hidden % self.heads:
            raise ValueError(f"PatchTST: {self.heads} heads do not divide the width {self.hidden}")

    @property
    def patches(self) -> int:
        """Patches of a window, P, the padded one at its end included."""
        return (self.lookback - self.patch) // self.stride + 2


class PatchTst(LocationScaleModel):
    """B4: each observed variable is a channel; ticker, sector and exchange are its static variables."""

    def __init__(self, spec: PatchTstSpec, *, stats: FoldStats, lookback: int) -> None:
        super().__init__()
        self.reads, self.lookback, self.unknown_share = spec.reads, lookback, spec.unknown_share
        self.network = PatchTstNetwork(spec, lookback=lookback, static=tuple(stats.count(name) for name in STATIC))
        self.head = QuantileHead(stats.base_quantiles, shape_shrink=spec.shape_shrink)
        self.location = LinearLocation(len(spec.observed) + len(spec.known))
        self.summary = SummaryNetwork(len(stats.summary_mean), hidden=spec.summary_hidden, dropout=spec.dropout)
        self.volatility_weight = spec.volatility_weight

    def raw(self, batch: Batch) -> Tensor:
        """Return the raw numbers of each forecast, (B, 3, 7)."""
        return self.network(batch.window, self.ids(batch))

    def ids(self, batch: Batch) -> Tensor:
        """Return the static ids of each forecast, (B, 3); in training a share of them unknown."""
        return self.with_unknown(torch.stack([getattr(batch, name) for name in STATIC], dim=1))


class PatchTstNetwork(nn.Module):
    """Map window and ids to raw numbers for the quantile head, zero at the start of training.

    Every channel is normalised within its window and encoded alone, with shared weights; its flattened encoding is
    reduced to ``channel_width`` numbers, by one linear map for all channels, and these are joined in the order of the
    columns: unlike the paper's benchmarks, where each channel forecasts itself, here all of them forecast one return.

    Normalisation removes a window's level, and levels matter here: a high mean of the volatility column widens the
    quantiles, and RSI has a meaning only as a level. So each channel's mean and log deviation, in units of the fold's
    training rows, go to the joining layer as well. The scale of returns itself is not lost: the quantile head multiplies
    by the volatility forecast.

    The known-future covariates describe the sessions ahead; only those of the window's last row are read.
    """

    def __init__(self, spec: PatchTstSpec, *, lookback: int, static: tuple[int, ...]) -> None:
        super().__init__()
        self.observed, self.rate = len(spec.observed), spec.dropout
        sizes = EncoderSizes(
            lookback=lookback,
            patch=spec.patch_sessions,
            stride=spec.patch_stride,
            hidden=spec.hidden,
            heads=spec.heads,
            layers=spec.layers,
            feed_forward=spec.feed_forward,
            dropout=spec.dropout,
            residual_attention=spec.residual_attention,
        )
        self.encoder = PatchEncoder(sizes)
        self.reduce = nn.Linear(sizes.patches * sizes.hidden, spec.channel_width)
        self.embeddings = nn.ModuleList(nn.Embedding(count, embedding_size(count)) for count in static)
        embedded = sum(embedding_size(count) for count in static)
        self.join = nn.Linear(self.observed * (spec.channel_width + 2) + len(spec.known) + embedded, spec.head_hidden)
        self.output = nn.Linear(spec.head_hidden, RAW[0] * RAW[1])
        nn.init.zeros_(self.output.weight)  # start from the base distribution, see QuantileHead
        nn.init.zeros_(self.output.bias)

    def forward(self, window: Tensor, ids: Tensor) -> Tensor:
        """(B, L, observed + known) and (B, static) int64 -> (B, 3, 7)."""
        if self.training or exporting():  # BatchNorm's statistics in training are those of the whole batch
            return self._chunk(window, ids)
        parts = zip(window.split(CHUNK_WINDOWS), ids.split(CHUNK_WINDOWS), strict=True)
        return torch.cat([self._chunk(*part) for part in parts])

    def _chunk(self, window: Tensor, ids: Tensor) -> Tensor:
        channels = window[..., : self.observed].transpose(0, 1)  # (B, L, C) -> (L, B, C)
        series, mean, deviation = instance_normalise(channels, dim=0)
        encoded = self.encoder.encode(series.flatten(1))  # (P, D, B C)
        joined = functional.linear(
            encoded.flatten(0, 1).T, self.reduce.weight, self.reduce.bias
        )  # (B C, channel_width)
        levels = torch.cat([mean, deviation.log()], dim=0).permute(1, 2, 0)  # (2, B, C) -> (B, C, 2)
        static = [embed(ids[:, k]) for k, embed in enumerate(self.embeddings)]
        numbers = joined.view(*channels.shape[1:], -1).flatten(1)  # (B, C channel_width)
        known = window[:, -1, self.observed :]
        hidden = self.join(torch.cat([numbers, levels.flatten(1), known, *static], dim=1))
        hidden = dropout(functional.gelu(hidden), self.rate, training=self.training)
        return self.output(hidden).view(-1, *RAW)


def instance_normalise(window: Tensor, *, dim: int = -1) -> tuple[Tensor, Tensor, Tensor]:
    """Scale each channel of each window to mean 0 and deviation 1 (RevIN, Kim et al. 2022, without its affine part).

    ``dim`` is the one of the L sessions: (.., L, ..) -> (.., L, ..) normalised, (.., 1, ..) mean, (.., 1, ..) deviation. No
    gradient flows into the statistics, as in RevIN's code.
    """
    fixed = window.detach()
    mean = fixed.mean(dim=dim, keepdim=True)
    deviation = torch.sqrt((fixed - mean).square_().mean(dim=dim, keepdim=True) + EPSILON)
    return (window - mean) / deviation, mean, deviation


def to_patches(series: Tensor, *, length: int, stride: int) -> Tensor:
    """Cut series into overlapping patches, the last value repeated ``stride`` times at the end.

    (L, N) -> (P, length, N), P = (L - length) // stride + 2; the newest value is always in the last patch.
    """
    padded = torch.cat([series, series[-1:].expand(stride, -1)])  # (L + stride, N)
    return padded.unfold(0, length, stride).transpose(1, 2)  # (P, N, length) -> (P, length, N)


class PatchEncoder(nn.Module):
    """One transformer over the patches of a channel, shared by all channels."""

    def __init__(self, sizes: EncoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Linear(sizes.patch, sizes.hidden)
        self.position = nn.Parameter(torch.empty(sizes.patches, sizes.hidden).uniform_(-0.02, 0.02))
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.layers))

    def forward(self, series: Tensor) -> Tensor:
        """Series of one channel each, instance-normalised: (N, L) -> (N, P, D)."""
        return self.encode(series.T).permute(2, 0, 1)

    def encode(self, series: Tensor) -> Tensor:
        """Return the same with the N series innermost: (L, N) -> (P, D, N)."""
        patches = to_patches(series, length=self.sizes.patch, stride=self.sizes.stride)
        embedded = per_token(self.embedding, patches) + self.position[..., None]
        tokens = dropout(embedded, self.sizes.dropout, training=self.training)
        scores: Tensor | None = None
        for layer in self.layers:
            tokens, scores = layer(tokens, scores)
        return tokens


class EncoderLayer(nn.Module):
    """Attention and feed-forward network, each added to its input and followed by BatchNorm."""

    def __init__(self, sizes: EncoderSizes) -> None:
        super().__init__()
        self.heads, self.width = sizes.heads, sizes.hidden // sizes.heads
        self.rate, self.residual = sizes.dropout, sizes.residual_attention
        self.query_key_value = nn.Linear(sizes.hidden, 3 * sizes.hidden)
        self.out = nn.Linear(sizes.hidden, sizes.hidden)
        self.norm_attention = nn.BatchNorm1d(sizes.hidden)
        self.widen = nn.Linear(sizes.hidden, sizes.feed_forward)
        self.narrow = nn.Linear(sizes.feed_forward, sizes.hidden)
        self.norm_feed_forward = nn.BatchNorm1d(sizes.hidden)

    def forward(self, tokens: Tensor, scores: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(P, D, N) tokens and the previous layer's attention scores (P, P, heads, N) -> this layer's."""
        attended, scores = self.attend(tokens, scores)
        # The paper's code drops twice here, after the attention and before the sum; one mask with both rates is the same.
        attended = dropout(per_token(self.out, attended), 1 - (1 - self.rate) ** 2, training=self.training)
        tokens = self.norm_attention(tokens + attended)  # with the tokens of all series as the batch
        wide = self.drop(functional.gelu(per_token(self.widen, tokens)))
        return self.norm_feed_forward(tokens + self.drop(per_token(self.narrow, wide))), scores

    def attend(self, tokens: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the attention of (P, D, N), before the output projection; ``previous`` scores are added to its own."""
        split = per_token(self.query_key_value, tokens).unflatten(
            1, (3, self.heads, self.width)
        )  # (P, 3, heads, width, N)
        mixed, scores = attention(*split.unbind(1), width=self.width, previous=previous, residual=self.residual)
        return mixed.flatten(1, 2), scores

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout in training."""
        return dropout(x, self.rate, training=self.training)


def per_token(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply ``layer`` to each token of each series, (P, size_in, N) -> (P, size_out, N)."""
    patches = x.shape[0]
    weight, bias = layer.weight.expand(patches, -1, -1), layer.bias[:, None].expand(patches, -1, -1)
    return torch.baddbmm(bias, weight, x)
