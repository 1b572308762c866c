"""Rank information coefficient: the rank correlation of forecasts and outcomes within each day."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MIN_TICKERS = 3  # a day with fewer tickers is not ranked


def rank_ic(forecast: ArrayLike, y: ArrayLike, *, day: ArrayLike) -> Floats:
    """Return the Spearman correlation of forecast and outcome within each day.

    ``forecast``, ``y`` and ``day`` (M,) -> (days,), in the order of the sorted distinct days. Pairs with a NaN are
    left out; ties share their mean rank. A day with under three pairs, or with a constant side, has no correlation:
    NaN.
    """
    left, right = np.asarray(forecast, dtype=np.float64), np.asarray(y, dtype=np.float64)
    days, index = np.unique(np.asarray(day), return_inverse=True)
    known = ~(np.isnan(left) | np.isnan(right))
    left, right, index = left[known], right[known], index[known]
    count = np.bincount(index, minlength=len(days))
    a, b = (_centred_ranks(values, index, count) for values in (left, right))
    covariance, var_a, var_b = (np.bincount(index, x, minlength=len(days)) for x in (a * b, a * a, b * b))
    defined = (count >= MIN_TICKERS) & (var_a > 0) & (var_b > 0)
    return np.where(defined, covariance / np.sqrt(np.where(defined, var_a * var_b, 1.0)), np.nan)


def _centred_ranks(values: Floats, group: NDArray[np.intp], count: NDArray[np.intp]) -> Floats:
    """Return the rank of each value within its group (ties share the mean rank), less the group's mean rank."""
    order = np.argsort(values)
    narrow = group[order].astype(np.uint16 if len(count) <= 1 << 16 else np.int64)
    order = order[np.argsort(narrow, kind="stable")]  # a radix sort where 16 bits do: several times a lexsort's speed
    sorted_values, sorted_group = values[order], group[order]
    new_run = np.ones(len(values), dtype=bool)
    new_run[1:] = (sorted_values[1:] != sorted_values[:-1]) | (sorted_group[1:] != sorted_group[:-1])
    starts = np.flatnonzero(new_run)
    ends = np.append(starts[1:], len(values))
    run_rank = (starts + ends - 1) / 2.0  # in the whole sorted array; the group's offset is taken off below
    ranks = np.empty(len(values))
    ranks[order] = run_rank[np.cumsum(new_run) - 1]
    group_start = np.cumsum(count) - count
    return ranks - (group_start + (count - 1) / 2.0)[group]
