import pytest
import torch
from torch import Tensor
from torch.nn import functional

from forecast_assets.core.models.tft.gating import gate_add

Arguments = tuple[Tensor, Tensor, Tensor, Tensor]


def arguments(*, stack: bool) -> Arguments:
    """Input (.., 5, 3), weight, bias and skip connection (.., 5, 4), in double precision, that need a gradient."""
    torch.manual_seed(0)
    shapes: list[tuple[int, ...]] = [(2, 5, 3), (8, 3), (8,), (2, 5, 4)]
    if stack:
        shapes[1:3] = [(2, 8, 3), (2, 8)]
    x, weight, bias, skip = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return x, weight, bias, skip


def plain(x: Tensor, weight: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    """torch's gated linear unit, of each of a stack by itself."""
    if weight.dim() == 3:
        return torch.stack([plain(*one) for one in zip(x, weight, bias, skip, strict=True)])
    return functional.glu(functional.linear(x, weight, bias), dim=-1) + skip


@pytest.mark.parametrize("stack", [False, True])
def test_values_and_gradients_are_those_of_torch(stack: bool) -> None:
    given = arguments(stack=stack)
    found, expected = gate_add(*given), plain(*given)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), given),
        torch.autograd.grad(expected.square().sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stack", [False, True])
def test_without_gradients_the_values_are_the_same(stack: bool) -> None:
    given = arguments(stack=stack)
    with torch.no_grad():
        assert torch.equal(gate_add(*given), gate_add(*(of.detach() for of in given)))
        torch.testing.assert_close(gate_add(*given), plain(*given))


@pytest.mark.parametrize("stack", [False, True])
def test_the_gradient_is_that_of_finite_differences(stack: bool) -> None:
    assert torch.autograd.gradcheck(gate_add, arguments(stack=stack))


def test_in_mixed_precision_it_is_torch_s_own_unit() -> None:
    x, weight, bias, skip = (of.detach().float() for of in arguments(stack=False))
    weight.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gate_add(x, weight, bias, skip)
    found.square().sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(found, plain(x, weight, bias, skip), rtol=0.05, atol=0.05)
