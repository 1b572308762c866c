"""Scores that only tests and benchmarks need."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from forecast_assets.core.scores.quantile import pinball


def mean_pinball(y: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float]) -> float:
    """Pinball loss averaged over levels and matured observations."""
    return float(np.nanmean(pinball(y, quantiles, levels=levels)))
