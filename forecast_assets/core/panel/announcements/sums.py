"""Sums whose rounding does not depend on where the data begin, end, or are cut into parts."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def trailing_sum(values: Floats, length: int, *, position: Ints | None = None) -> Floats:
    """Return the sums over the last ``length`` rows, along the first axis; over fewer where there are fewer.

    ``position`` (N,) is each row's number in its history, before which nothing is added. A sum is put together from sums of
    1, 2, 4, ... rows, so its rounding depends on its own rows alone: a running total would carry that of all before it.

    >>> trailing_sum(np.array([1.0, 2.0, 4.0, 8.0]), 3)
    array([ 1.,  3.,  7., 14.])
    >>> trailing_sum(np.array([1.0, 2.0, 4.0, 8.0]), 3, position=np.array([0, 1, 0, 1]))
    array([ 1.,  3.,  4., 12.])
    """
    total, power = np.zeros_like(values), values
    offset, size = 0, 1
    while length:
        if length & 1:
            total = total + lagged(power, offset, position=position)
            offset += size
        length >>= 1
        if length:
            power = power + lagged(power, size, position=position)
            size *= 2
    return total


def lagged(values: Floats, rows: int, *, position: Ints | None = None, fill: float = 0.0) -> Floats:
    """Return the values ``rows`` rows before, along the first axis; ``fill`` where the history begins later."""
    if rows == 0:
        return values
    moved = np.full_like(values, fill)
    moved[rows:] = values[:-rows]
    return moved if position is None else np.where(position >= rows, moved, fill)


def centred_sum(values: Floats, half: int) -> Floats:
    """Return the sums over ``half`` rows before to ``half`` rows after each row; rows beyond the edges count as zero.

    >>> centred_sum(np.array([1.0, 2.0, 4.0]), 1)
    array([3., 7., 6.])
    """
    padded = np.concatenate([values, np.zeros((half, *values.shape[1:]))])
    return trailing_sum(padded, 2 * half + 1)[half:]


class GroupSums:
    """Sums and counts by group, added row by row: how rows come in parts, or groups that stay empty, change no bit."""

    def __init__(self, groups: int) -> None:
        self.total, self.count = np.zeros(groups), np.zeros(groups)

    def add(self, values: Floats, group: Ints, *, counts: NDArray[np.bool_]) -> None:
        """Add the finite ``values`` of the rows that count, in their order."""
        chosen = counts & np.isfinite(values)
        np.add.at(self.total, group[chosen], values[chosen])
        self.count += np.bincount(group[chosen], minlength=len(self.count))

    def mean(self, group: Ints) -> Floats:
        """Return the mean of each row's group; NaN where it is empty."""
        empty = self.count == 0
        means = np.where(empty, np.nan, self.total / np.where(empty, 1.0, self.count))
        return means[group]

    def of_others(self, values: Floats, group: Ints, *, counts: NDArray[np.bool_], prior: float) -> Floats:
        """Return the mean of the other rows of each row's group, shrunk to zero by ``prior`` rows."""
        own = counts & np.isfinite(values)
        total = self.total[group] - np.where(own, values, 0.0)
        return total / (self.count[group] - own + prior)
