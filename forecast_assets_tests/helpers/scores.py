"""Scores, forecasts and alert rules that only tests and benchmarks need."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.monitoring.persistence import stays_on
from forecast_assets.core.scores.quantile import pinball

Floats = NDArray[np.float64]


def mean_pinball(y: ArrayLike, quantiles: ArrayLike, *, levels: Sequence[float]) -> float:
    """Pinball loss averaged over levels and matured observations."""
    return float(np.nanmean(pinball(y, quantiles, levels=levels)))


def normal_quantiles(mean: ArrayLike, sigma: ArrayLike, *, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return the quantiles (..., L) of Normals with ``mean`` (...) and ``sigma`` (...); ValueError unless sigma > 0."""
    location, scale = np.asarray(mean, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    if (bad := int((~(scale > 0)).sum())) > 0:
        raise ValueError(f"normal_quantiles: {bad} of {scale.size} sigmas are not positive")
    z = np.array([NormalDist().inv_cdf(level) for level in levels])
    return location[..., None] + scale[..., None] * z  # (...) -> (..., L)


def persistent(firing: NDArray[np.bool_], *, confirm: int, release: int) -> NDArray[np.bool_]:
    """Return the evaluations (n,) at which an episode was on, by the rule of ``stays_on`` applied one by one."""
    on, states = False, np.zeros(len(firing), dtype=bool)
    for k in range(len(firing)):
        last = firing[max(0, k + 1 - max(confirm, release)) : k + 1].tolist()
        states[k] = on = stays_on(last, on=on, confirm=confirm, release=release)
    return states
