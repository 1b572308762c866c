"""Resampling whole sessions in blocks, so that dependence in time and across tickers survives."""

import numpy as np
from numpy.typing import NDArray


def block_positions(
    generator: np.random.Generator, *, draws: int, sessions: int, length: int, block: int
) -> NDArray[np.int64]:
    """Positions of resampled sessions: ``draws`` series of ``length`` sessions, made of blocks out of ``sessions``.

    Moving blocks (Kuensch 1989) without wrap-around: a block is always a stretch that really happened. All tickers of a
    session travel together, so the cross-section's dependence is kept as well.

    Returns (draws, length). Raises ValueError where a block is longer than the series it is cut from.
    """
    if not 1 <= block <= sessions:
        raise ValueError(f"block must lie between 1 and the {sessions} sessions at hand, not {block}")
    count = -(-length // block)
    starts = generator.integers(0, sessions - block + 1, size=(draws, count))
    positions = starts[:, :, None] + np.arange(block)  # (draws, count) -> (draws, count, block)
    return positions.reshape(draws, count * block)[:, :length]
