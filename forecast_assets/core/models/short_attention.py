"""Attention over many short sequences with narrow heads, several times faster on a CPU than torch's own.

A dozen tokens in heads of a few numbers are too small for a matrix product: torch's attention runs at a hundredth of a
core's speed there. With the sequences innermost in memory, the same sums are element-wise operations on long vectors.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from forecast_assets.core.models.execution import exporting, own_operations

WIDEST_HEAD = 16  # wider ones are worth a matrix product
CHUNK_SERIES = 1024  # sequences at a time in training, so that their attention weights stay in a core's cache


def attention(
    query: Tensor, key: Tensor, value: Tensor, *, width: int, previous: Tensor | None, residual: bool
) -> tuple[Tensor, Tensor | None]:
    """Return softmax(q k' / sqrt(width) + ``previous``) v of N sequences, and the scores inside the softmax if ``residual``.

    ``query``, ``key``, ``value``: (P, heads, width, N) of P tokens; scores are (P queries, P keys, heads, N).
    """
    query = query * width**-0.5
    if width > WIDEST_HEAD or not own_operations(query):
        return by_matrix_products(query, key, value, previous=previous, residual=residual)
    if torch.is_grad_enabled() and not exporting():
        mixed, scores = _Attention.apply(query, key, value, previous, residual)
        return mixed, scores
    mixed, _, scores = _attend(query, key, value, previous)
    return mixed, scores if residual else None


def by_matrix_products(
    query: Tensor, key: Tensor, value: Tensor, *, previous: Tensor | None, residual: bool
) -> tuple[Tensor, Tensor | None]:
    """Return ``attention`` of a query divided by the root of the width, by torch's own operations."""
    query, key, value = (of.permute(3, 1, 0, 2) for of in (query, key, value))  # 3 x (N, heads, P, width)
    if not residual:
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        return mixed.permute(2, 1, 3, 0), None
    scores = query @ key.transpose(-1, -2)  # (N, heads, P, P)
    if previous is not None:
        scores = scores + previous.permute(3, 2, 0, 1)
    return (torch.softmax(scores, dim=-1) @ value).permute(2, 1, 3, 0), scores.permute(2, 3, 1, 0)


class _Attention(torch.autograd.Function):
    """``attention`` of a scaled query, chunk by chunk, with its gradient written out."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, previous: Tensor | None, residual: bool
    ) -> tuple[Tensor, Tensor | None]:
        chunks = [of.split(CHUNK_SERIES, dim=-1) for of in (query, key, value)]
        before = [None] * len(chunks[0]) if previous is None else previous.split(CHUNK_SERIES, dim=-1)
        parts = [_attend(*part) for part in zip(*chunks, before, strict=True)]
        mixed = torch.cat([part[0] for part in parts], dim=-1)
        ctx.save_for_backward(query, key, value, mixed, *(part[1] for part in parts))
        ctx.has_previous = previous is not None
        return mixed, torch.cat([part[2] for part in parts], dim=-1) if residual else None

    @staticmethod
    def backward(
        ctx: Any, of_mixed: Tensor, of_scores: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None]:
        query, key, value, mixed, *weights = ctx.saved_tensors
        later = [None] * len(weights) if of_scores is None else of_scores.split(CHUNK_SERIES, dim=-1)
        chunks = [of.split(CHUNK_SERIES, dim=-1) for of in (query, key, value, mixed, of_mixed.contiguous())]
        made: list[tuple[Tensor, ...]] = []
        for weight, added, q, k, v, out, gradient in zip(weights, later, *chunks, strict=True):
            # Of the scores: weight * (g v' - its weighted mean over the keys), and that mean is g . out.
            score = _products(gradient, v).sub_((gradient * out).sum(dim=2)[:, None]).mul_(weight)
            score = score if added is None else score.add_(added)
            of_keys = score.transpose(0, 1)
            found = (_mix(score, k), _mix(of_keys, q), _mix(weight.transpose(0, 1), gradient))
            made.append((*found, score) if ctx.has_previous else found)
        of_query, of_key, of_value, *of_previous = (torch.cat(of, dim=-1) for of in zip(*made, strict=True))
        return of_query, of_key, of_value, of_previous[0] if of_previous else None, None


def _attend(query: Tensor, key: Tensor, value: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mixed values, the weights and the scores."""
    scores = _products(query, key)
    if previous is not None:
        scores = scores.add_(previous)
    weights = torch.softmax(scores, dim=1)
    return _mix(weights, value), weights, scores


def _products(rows: Tensor, columns: Tensor) -> Tensor:
    """Return the products of all pairs of tokens, over the width: 2 x (P, heads, width, N) -> (P, P, heads, N)."""
    pairs = zip(rows[:, None].unbind(3), columns[None].unbind(3), strict=True)  # one of the width at a time
    first = next(pairs)
    total = first[0] * first[1]
    for row, column in pairs:
        total.addcmul_(row, column)
    return total


def _mix(weights: Tensor, value: Tensor) -> Tensor:
    """Return the sum of ``value`` (P, heads, width, N) over its tokens with weights (P, P, heads, N) -> like ``value``."""
    pairs = zip(weights[:, :, :, None].unbind(1), value.unbind(0), strict=True)  # one token at a time
    first = next(pairs)
    total = first[0] * first[1]
    for weight, token in pairs:
        total.addcmul_(weight, token)
    return total
