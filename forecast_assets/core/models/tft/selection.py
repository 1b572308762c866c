"""Variable selection: every real variable through a network of its own, then a weighted sum (Lim et al. 2021, 4.2).

pytorch-forecasting first widens each real number to ``size`` numbers with a linear layer (its prescaler). Everything up
to the first activation is thus affine in that one number, and is folded into per-variable vectors: the wide tensors,
(rows, variables x size), never exist, and of the residual's LayerNorm only the mean, variance and covariance of two
vectors remain. The networks of all variables run as one batched product.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.models.execution import exporting
from forecast_assets.core.models.tft.gating import gate_add
from forecast_assets.core.models.tft.layers import GatedResidualNetwork, ResampleNorm, dropout, interpolation

CHUNK_ROWS = 1024  # sessions at a time, so that what is computed of all their variables stays in a core's cache
NORM_EPS = 1e-5  # LayerNorm's epsilon in torch


class Affine(NamedTuple):
    """An affine map of the variables' numbers; of the prescalers 2 x (V, size)."""

    slope: Tensor
    offset: Tensor


class Folded(NamedTuple):
    """A selection's parameters with the prescalers multiplied in; made once per batch."""

    hidden: Affine  # 2 x (V, inner): the first linear layer of each variable's network
    residual: Affine  # 2 x (V, hidden): its skip connection, before LayerNorm
    weigh: tuple[Affine, Affine] | None
    """Of the network that weighs the variables: first linear layer (h, V), (h,); skip (V, V), (V,), before LayerNorm."""


