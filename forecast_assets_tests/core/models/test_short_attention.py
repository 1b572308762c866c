from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from forecast_assets.core.models import short_attention
from forecast_assets.core.models.short_attention import attention, by_matrix_products

PATCHES, HEADS, WIDTH, SERIES = 5, 2, 3, 7


@dataclass(frozen=True)
class Given:
    """Double-precision inputs that need a gradient."""

    query: Tensor
    key: Tensor
    value: Tensor
    previous: Tensor

    @property
    def heads(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value


@pytest.fixture
def given() -> Given:
    torch.manual_seed(0)
    shapes = [(PATCHES, HEADS, WIDTH, SERIES)] * 3 + [(PATCHES, PATCHES, HEADS, SERIES)]
    return Given(*(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes))


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_attention, "CHUNK_SERIES", 3)


@pytest.mark.parametrize("residual", [False, True])
def test_the_mixed_values_and_their_gradient_are_those_of_matrix_products(residual: bool, given: Given) -> None:
    previous = given.previous if residual else None
    inputs = [*given.heads, given.previous] if residual else list(given.heads)
    found, scores = attention(*given.heads, width=WIDTH, previous=previous, residual=residual)
    scaled = given.query * WIDTH**-0.5
    expected, their_scores = by_matrix_products(scaled, *given.heads[1:], previous=previous, residual=residual)
    assert found.shape == (PATCHES, HEADS, WIDTH, SERIES)
    torch.testing.assert_close(found, expected)
    loss, their_loss = found.square().sum(), expected.square().sum()
    if residual:
        assert scores is not None
        assert their_scores is not None
        torch.testing.assert_close(scores, their_scores)
        loss, their_loss = loss + scores.cos().sum(), their_loss + their_scores.cos().sum()
    ours, theirs = torch.autograd.grad(loss, inputs), torch.autograd.grad(their_loss, inputs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("residual", [False, True])
def test_without_gradients_the_values_are_the_same(residual: bool, given: Given) -> None:
    previous = given.previous if residual else None
    trained, scores = attention(*given.heads, width=WIDTH, previous=previous, residual=residual)
    with torch.no_grad():
        found, again = attention(*given.heads, width=WIDTH, previous=previous, residual=residual)
    torch.testing.assert_close(found, trained)
    assert (again is None) == (scores is None) == (not residual)


def test_the_gradient_is_that_of_finite_differences(given: Given) -> None:
    def both(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        mixed, scores = attention(*inputs[:3], width=WIDTH, previous=inputs[3], residual=True)
        assert scores is not None
        return mixed, scores

    assert torch.autograd.gradcheck(both, (*given.heads, given.previous))


def test_scores_of_hundreds_neither_overflow_nor_lose_the_largest(given: Given) -> None:
    mixed, _ = attention(1000 * given.query, given.key, given.value, width=WIDTH, previous=None, residual=False)
    assert torch.isfinite(mixed).all()
    largest = (given.query.permute(3, 1, 0, 2) @ given.key.permute(3, 1, 2, 0)).argmax(dim=-1)  # (N, heads, P)
    taken = given.value.permute(3, 1, 0, 2).gather(2, largest[..., None].expand(-1, -1, -1, WIDTH))
    torch.testing.assert_close(mixed.permute(3, 1, 0, 2), taken, rtol=1e-3, atol=1e-3)
