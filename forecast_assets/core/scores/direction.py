"""Probability of a rise, from a few quantiles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import QUANTILES

Floats = NDArray[np.float64]


def probability_above(quantiles: ArrayLike, *, threshold: float = 0.0, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return the forecast probability of an outcome above ``threshold``: ``quantiles`` (..., L) -> (...) in [0, 1].

    The distribution function is interpolated in Normal scores: between two quantiles the score of the level is linear in
    the value, and each tail continues with the slope of the outermost piece. For a Normal's quantiles this is its own
    distribution function, tails included; linear interpolation of the levels would be off by up to 3 points. Where
    quantiles coincide the function jumps: the middle of the jump is returned at that value, and nothing lies beyond an
    outermost piece without width. Raises ValueError where quantiles and levels disagree.
    """
    from scipy.special import ndtr, ndtri

    q, level = np.asarray(quantiles, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    if q.ndim == 0 or q.shape[-1] != len(level) or len(level) < 2:
        raise ValueError(f"quantiles of shape {q.shape} do not fit {len(level)} levels (two at least)")
    score = ndtri(level)  # (L,)
    below = (q < threshold).sum(axis=-1)  # (...): quantiles strictly below the threshold
    up_to = (q <= threshold).sum(axis=-1)
    left = np.clip(below - 1, 0, len(level) - 2)  # (...): first quantile of the piece that is extended or interpolated
    q_left = np.take_along_axis(q, left[..., None], axis=-1)[..., 0]
    width = np.take_along_axis(q, left[..., None] + 1, axis=-1)[..., 0] - q_left
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        between = score[left] + (threshold - q_left) / width * (score[left + 1] - score[left])
    last = len(level) - 1
    jump = (level[np.clip(below, 0, last)] + level[np.clip(up_to - 1, 0, last)]) / 2
    return 1.0 - np.where(up_to > below, jump, ndtr(between))
