"""Our network against pytorch-forecasting's, weight for weight."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from forecast_assets.core.models.tft.network import TftSizes
from forecast_assets_tests.helpers.tft_oracle import oracle, oracle_inputs, oracle_raw, ours, translated

SIZES = TftSizes(
    hidden=16,
    hidden_continuous=8,
    heads=4,
    dropout=0.0,
    lookback=12,
    observed=4,
    known=3,
    static={"ticker": (9, 2)},
)
VARIANTS = {
    "ticker": SIZES,
    "no static variable": replace(SIZES, static={}),
    "ticker and sector": replace(SIZES, static={"ticker": (9, 2), "sector": (4, 1)}),
    "ticker, sector and exchange": replace(SIZES, static={"ticker": (9, 2), "sector": (4, 1), "exchange": (3, 1)}),
    "no known-future real": replace(SIZES, known=0),
    "one known-future real": replace(SIZES, known=1),
    "one real in all": replace(SIZES, observed=0, known=1),
    "one head": replace(SIZES, heads=1),
    "three heads that do not divide the width": replace(SIZES, heads=3),
    "reals as wide as the network": replace(SIZES, hidden_continuous=16),
    "reals wider than the network": replace(SIZES, hidden_continuous=24),
    "reals not widened": replace(SIZES, hidden_continuous=1),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
CASES = [
    pytest.param(variant, dtype, id=f"{variant}, {str(dtype).removeprefix('torch.')}")
    for variant in VARIANTS
    for dtype in TOLERANCE
    # pytorch-forecasting mixes precisions without known-future reals, and the LayerNorm of one number widened to equal
    # ones is rounding noise in single precision.
    if (variant, dtype) not in {("no known-future real", torch.float64), ("reals not widened", torch.float32)}
]


def batch(sizes: TftSizes, *, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Five blocks of 30 sessions, three windows each, unevenly far apart."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(5, 30, sizes.observed + sizes.known, generator=generator, dtype=torch.float64).to(dtype)
    ids = [torch.randint(count, (5,), generator=generator) for count, _ in sizes.static.values()]
    return rows, torch.tensor([11, 19, 29]), torch.stack(ids, dim=1) if ids else torch.empty(5, 0, dtype=torch.int64)


def pair(sizes: TftSizes, *, dtype: torch.dtype) -> tuple[Any, Tensor, Tensor, Tensor]:
    return (oracle(sizes).to(dtype), *batch(sizes, dtype=dtype))


@pytest.mark.parametrize(("variant", "dtype"), CASES)
def test_outputs_are_those_of_pytorch_forecasting(variant: str, dtype: torch.dtype) -> None:
    sizes = VARIANTS[variant]
    theirs, rows, offsets, ids = pair(sizes, dtype=dtype)
    with torch.no_grad():
        expected = oracle_raw(theirs.eval(), oracle_inputs(rows, offsets, ids, lookback=sizes.lookback))
        raw = ours(theirs, sizes).eval()(rows, offsets, ids)
    assert raw.shape == expected.shape == (15, 3, 7)
    assert expected.std() > 0.1
    torch.testing.assert_close(raw, expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize(("variant", "dtype"), CASES)
def test_gradients_are_those_of_pytorch_forecasting(variant: str, dtype: torch.dtype) -> None:
    sizes = VARIANTS[variant]
    theirs, rows, offsets, ids = pair(sizes, dtype=dtype)
    network = ours(theirs, sizes)
    weight = torch.randn(15, 3, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype) / 15
    (oracle_raw(theirs, oracle_inputs(rows, offsets, ids, lookback=sizes.lookback)) * weight).sum().backward()
    (network(rows, offsets, ids) * weight).sum().backward()
    expected, gradients = translated(_gradients(theirs), sizes), _gradients(network)
    assert set(gradients) == set(expected) - {"attention.key_bias"}  # which the softmax cancels
    assert expected["attention.key_bias"].abs().max() < TOLERANCE[dtype]
    for name, gradient in gradients.items():
        difference = float((gradient - expected[name]).abs().max())
        assert difference < TOLERANCE[dtype], name


def _gradients(network: nn.Module) -> dict[str, Tensor]:
    """Zero where a parameter takes no part, such as the weights' network of a single variable."""
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in network.named_parameters()}
