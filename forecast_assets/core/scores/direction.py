"""Probability of a rise, from a few quantiles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.normal_scores import normal_score

Floats = NDArray[np.float64]


def probability_above(quantiles: ArrayLike, *, threshold: float = 0.0, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return the forecast probability of an outcome above ``threshold``: ``quantiles`` (..., L) -> (...) in [0, 1].

    The distribution function is interpolated in Normal scores, see ``normal_score``: for a Normal's quantiles it is its
    own, tails included; linear interpolation of the levels would be off by up to 3 points. Raises ValueError where
    quantiles and levels disagree.
    """
    from scipy.special import ndtr

    shape = np.shape(quantiles)[:-1]
    probability: Floats = 1.0 - ndtr(normal_score(np.full(shape, threshold), quantiles, levels=levels))
    return probability
