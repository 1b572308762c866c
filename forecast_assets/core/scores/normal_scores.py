"""A forecast's distribution and quantile function, interpolated between a few quantiles in Normal scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import QUANTILES

Floats = NDArray[np.float64]


def normal_score(values: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return the standard Normal score of the forecast probability below ``values``: (...) and (..., L) -> (...).

    Between two quantiles the score of the level is linear in the value, and each tail continues with the slope of the
    outermost piece: for a Normal's quantiles this is ``(value - mean) / sigma`` everywhere. Where quantiles coincide the
    distribution jumps: the score of the middle of the jump is returned at that value, and infinite ones beyond an
    outermost piece without width. NaN where the value is. Raises ValueError where quantiles and levels disagree.
    """
    from scipy.special import ndtri

    q, level = _aligned(quantiles, levels)
    value = np.asarray(values, dtype=np.float64)
    score = ndtri(level)  # (L,)
    below = (q < value[..., None]).sum(axis=-1)  # (...): quantiles strictly below the value
    up_to = (q <= value[..., None]).sum(axis=-1)
    left = np.clip(below - 1, 0, len(level) - 2)  # (...): first quantile of the piece that is extended or interpolated
    q_left = np.take_along_axis(q, left[..., None], axis=-1)[..., 0]
    width = np.take_along_axis(q, left[..., None] + 1, axis=-1)[..., 0] - q_left
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        between = score[left] + (value - q_left) / width * (score[left + 1] - score[left])
    last = len(level) - 1
    jump = (level[np.clip(below, 0, last)] + level[np.clip(up_to - 1, 0, last)]) / 2
    return np.where(np.isnan(value), np.nan, np.where(up_to > below, ndtri(jump), between))


def value_at_score(scores: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return the values at standard Normal scores (n,) of forecasts (..., L): (..., n), the inverse of ``normal_score``.

    Non-decreasing in the score. Raises ValueError where quantiles and levels disagree.
    """
    q, _ = _aligned(quantiles, levels)
    return q @ interpolation_weights(scores, levels=levels).T  # (..., L) @ (L, n) -> (..., n)


def interpolation_weights(scores: ArrayLike, *, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return the weights (n, L) of the quantiles in the values at scores (n,): each row sums to one, two are not zero."""
    from scipy.special import ndtri

    at, knots = np.asarray(scores, dtype=np.float64), ndtri(np.asarray(levels, dtype=np.float64))
    left = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    share = (at - knots[left]) / (knots[left + 1] - knots[left])  # below 0 or above 1 in the tails
    weights = np.zeros((len(at), len(knots)))
    every = np.arange(len(at))
    weights[every, left], weights[every, left + 1] = 1.0 - share, share
    return weights


def _aligned(quantiles: ArrayLike, levels: Sequence[float]) -> tuple[Floats, Floats]:
    q, level = np.asarray(quantiles, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    if q.ndim == 0 or q.shape[-1] != len(level) or len(level) < 2:
        raise ValueError(f"quantiles of shape {q.shape} do not fit {len(level)} levels (two at least)")
    return q, level
