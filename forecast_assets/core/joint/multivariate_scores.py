"""Proper scores of joint scenarios: the energy score and the variogram score. Smaller is better."""

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.scores.quantile import Floats


def energy_score(scenarios: NDArray[np.floating], outcome: Floats) -> float:
    """Return the energy score (Gneiting and Raftery 2007) of scenarios (N, n) at the outcome (N,).

    ``mean |x - y| - mean |x - x'| / 2`` over all pairs of scenarios, Euclidean. The CRPS of an ensemble where N is 1.
    """
    draws = np.asarray(scenarios, dtype=np.float64)
    distance = np.sqrt(((draws - outcome[:, None]) ** 2).sum(axis=0)).mean()
    square = (draws**2).sum(axis=0)
    apart = square[:, None] + square[None, :] - 2.0 * (draws.T @ draws)  # (n, n)
    return float(distance - np.sqrt(np.maximum(apart, 0.0)).mean() / 2)


def variogram_score(
    scenarios: NDArray[np.floating], outcome: Floats, *, pairs: NDArray[np.intp], order: float = 0.5
) -> float:
    """Return the variogram score (Scheuerer and Hamill 2015) of scenarios (N, n) over ``pairs`` (P, 2), their mean.

    ``(|y_i - y_j|^p - mean |x_i - x_j|^p)^2`` with p = ``order``: it sees dependence that the energy score hardly does.
    """
    one, other = pairs.T
    draws = np.asarray(scenarios, dtype=np.float64)
    expected = np.array([(np.abs(draws[i] - draws[j]) ** order).mean() for i, j in zip(one, other, strict=True)])
    return float(((np.abs(outcome[one] - outcome[other]) ** order - expected) ** 2).mean())


def some_pairs(count: int, *, most: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return up to ``most`` distinct pairs (P, 2) of ``count`` members, drawn at random where there are more."""
    every = np.stack(np.triu_indices(count, k=1), axis=1)
    if len(every) <= most:
        return every
    return every[np.sort(generator.choice(len(every), size=most, replace=False))]
