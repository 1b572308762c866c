"""Rolling statistics in blocks: the numbers of a plain rolling window, and the same bits from any border on."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.panel import blocks
from forecast_assets.core.panel.blocks import rolling_in_blocks

EXPRESSIONS = {"mean": pl.col("x").rolling_mean(5), "std": pl.col("x").rolling_std(7)}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 16)


def rows(*lengths: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    segment = np.repeat(np.arange(len(lengths)), lengths)
    position = np.concatenate([np.arange(length) for length in lengths]) if lengths else np.array([], dtype=np.int64)
    return pl.DataFrame({"segment_id": segment, "position": position, "x": np.exp(rng.normal(0, 3, len(segment)))})


@pytest.mark.parametrize("lengths", [(), (1,), (3, 100, 16, 17, 32, 1, 40), (15, 16, 17)])
def test_values_are_those_of_a_plain_window_in_each_segment(lengths: tuple[int, ...]) -> None:
    frame = rows(*lengths)
    plain = frame.select(expression.over("segment_id").alias(name) for name, expression in EXPRESSIONS.items())
    found = rolling_in_blocks(frame, EXPRESSIONS, lead=6)
    assert found.columns == ["mean", "std"]
    for name in EXPRESSIONS:
        np.testing.assert_allclose(found[name].to_numpy(), plain[name].to_numpy(), rtol=1e-9)


def test_a_tail_from_a_border_with_its_lead_in_has_the_same_bits() -> None:
    frame = rows(200, 90)
    whole = rolling_in_blocks(frame, EXPRESSIONS, lead=6)
    tail = frame[112 - 6 :]
    assert rolling_in_blocks(tail, EXPRESSIONS, lead=6)[6:].equals(whole[112:])
    plain = pl.col("x").rolling_std(7).over("segment_id").alias("std")
    assert not tail.select(plain)[6:].equals(frame.select(plain)[112:])  # what the blocks are for


def test_garbage_in_one_segment_changes_no_bit_of_another() -> None:
    frame = rows(60, 60, 60)
    garbage = frame.with_columns(x=pl.when(pl.col("segment_id") == 1).then(pl.lit(1e300)).otherwise("x"))
    one, other = (rolling_in_blocks(version, EXPRESSIONS, lead=6) for version in (frame, garbage))
    keep = frame["segment_id"] != 1
    assert one.filter(keep).equals(other.filter(keep))
