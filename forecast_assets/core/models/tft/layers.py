"""The TFT's building blocks: gated linear unit, gate-add-norm, gated residual network, attention, dropout.

Parameters carry pytorch-forecasting's names and initial distributions (``pytorch_forecasting/models/
temporal_fusion_transformer/sub_modules.py``, 1.8); how they are executed is our own.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.models.tft.gating import gate_add


def dropout(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """Inverted dropout with a mask of 16 random bits per element; ``rate`` is met to within 1 / 65536.

    Drawing four masks from one 64-bit number costs a fifth of torch's own Bernoulli draws on a CPU.
    """
    if not training or rate == 0.0:
        return x
    if x.is_cuda:
        return functional.dropout(x, rate)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(rate * 65536)
    mask = torch.ge(
        bits, dropped - 32768, out=torch.empty_like(x)
    )  # half the time of a mask of bools made into numbers
    return x * mask.mul_(65536 / (65536 - dropped))


def interpolation(size_in: int, size_out: int, *, like: Tensor) -> Tensor:
    """Return linear interpolation with aligned corners as a matrix, (size_out, size_in), on the device of ``like``."""
    columns = torch.eye(size_in, dtype=like.dtype, device=like.device)[:, None]  # each resampled is one of the matrix
    return functional.interpolate(columns, size_out, mode="linear", align_corners=True).squeeze(1).T.contiguous()


class ResampleNorm(nn.Module):
    """(..., size_in) -> (..., size_out): linear interpolation, a learned gate per element, LayerNorm."""

    def __init__(self, size_in: int, size_out: int) -> None:
        super().__init__()
        self.size_in, self.size_out = size_in, size_out
        self.mask = nn.Parameter(torch.zeros(size_out))
        self.norm = nn.LayerNorm(size_out)

    def gated_matrix(self) -> Tensor:
        """Interpolation and gate as one linear map, (size_out, size_in)."""
        return interpolation(self.size_in, self.size_out, like=self.mask) * (2.0 * torch.sigmoid(self.mask))[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """LayerNorm(gate * resample(x))."""
        return self.norm(functional.linear(x, self.gated_matrix()))


class Lstm(nn.Module):
    """One layer of torch's LSTM, with its names. ``nn.LSTM`` checks shapes and keeps lists that no export can follow."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        bound = hidden**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden, hidden).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden, hidden).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden).uniform_(-bound, bound))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden).uniform_(-bound, bound))

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(L, B, H) inputs, (B, H) states -> (L, B, H) outputs, last (B, H) states."""
        weights: list[Tensor] = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
        outputs, last_hidden, last_cell = torch.lstm(
            x, (hidden[None], cell[None]), weights, True, 1, 0.0, self.training, False, False
        )
        return outputs, last_hidden[0], last_cell[0]


class GatedLinearUnit(nn.Module):
    """The dropout and the linear layer of a gated linear unit (Dauphin 2017), (..., size_in) -> (..., size_out)."""

    def __init__(self, size_in: int, size_out: int, *, dropout: float) -> None:
        super().__init__()
        self.rate = dropout
        self.fc = nn.Linear(size_in, 2 * size_out)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def add_to(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return GLU(W dropout(x) + b) + skip."""
        dropped = dropout(x, self.rate, training=self.training)
        return gate_add(dropped, self.fc.weight, self.fc.bias, skip)


class GateAddNorm(nn.Module):
    """LayerNorm(GLU(x) + skip)."""

    def __init__(self, size_in: int, size_out: int, *, dropout: float) -> None:
        super().__init__()
        self.glu = GatedLinearUnit(size_in, size_out, dropout=dropout)
        self.norm = nn.LayerNorm(size_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(..., size_in) and (..., size_out) -> (..., size_out)."""
        return self.norm(self.glu.add_to(skip, x))


class GatedResidualNetwork(nn.Module):
    """Linear (+ context), ELU, linear, gate-add-norm around a residual (Lim et al. 2021, section 4.1)."""

    def __init__(self, size_in: int, hidden: int, size_out: int, *, dropout: float, context: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size_in, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if context is not None:
            self.context = nn.Linear(context, hidden, bias=False)
            nn.init.xavier_uniform_(self.context.weight)
        self.gate_norm = GateAddNorm(hidden, size_out, dropout=dropout)
        self.resample_norm = ResampleNorm(size_in, size_out) if size_in != size_out else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(..., size_in) -> (..., size_out); ``context`` broadcasts against x's leading dimensions."""
        hidden = self.fc1(x)
        if context is not None:
            hidden = hidden + self.context(context)
        residual = x if self.resample_norm is None else self.resample_norm(x)
        return self.close(functional.elu(hidden, inplace=True), residual)

    def close(self, activated: Tensor, residual: Tensor) -> Tensor:
        """From the activation on: (..., hidden) and (..., size_out) -> (..., size_out).

        Nothing but dropout stands between the second linear layer and the gate's, so without it they are one.
        """
        glu = self.gate_norm.glu
        if self.training and glu.rate > 0.0:
            return self.gate_norm(self.fc2(activated), residual)
        weight, bias = glu.fc.weight @ self.fc2.weight, glu.fc.weight @ self.fc2.bias + glu.fc.bias
        return self.gate_norm.norm(gate_add(activated, weight, bias, residual))


class QueryAttention(nn.Module):
    """Interpretable multi-head attention (Lim et al. 2021, section 4.4) of one query per window to the window's L steps.

    Heads share the values and are averaged.

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
