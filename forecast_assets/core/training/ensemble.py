"""Combine the best fits of a fold: chosen by validation, median of means, quantiles sorted."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def choose_members(validation_pinball: Mapping[str, float], *, members: int) -> list[str]:
    """Return the names of the ``members`` fits with the smallest validation pinball, best first; ties by name."""
    return sorted(validation_pinball, key=lambda name: (validation_pinball[name], name))[:members]


def median_of_means(quantiles: NDArray[np.float64], *, groups: int) -> NDArray[np.float64]:
    """Combine K members' forecasts: (K, M, H, Q) -> (M, H, Q).

    Members, best first, are dealt to groups like cards (member k to group k mod ``groups``); the mean within each
    group, then the median over groups, then quantiles sorted, since a median of ordered vectors need not be ordered.
    Lugosi and Mendelson (2019) on why a median of means survives one bad member.
    """
    used = min(groups, len(quantiles))
    means = np.stack([quantiles[group::used].mean(axis=0) for group in range(used)])
    return np.sort(np.median(means, axis=0), axis=-1)
