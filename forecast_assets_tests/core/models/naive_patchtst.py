"""PatchTST's encoder spelled out one window, patch, head and token at a time, with the weights of the real one."""

import torch
from torch import Tensor

from forecast_assets.core.models.patchtst import EncoderLayer, PatchEncoder


def patches(series: Tensor, *, length: int, stride: int) -> Tensor:
    """One series (L,) -> (P, length): full patches, then one that ends in ``stride`` copies of the last value."""
    padded = [float(x) for x in series] + [float(series[-1])] * stride
    found = []
    start = 0
    while start + length <= len(padded):
        found.append(padded[start : start + length])
        start += stride
    return torch.tensor(found, dtype=series.dtype)


def encode(encoder: PatchEncoder, series: Tensor) -> Tensor:
    """(N, L) -> (N, P, D) in eval mode."""
    sizes = encoder.sizes
    encoded = []
    for one in series:
        rows = patches(one, length=sizes.patch, stride=sizes.stride)
        tokens = torch.stack(
            [
                encoder.embedding.weight @ row + encoder.embedding.bias + encoder.position[p]
                for p, row in enumerate(rows)
            ]
        )
        scores: list[Tensor] | None = None
        for layer in encoder.layers:
            assert isinstance(layer, EncoderLayer)
            tokens, scores = _layer(layer, tokens, scores)
        encoded.append(tokens)
    return torch.stack(encoded)


def _layer(layer: EncoderLayer, tokens: Tensor, previous: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
    count, hidden = tokens.shape
    width = hidden // layer.heads
    projected = torch.stack([layer.query_key_value.weight @ t + layer.query_key_value.bias for t in tokens])
    query, key, value = projected[:, :hidden], projected[:, hidden : 2 * hidden], projected[:, 2 * hidden :]
    attended, scores = torch.zeros(count, hidden), []
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        score = torch.zeros(count, count)
        for i in range(count):
            for j in range(count):
                score[i, j] = (query[i, part] * key[j, part]).sum() / width**0.5
        if layer.residual and previous is not None:
            score = score + previous[head]
        scores.append(score)
        for i in range(count):
            weights = torch.exp(score[i] - score[i].max())
            attended[i, part] = (weights / weights.sum()) @ value[:, part]
    tokens = torch.stack(
        [
            _norm(layer.norm_attention, t + layer.out.weight @ a + layer.out.bias)
            for t, a in zip(tokens, attended, strict=True)
        ]
    )
    made = []
    for token in tokens:
        wide = layer.widen.weight @ token + layer.widen.bias
        wide = wide * 0.5 * (1 + torch.erf(wide / 2**0.5))
        made.append(_norm(layer.norm_feed_forward, token + layer.narrow.weight @ wide + layer.narrow.bias))
    return torch.stack(made), scores


def _norm(norm: torch.nn.BatchNorm1d, token: Tensor) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return (token - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias
