"""Block resampling of whole sessions, which keeps dependence in time and across tickers."""

import numpy as np
from numpy.typing import NDArray


def block_positions(
    generator: np.random.Generator, *, draws: int, sessions: int, length: int, block: int
) -> NDArray[np.int64]:
    """Return positions (draws, length) of sessions resampled in blocks out of ``sessions``.

    Moving blocks (Kuensch 1989) without wrap-around: every block is contiguous in the data, with all tickers of a session.
    Raises ValueError where a block is longer than the series it is cut from.
    """
    if not 1 <= block <= sessions:
        raise ValueError(f"block must lie between 1 and the {sessions} sessions at hand, not {block}")
    count = -(-length // block)
    starts = generator.integers(0, sessions - block + 1, size=(draws, count))
    positions = starts[:, :, None] + np.arange(block)  # (draws, count) -> (draws, count, block)
    return positions.reshape(draws, count * block)[:, :length]
