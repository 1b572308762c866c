"""Exponential averages of each segment, started from a plain mean as the books (and TA-Lib) do.

polars' own ``ewm_mean`` starts from the first value, which puts an RSI several points off for a hundred rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log, log1p

import numpy as np
import polars as pl

FORGOTTEN = 1e-16  # weight of a recursion's start below which it no longer counts


@dataclass(frozen=True)
class Ema:
    """y[first] = mean of the ``window`` values up to it, then y = (1 - alpha) y + alpha x; null before ``first``.

    Rows are counted from the first row given of the segment.
    """

    values: str  # column
    window: int
    alpha: float
    first: int

    @property
    def memory(self) -> int:
        """Number of rows after which the start no longer counts."""
        if self.alpha == 1:  # no average: each value as it is
            return self.first
        return self.first + ceil(log(FORGOTTEN) / log1p(-self.alpha))


def exponential_averages(rows: pl.DataFrame, averages: Mapping[str, Ema]) -> pl.DataFrame:
    """Return the ``averages`` as columns, one row per row of ``rows``, which has ``segment_id``, ascending, and ``row``."""
    last = max(ema.first for ema in averages.values())
    # A rolling mean and not a plain one: that adds in an order which depends on where in memory the values lie.
    seeds = rows.filter(pl.col("row") <= last).select(
        pl.col("row"),
        *(
            pl.col(ema.values).rolling_mean(ema.window).over("segment_id", mapping_strategy="explode").alias(name)
            for name, ema in averages.items()
        ),
    )
    starts = np.flatnonzero(rows["row"].to_numpy() == 0)
    lengths = np.diff(np.append(starts, rows.height))
    inputs = [rows["segment_id"].set_sorted()]
    for name, ema in averages.items():
        before = np.minimum(ema.first, lengths)  # rows of each segment that have no average yet
        blank = np.repeat(starts, before) + np.arange(before.sum()) - np.repeat(np.cumsum(before) - before, before)
        found = seeds.filter(pl.col("row") == ema.first)[name]
        first = starts[lengths > ema.first] + ema.first
        inputs.append(rows[ema.values].clone().scatter(blank, None).scatter(first, found).alias(name))
    grouped = pl.DataFrame(inputs).lazy().group_by("segment_id", maintain_order=True)
    averaged = grouped.agg(pl.col(name).ewm_mean(alpha=ema.alpha, adjust=False) for name, ema in averages.items())
    return averaged.select(list(averages)).explode(list(averages)).collect()
