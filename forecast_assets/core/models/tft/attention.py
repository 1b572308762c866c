"""Interpretable multi-head attention of one query (Lim et al. 2021, section 4.4)."""

import math

import torch
from torch import Tensor, nn

from forecast_assets.core.models.tft.layers import dropout


class QueryAttention(nn.Module):
    """One query per window attends to the window's L steps; heads share the values and are averaged.

    With a single query the key projection is applied to the query and the value projection to the attended mean
    instead of to every step: exact, since q . (W k + b) differs from (W' q) . k by what the softmax cancels, and
    attention weights sum to one. Parameters are pytorch-forecasting's, the heads' stacked; a key's bias has no effect
    and is kept for its ``state_dict`` only.
    """

    def __init__(self, hidden: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        if hidden < heads:
            raise ValueError(f"QueryAttention: {heads} heads need at least as many hidden units, not {hidden}")
        self.rate, self.width = dropout, hidden // heads
        self.query_weight = nn.Parameter(torch.empty(heads, self.width, hidden))
        self.query_bias = nn.Parameter(torch.zeros(heads, self.width))
        self.key_weight = nn.Parameter(torch.empty(heads, self.width, hidden))
        self.register_buffer("key_bias", torch.zeros(heads, self.width))
        self.value = nn.Linear(hidden, self.width)
        self.out = nn.Linear(self.width, hidden, bias=False)
        for weight in (*self.query_weight.data, *self.key_weight.data, self.value.weight, self.out.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, query: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H) queries on (L, B, H) steps -> (B, H) outputs, (B, heads, L) attention weights."""
        per_head = torch.einsum("bh,ndh->bnd", query, self.query_weight) + self.query_bias  # (B, heads, width)
        folded = torch.einsum("bnd,ndh->bnh", per_head, self.key_weight) / math.sqrt(self.width)  # (B, heads, H)
        attention = torch.softmax(torch.bmm(folded, steps.permute(1, 2, 0)), dim=-1)  # (B, heads, L)
        attended = torch.bmm(attention, steps.transpose(0, 1))  # (B, heads, L) @ (B, L, H) -> (B, heads, H)
        head = dropout(self.value(attended), self.rate, training=self.training).mean(dim=1)  # (B, width)
        return dropout(self.out(head), self.rate, training=self.training), attention
