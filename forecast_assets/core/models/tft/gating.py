"""The gated linear unit and the sum after it, as one operation with its gradient written out.

torch's own unit computes both halves of a linear layer side by side and reads them with a stride; over rows of 16 numbers
that is half of its time forwards and more of it backwards. Here each half is a contiguous tensor of its own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from forecast_assets.core.models.execution import exporting, own_operations


def gate_add(x: Tensor, weight: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    """Return GLU(W x + b) + skip: (..., N, size_in) and (..., N, size_out) -> (..., N, size_out).

    ``weight`` (2 size_out, size_in) and ``bias`` (2 size_out,), or a stack of V of them for ``x`` (V, N, size_in). ``skip``
    has the result's shape.
    """
    if not own_operations(x):
        linear = functional.linear(x, weight, bias) if weight.dim() == 2 else _linear(x, weight, bias[:, None])
        return functional.glu(linear, dim=-1) + skip
    shape = skip.shape
    if weight.dim() == 2:
        x, skip, weight, bias = x.reshape(1, -1, x.shape[-1]), skip.reshape(1, -1, shape[-1]), weight[None], bias[None]
    if torch.is_grad_enabled() and not exporting():
        added: Tensor = _GateAdd.apply(x, weight, bias, skip)
    else:
        value, gate = _halves(x, weight, bias)
        added = torch.addcmul(skip, value, gate)
    return added.view(shape)


class _GateAdd(torch.autograd.Function):
    """``gate_add`` of stacks: x (V, N, i), weight (V, 2 o, i), bias (V, 2 o), skip (V, N, o) -> (V, N, o)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
        value, gate = _halves(x, weight, bias)
        ctx.save_for_backward(x, weight, value, gate)
        return torch.addcmul(skip, value, gate)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, weight, value, gate = ctx.saved_tensors
        of_skip = gradients[0]
        of_value = of_skip * gate
        of_gate = torch.ops.aten.sigmoid_backward(of_skip * value, gate)
        for_value, for_gate = weight.chunk(2, dim=1)
        of_x = torch.bmm(of_value, for_value).baddbmm_(of_gate, for_gate)
        of_weight = torch.cat([of_value.mT @ x, of_gate.mT @ x], dim=1)
        return of_x, of_weight, torch.cat([of_value.sum(dim=1), of_gate.sum(dim=1)], dim=1), of_skip


def _halves(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the linear layer's first half, and the logistic function of the second, 2 x (V, N, o)."""
    for_value, for_gate = weight.chunk(2, dim=1)
    value_bias, gate_bias = bias[:, None].chunk(2, dim=2)
    return _linear(x, for_value, value_bias), _linear(x, for_gate, gate_bias).sigmoid_()


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer of each of a stack, (V, N, i), (V, o, i), (V, 1, o) -> (V, N, o)."""
    return torch.baddbmm(bias, x, weight.mT)
