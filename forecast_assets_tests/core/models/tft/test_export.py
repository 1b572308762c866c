"""The network outside Python: traced and exported, saved, loaded, and run on batches of other shapes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from forecast_assets.core.models.tft.network import TftNetwork, TftSizes
from forecast_assets_tests.helpers.tft_oracle import oracle, ours

LOOKBACK = 12
SIZES = TftSizes(8, 4, 2, 0.1, LOOKBACK, observed=3, known=2, static={"ticker": (9, 2), "sector": (4, 1)})
SHAPES = [(5, 3), (1, 1), (7, 1), (1, 4), (150, 3)]
"""Blocks and window ends per block; the first is what is traced."""


def network() -> TftNetwork:
    return ours(oracle(SIZES), SIZES).eval()


def inputs(blocks: int, ends: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(blocks)
    rows = torch.randn(blocks, LOOKBACK - 1 + 2 * ends, 5, generator=generator)
    ids = torch.stack(
        [torch.randint(count, (blocks,), generator=generator) for count, _ in SIZES.static.values()], dim=1
    )
    return rows, LOOKBACK + 2 * torch.arange(ends), ids


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning")
def test_traced_saved_and_loaded_it_gives_the_same_numbers(tmp_path: Path) -> None:
    original = network()
    torch.jit.save(torch.jit.trace(original, inputs(*SHAPES[0])), tmp_path / "traced.pt")
    loaded = torch.jit.load(tmp_path / "traced.pt")
    for shape in SHAPES:
        torch.testing.assert_close(loaded(*inputs(*shape)), original(*inputs(*shape)), rtol=0, atol=1e-6)


@torch.no_grad()
def test_exported_saved_and_loaded_it_gives_the_same_numbers(tmp_path: Path) -> None:
    original = network()
    blocks, sessions, ends = (torch.export.Dim(name, min=1, max=4096) for name in ("blocks", "sessions", "ends"))
    exported = torch.export.export(
        original, inputs(*SHAPES[0]), dynamic_shapes=({0: blocks, 1: sessions}, {0: ends}, {0: blocks})
    )
    torch.export.save(exported, tmp_path / "exported.pt2")
    loaded = torch.export.load(tmp_path / "exported.pt2").module()
    for shape in SHAPES:
        torch.testing.assert_close(loaded(*inputs(*shape)), original(*inputs(*shape)), rtol=0, atol=1e-6)
