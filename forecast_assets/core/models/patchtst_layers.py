"""PatchTST's building blocks (Nie et al. 2023, arXiv 2211.14730): instance normalisation, patches, encoder.

The network is the paper's supervised code's: post-norm layers with BatchNorm over all tokens, attention with biases and
without dropout on its weights, residual attention scores (RealFormer, He et al. 2021) unless switched off. How it is
executed is our own: sequences of all channels are one batch, tokens stay contiguous from layer to layer, and queries,
keys and values are one product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.models.tft.layers import dropout

EPSILON = 1e-5
"""Added to a window's variance, so that a constant channel becomes zeros."""


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


def instance_normalise(window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each channel of each window to mean 0 and deviation 1 (RevIN, Kim et al. 2022, without its affine part).

    (B, C, L) -> (B, C, L) normalised, (B, C, 1) mean, (B, C, 1) deviation. No gradient flows into the statistics, as in
    RevIN's code.
    """
    variance, mean = torch.var_mean(window.detach(), dim=-1, keepdim=True, correction=0)
    deviation = torch.sqrt(variance + EPSILON)
    return (window - mean) / deviation, mean, deviation


def to_patches(series: Tensor, *, length: int, stride: int) -> Tensor:
    """Cut series into overlapping patches, the last value repeated ``stride`` times at the end.

    (N, L) -> (N, P, length), P = (L - length) // stride + 2; the newest value is always in the last patch.
    """
    padded = torch.cat([series, series[:, -1:].expand(-1, stride)], dim=1)  # (N, L + stride)
    return padded.unfold(1, length, stride)


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
        sizes = self.sizes
        patches = to_patches(series, length=sizes.patch, stride=sizes.stride)
        tokens = dropout(self.embedding(patches) + self.position, sizes.dropout, training=self.training)
        scores: Tensor | None = None
        for layer in self.layers:
            tokens, scores = layer(tokens, scores)
        return tokens


class EncoderLayer(nn.Module):
    """Attention and feed-forward network, each added to its input and followed by BatchNorm."""

    def __init__(self, sizes: EncoderSizes) -> None:
        super().__init__()
        self.heads, self.rate, self.residual = sizes.heads, sizes.dropout, sizes.residual_attention
        self.query_key_value = nn.Linear(sizes.hidden, 3 * sizes.hidden)
        self.out = nn.Linear(sizes.hidden, sizes.hidden)
        self.norm_attention = nn.BatchNorm1d(sizes.hidden)
        self.widen = nn.Linear(sizes.hidden, sizes.feed_forward)
        self.narrow = nn.Linear(sizes.feed_forward, sizes.hidden)
        self.norm_feed_forward = nn.BatchNorm1d(sizes.hidden)

    def forward(self, tokens: Tensor, scores: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(N, P, D) tokens and the previous layer's attention scores (N, heads, P, P) -> this layer's."""
        attended, scores = self.attend(tokens, scores)
        # The paper's code drops twice here, after the attention and before the sum; one mask with both rates is the same.
        attended = dropout(self.out(attended), 1 - (1 - self.rate) ** 2, training=self.training)
        tokens = _over_tokens(self.norm_attention, tokens + attended)
        wide = self.drop(functional.gelu(self.widen(tokens)))
        return _over_tokens(self.norm_feed_forward, tokens + self.drop(self.narrow(wide))), scores

    def attend(self, tokens: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Multi-head attention of (N, P, D), before the output projection; ``previous`` scores are added to its own."""
        count, patches, hidden = tokens.shape
        width = hidden // self.heads
        split = self.query_key_value(tokens).view(count, patches, 3, self.heads, width)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind()  # 3 x (N, heads, P, width)
        if self.residual:
            scores = (query * width**-0.5) @ key.transpose(-1, -2)  # (N, heads, P, P)
            if previous is not None:
                scores = scores + previous
            mixed = torch.softmax(scores, dim=-1) @ value
        else:
            scores = None
            mixed = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(count, patches, hidden), scores

    def drop(self, x: Tensor) -> Tensor:
        """Dropout in training."""
        return dropout(x, self.rate, training=self.training)


def _over_tokens(norm: nn.Module, tokens: Tensor) -> Tensor:
    """BatchNorm with the tokens of all series as the batch, (N, P, D) -> (N, P, D)."""
    return norm(tokens.flatten(0, 1)).view_as(tokens)