class RealSelection(nn.Module):
    """Selection among V >= 1 real variables, given a static context.

    Parameters with a leading V hold pytorch-forecasting's ``single_variable_grns``, stacked.
    """

    variables: Tensor

    def __init__(self, variables: tuple[int, ...], *, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        count, inner = len(variables), min(size, hidden)
        self.size, self.hidden, self.rate, self.resampled = size, hidden, dropout, size != hidden
        self.register_buffer("variables", torch.tensor(variables, dtype=torch.int64), persistent=False)
        self.fc1_weight = nn.Parameter(torch.empty(count, inner, size))
        self.fc1_bias = nn.Parameter(torch.zeros(count, inner))
        self.fc2_weight = nn.Parameter(torch.empty(count, inner, inner))
        self.fc2_bias = nn.Parameter(torch.zeros(count, inner))
        self.glu_weight = nn.Parameter(torch.empty(count, 2 * hidden, inner))
        self.glu_bias = nn.Parameter(torch.zeros(count, 2 * hidden))
        self.norm_weight = nn.Parameter(torch.ones(count, hidden))
        self.norm_bias = nn.Parameter(torch.zeros(count, hidden))
        if self.resampled:
            self.resample_mask = nn.Parameter(torch.zeros(count, hidden))
            self.resample_weight = nn.Parameter(torch.ones(count, hidden))
            self.resample_bias = nn.Parameter(torch.zeros(count, hidden))
        for fc1, fc2, glu in zip(self.fc1_weight, self.fc2_weight, self.glu_weight, strict=True):
            nn.init.kaiming_normal_(fc1.data, nonlinearity="relu")
            nn.init.kaiming_normal_(fc2.data, nonlinearity="relu")
            nn.init.xavier_uniform_(glu.data)
        self.weigh = None
        if count > 1:
            self.weigh = GatedResidualNetwork(count * size, min(hidden, count), count, dropout=dropout, context=hidden)

    def fold(self, prescalers: Affine) -> Folded:
        """Multiply the prescalers of all the network's variables into this selection's first layers."""
        slope, offset = (of[self.variables, :, None] for of in prescalers)  # 2 x (V, size, 1)
        hidden = Affine((self.fc1_weight @ slope).squeeze(-1), (self.fc1_weight @ offset).squeeze(-1) + self.fc1_bias)
        pre = residual = Affine(slope.squeeze(-1), offset.squeeze(-1))
        if self.resampled:
            gate = 2.0 * torch.sigmoid(self.resample_mask)
            matrix = interpolation(self.size, self.hidden, like=gate).T
            residual = Affine(gate * (pre.slope @ matrix), gate * (pre.offset @ matrix))
        if self.weigh is None:
            return Folded(hidden, residual, None)
        fc1, resample = self.weigh.fc1, self.weigh.resample_norm
        matrix = torch.eye(len(slope)).to(slope) if resample is None else resample.gated_matrix()
        return Folded(hidden, residual, (_widen(fc1.weight, fc1.bias, pre), _widen(matrix, None, pre)))

    def forward(self, x: Tensor, context: Tensor, folded: Folded) -> tuple[Tensor, Tensor]:
        """(T, K, V) numbers and (K, hidden) context -> (T, K, hidden) selected, (T, K, V) weights."""
        if exporting():
            return self._select(x, context, folded)
        parts = [self._select(part, context, folded) for part in x.split(max(1, CHUNK_ROWS // x.shape[1]))]
        selected, weights = zip(*parts, strict=True)
        return torch.cat(selected), torch.cat(weights)

    def _select(self, x: Tensor, context: Tensor, folded: Folded) -> tuple[Tensor, Tensor]:
        steps, blocks, count = x.shape
        outputs = self._networks(x.reshape(-1, count), folded)  # (V, T K, hidden)
        if self.weigh is None:
            return outputs.view(steps, blocks, self.hidden), torch.ones_like(x)
        weights = self._weights(x, context, folded)  # (T, K, V)
        # Not as a product of matrices: one of a row with 19 variables is too small for it, its gradient more so.
        selected = (outputs * weights.view(-1, count).T[..., None]).sum(dim=0)  # (V, N, hidden) -> (N, hidden)
        return selected.view(steps, blocks, self.hidden), weights

    def _weights(self, x: Tensor, context: Tensor, folded: Folded) -> Tensor:
        """Softmax weights of the variables, (T, K, V)."""
        assert self.weigh is not None
        assert folded.weigh is not None
        hidden, residual = (functional.linear(x, *affine) for affine in folded.weigh)
        if self.weigh.resample_norm is not None:
            residual = self.weigh.resample_norm.norm(residual)
        hidden = functional.elu(hidden + self.weigh.context(context), inplace=True)
        return torch.softmax(self.weigh.close(hidden, residual), dim=-1)

    def _networks(self, numbers: Tensor, folded: Folded) -> Tensor:
        """Each variable's gated residual network of its own number: (N, V) -> (V, N, hidden)."""
        x = numbers.T[..., None]  # (V, N, 1)
        hidden = torch.addcmul(folded.hidden.offset[:, None], x, folded.hidden.slope[:, None])  # (V, N, inner)
        activated = functional.elu(hidden, inplace=True)
        weight: Tensor = self.glu_weight
        bias: Tensor = self.glu_bias
        if self.training and self.rate > 0.0:
            inner = torch.baddbmm(self.fc2_bias[:, None], activated, self.fc2_weight.mT)
            activated = dropout(inner, self.rate, training=True)
        else:  # one linear layer, see GatedResidualNetwork.close
            bias = bias + (weight @ self.fc2_bias[..., None]).squeeze(-1)
            weight = weight @ self.fc2_weight
        added = gate_add(activated, weight, bias, self._skip(x, folded.residual))  # (V, N, hidden)
        normed = functional.layer_norm(added, (self.hidden,))
        return torch.addcmul(self.norm_bias[:, None], normed, self.norm_weight[:, None])

    def _skip(self, x: Tensor, residual: Affine) -> Tensor:
        """The skip connection LayerNorm(x u + c) of each variable: (V, N, 1) -> (V, N, hidden).

        Centred, x u + c has variance x^2 var(u) + 2 x cov(u, c) + var(c): a polynomial per number instead of a
        reduction per row.
        """
        u, c = residual
        if not self.resampled:
            return torch.addcmul(c[:, None], x, u[:, None])
        u, c = u - u.mean(dim=-1, keepdim=True), c - c.mean(dim=-1, keepdim=True)
        var_u, cov, var_c = ((a * b).mean(dim=-1)[:, None, None] for a, b in ((u, u), (u, c), (c, c)))
        scale = torch.rsqrt((var_u * x + 2.0 * cov) * x + var_c + NORM_EPS)  # (V, N, 1)
        vectors = torch.stack([u * self.resample_weight, c * self.resample_weight], dim=1)  # (V, 2, hidden)
        return torch.baddbmm(self.resample_bias[:, None], torch.cat([x * scale, scale], dim=-1), vectors)


def _widen(weight: Tensor, bias: Tensor | None, pre: Affine) -> Affine:
    """A layer on all widened variables side by side, (out, V size), as a layer on their V numbers: (out, V), (out,)."""
    blocks = weight.view(weight.shape[0], *pre.slope.shape)  # (out, V size) -> (out, V, size)
    offset = (blocks * pre.offset).sum(dim=(1, 2))
    return Affine((blocks * pre.slope).sum(dim=2), offset if bias is None else offset + bias)


class StaticSelection(nn.Module):
    """Selection among embedded ids: each embedding resampled to ``hidden``, then a weighted sum; one id needs no weights.

    ``sizes``: name -> (number of ids, width of the embedding), in the order of the ids' columns; at least one.
    """

    def __init__(self, sizes: dict[str, tuple[int, int]], *, hidden: int, dropout: float) -> None:
        super().__init__()
        widths = [width for _, width in sizes.values()]
        self.embeddings = nn.ModuleDict({name: nn.Embedding(*size) for name, size in sizes.items()})
        self.resample = nn.ModuleDict({name: ResampleNorm(width, hidden) for name, (_, width) in sizes.items()})
        self.weigh = None
        if (count := len(sizes)) > 1:
            self.weigh = GatedResidualNetwork(sum(widths), min(hidden, count), count, dropout=dropout)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(K, S) ids -> (K, hidden) selected, (K, S) weights."""
        embedded = [table(ids[:, column]) for column, table in enumerate(self.embeddings.values())]
        resampled = [resample(e) for resample, e in zip(self.resample.values(), embedded, strict=True)]
        if self.weigh is None:
            return resampled[0], torch.ones_like(resampled[0][:, :1])
        weights = torch.softmax(self.weigh(torch.cat(embedded, dim=-1)), dim=-1)  # (K, S)
        return (torch.stack(resampled, dim=1) * weights[..., None]).sum(dim=1), weights
