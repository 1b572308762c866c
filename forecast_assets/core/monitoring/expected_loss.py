"""The loss that a forecast expects of itself: of its outcome, if that follows the distribution forecast.

Known when the forecast is made, where the loss itself is known only once its outcome has matured. For a calibrated forecast
the two agree on average, so a rise of the expected loss announces a rise of the loss; what calibration misses it can't show
(confidence-based performance estimation, as in NannyML's CBPE, here for quantiles).
"""

import numpy as np
from numpy.typing import ArrayLike

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.quantile import Floats


def expected_pinball(quantiles: ArrayLike) -> Floats:
    """Return the expected pinball loss of forecasts, mean over ``QUANTILES``.

    ``quantiles`` (..., L) non-decreasing -> (...), in their unit. The distribution is that of ``scores.quantile.pit``:
    linear between quantiles, exponential beyond the outer two. Under it the loss at level p with quantile q is

        E[pinball] = p E[Y] - integral of the quantile function from 0 to p

    which is linear in the quantiles, so that one weight a level does it.
    """
    weighted: Floats = np.asarray(quantiles, dtype=np.float64) @ _WEIGHTS
    return weighted


def _weights() -> Floats:
    """Return the weights (L,) of the quantiles in the expected loss; they add up to 0."""
    level = np.array(QUANTILES)
    count = len(level)
    mass = np.diff(level)
    unit = np.eye(count)
    # Integral of the quantile function over each piece, as weights of the quantiles: lower tail, pieces, upper tail.
    lower, upper = level[0], 1.0 - level[-1]
    pieces = [
        lower * unit[0] - lower**2 * (unit[1] - unit[0]) / mass[0],
        *(mass[k] * (unit[k] + unit[k + 1]) / 2.0 for k in range(count - 1)),
        upper * unit[-1] + upper**2 * (unit[-1] - unit[-2]) / mass[-1],
    ]
    up_to = np.cumsum(pieces, axis=0)  # (L + 1, L): from 0 to each level, and to 1
    weights: Floats = (level[:, None] * up_to[-1] - up_to[:-1]).mean(axis=0)
    return weights


_WEIGHTS = _weights()
