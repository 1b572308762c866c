"""Tests of value at risk: whether it is exceeded as often as promised, and whether exceedances come alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.scores.quantile import Floats


class LikelihoodRatio(NamedTuple):
    """A likelihood ratio test."""

    statistic: float
    p_value: float


def kupiec(exceeded: ArrayLike, *, level: float) -> LikelihoodRatio:
    """Test that a share ``1 - level`` of days (T,) exceeds the value at risk (Kupiec 1995, proportion of failures).

    Chi-squared with one degree of freedom. Raises ValueError without a day.
    """
    hits = _days(exceeded)
    total, count = len(hits), int(hits.sum())
    return _test(2 * (_likelihood(count, total, count / total) - _likelihood(count, total, 1 - level)), freedom=1)


def christoffersen_independence(exceeded: ArrayLike) -> LikelihoodRatio:
    """Test that an exceedance is as likely after one as after none (Christoffersen 1998), over days (T,) in order.

    First-order Markov against independence, chi-squared with one degree of freedom. Raises ValueError without a day.
    """
    hits = _days(exceeded)
    before, after = hits[:-1], hits[1:]
    ratio = -_likelihood(int(after.sum()), len(after), float(after.mean()) if len(after) else 0.0)
    for state in (False, True):
        following = after[before == state]
        if len(following):
            ratio += _likelihood(int(following.sum()), len(following), float(following.mean()))
    return _test(2 * ratio, freedom=1)


def christoffersen(exceeded: ArrayLike, *, level: float) -> LikelihoodRatio:
    """Test the number and the independence of exceedances together: conditional coverage (Christoffersen 1998).

    The sum of the two statistics, chi-squared with two degrees of freedom.
    """
    number, order = kupiec(exceeded, level=level), christoffersen_independence(exceeded)
    return _test(number.statistic + order.statistic, freedom=2)


def holm(p_values: Sequence[float]) -> Floats:
    """Return p values adjusted for their number (Holm 1979): below .05 is a rejection in a family with that error.

    NaN stays one and does not count.
    """
    given = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    adjusted = np.full(len(given), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted


def apart(days: NDArray[np.datetime64], label_end: NDArray[np.datetime64]) -> NDArray[np.intp]:
    """Return the rows of days (T,), ascending, whose outcomes do not overlap: each begins when the one before has ended."""
    kept: list[int] = []
    for row in range(len(days)):
        if not kept or days[row] >= label_end[kept[-1]]:
            kept.append(row)
    return np.array(kept, dtype=np.intp)


def _likelihood(count: int, total: int, share: float) -> float:
    from scipy.special import xlog1py, xlogy

    return float(xlogy(count, share) + xlog1py(total - count, -share))


def _test(statistic: float, *, freedom: int) -> LikelihoodRatio:
    from scipy.stats import chi2

    positive = max(statistic, 0.0)  # rounding of a ratio of one
    return LikelihoodRatio(positive, float(chi2.sf(positive, freedom)))


def _days(exceeded: ArrayLike) -> NDArray[np.bool_]:
    hits = np.asarray(exceeded, dtype=np.bool_)
    if hits.ndim != 1 or not len(hits):
        raise ValueError(f"exceedances of shape {hits.shape}: at least one day is needed")
    return hits
