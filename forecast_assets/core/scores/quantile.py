"""Scores of quantile forecasts, and conversions between quantiles and (mean, sigma).

Everywhere: the last axis of ``quantiles`` is the level, ascending, non-decreasing in value; ``y`` has the shape
before it. A NaN in ``y`` is an outcome that has not matured: its scores are NaN and the averages leave it out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import QUANTILES

Floats = NDArray[np.float64]

PEARSON_TUKEY = {0.05: 0.185, 0.5: 0.63, 0.95: 0.185}  # weights of the three-point approximation (1965)


def pinball(y: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float]) -> Floats:
    """Return the pinball (quantile) loss per observation and level.

    ``y`` (...), ``quantiles`` (..., L) -> (..., L), in the unit of ``y``: ``max(p (y - q), (p - 1) (y - q))``
    (Koenker and Bassett 1978). Raises ValueError where shapes or levels disagree.
    """
    outcome, forecast, level = _aligned(y, quantiles, levels)
    error = outcome[..., None] - forecast  # (...) -> (..., L)
    return np.maximum(level * error, (level - 1.0) * error)


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of matured outcomes with ``low <= y <= high``; NaN where nothing has matured."""
    outcome = np.asarray(y, dtype=np.float64)
    inside = ((outcome >= np.asarray(low)) & (outcome <= np.asarray(high)))[~np.isnan(outcome)]
    return float(inside.mean()) if inside.size else float("nan")


def crps_from_quantiles(y: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float]) -> Floats:
    """Return the continuous ranked probability score per observation, from a few quantiles.

    ``y`` (...), ``quantiles`` (..., L) -> (...). CRPS is twice the integral of the pinball loss over the level
    (Gneiting and Ranjan 2011); each given level represents the levels nearer to it than to its neighbours. With
    levels ``(i - .5) / n`` this is ``scoringrules.crps_quantile``; with the project's seven, a Normal's CRPS is about
    4 % low (for every model alike).
    """
    edges = np.concatenate([[0.0], (np.asarray(levels[1:]) + np.asarray(levels[:-1])) / 2.0, [1.0]])
    return 2.0 * pinball(y, quantiles, levels=levels) @ np.diff(edges)


def pit(y: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float]) -> Floats:
    """Return the probability integral transform: the forecast distribution function at the outcome.

    ``y`` (...), ``quantiles`` (..., L) -> (...) in [0, 1]. The distribution function is linear between quantiles;
    beyond the outer two it decays exponentially with the density of the outermost piece, so that no outcome gets exactly
    0 or 1. At an outcome where quantiles coincide it jumps, and the middle of the jump is returned.
    """
    outcome, forecast, level = _aligned(y, quantiles, levels)
    value = outcome[..., None]
    below = (forecast < value).sum(axis=-1)  # (...): quantiles strictly below the outcome
    up_to = (forecast <= value).sum(axis=-1)
    left = np.clip(below - 1, 0, len(level) - 2)  # (...): first quantile of the piece that holds the outcome
    q_left = np.take_along_axis(forecast, left[..., None], axis=-1)[..., 0]
    q_right = np.take_along_axis(forecast, left[..., None] + 1, axis=-1)[..., 0]
    width, mass = q_right - q_left, level[left + 1] - level[left]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        linear = level[left] + mass * (outcome - q_left) / width
        density = mass / width  # infinite in a piece without width: nothing lies beyond it
        low = level[0] * np.exp(-(forecast[..., 0] - outcome) * density / level[0])
        high = 1.0 - (1.0 - level[-1]) * np.exp(-(outcome - forecast[..., -1]) * density / (1.0 - level[-1]))
    jump = (level[np.clip(below, 0, len(level) - 1)] + level[np.clip(up_to - 1, 0, len(level) - 1)]) / 2.0
    inside = np.where(up_to > below, jump, linear)
    value_at = np.where(up_to == 0, low, np.where(below == len(level), high, inside))
    return np.where(np.isnan(outcome), np.nan, value_at)


def mean_sigma_from_quantiles(quantiles: ArrayLike, *, levels: Sequence[float] = QUANTILES) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (...) of the three-point distribution on the .05, .5 and .95 quantiles.

    ``quantiles`` (..., L). Pearson-Tukey weights: for a Normal the mean is exact and sigma is 0.05 % high. Raises
    ValueError where one of the three levels is not among ``levels``.
    """
    if missing := [level for level in PEARSON_TUKEY if level not in levels]:
        raise ValueError(f"mean_sigma_from_quantiles: levels {missing} are needed; have {list(levels)}")
    forecast = np.asarray(quantiles, dtype=np.float64)
    points = forecast[..., [list(levels).index(level) for level in PEARSON_TUKEY]]  # (..., L) -> (..., 3)
    weights = np.array(list(PEARSON_TUKEY.values()))
    mean = points @ weights
    return mean, np.sqrt((points - mean[..., None]) ** 2 @ weights)


def _aligned(y: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> tuple[Floats, Floats, Floats]:
    """Return all three as float64; ValueError where shapes or levels disagree."""
    outcome, forecast = np.asarray(y, dtype=np.float64), np.asarray(quantiles, dtype=np.float64)
    level = np.asarray(levels, dtype=np.float64)
    if forecast.shape != (*outcome.shape, len(level)):
        raise ValueError(f"y {outcome.shape} and {len(level)} levels do not fit quantiles {forecast.shape}")
    if len(level) < 2 or not ((level[1:] > level[:-1]).all() and level[0] > 0 and level[-1] < 1):
        raise ValueError(f"levels must ascend within (0, 1), two at least; got {list(levels)}")
    return outcome, forecast, level
