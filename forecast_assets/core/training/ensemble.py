"""Combine fits of a fold: chosen one after another by what each adds on validation, median of means, quantiles sorted."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.quantile import pinball

Floats = NDArray[np.float64]


def choose_members(
    forecasts: Mapping[str, Floats], outcomes: Floats, *, members: int, groups: int, tolerance: float
) -> list[str]:
    """Return the names of at most ``members`` fits whose combination has the smallest pinball loss, in the order chosen.

    ``forecasts``: name -> quantiles (M, H, Q) at validation origins with ``outcomes`` (M, H), NaN where not matured. The
    best fit comes first, then each time the one with which the loss of ``median_of_means`` is smallest, until it rises by
    more than ``tolerance``: a fit that errs the other way is worth more than one that is better and errs alike. The loss
    is the mean over horizons of each one's, relative to the first member's. Ties go by name. Forward selection of Caruana
    et al. (2004), every fit at most once.
    A horizon without a matured outcome does not count. Raises ValueError where there is none at all.
    """
    matured = np.isfinite(outcomes).any(axis=0)  # (H,)
    if not matured.any():
        raise ValueError("ensemble: no outcome has matured in validation, fits cannot be compared")

    def loss(quantiles: Floats) -> Floats:
        losses = pinball(outcomes, quantiles, levels=QUANTILES).mean(axis=-1)
        return np.asarray(np.nanmean(losses[:, matured], axis=0))  # of each horizon that counts

    left = sorted(forecasts)
    alone = {name: loss(forecasts[name]) for name in left}
    smallest = np.min(list(alone.values()), axis=0)
    chosen = [min(left, key=lambda name: float((alone[name] / smallest).mean()))]
    unit, best = alone[chosen[0]], 1.0
    while len(chosen) < members:
        left.remove(chosen[-1])
        scores = {
            name: float(
                (loss(median_of_means(np.stack([forecasts[k] for k in (*chosen, name)]), groups=groups)) / unit).mean()
            )
            for name in left
        }
        if not scores or (found := min(scores.values())) > best + tolerance:
            break
        best = min(best, found)
        chosen.append(min(scores, key=lambda name: scores[name]))
    return chosen


def median_of_means(quantiles: Floats, *, groups: int) -> Floats:
    """Combine K members' forecasts: (K, M, H, Q) -> (M, H, Q).

    Members, in the order chosen, are dealt to groups like cards (member k to group k mod ``groups``); the mean within each
    group, then the median over groups, then quantiles sorted, since a median of ordered vectors need not be ordered.
    Lugosi and Mendelson (2019) on why a median of means survives one bad member.
    """
    used = min(groups, len(quantiles))
    means = np.stack([quantiles[group::used].mean(axis=0) for group in range(used)])
    return np.sort(np.median(means, axis=0), axis=-1)
