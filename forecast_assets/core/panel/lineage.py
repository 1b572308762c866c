"""Whether a panel carries on an earlier one, by their rows; and tickers that were renamed."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import polars as pl

SAME_PANEL_SHARE = 0.5
"""Share of an earlier panel's rows that have to be there still: a panel that grew, was revised or lost a few tickers has
nearly all of them, and another market none."""

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class RowsKept(NamedTuple):
    """How many rows (ticker and date) of an earlier table there are, and how many of them a panel has still."""

    before: int
    kept: int

    @property
    def share(self) -> float:
        """0 where there were none to keep."""
        return self.kept / self.before if self.before else 0.0

    @property
    def same_panel(self) -> bool:
        """Whether the panel carries on that of the earlier table."""
        return self.share >= SAME_PANEL_SHARE


def rows_kept(before: pl.LazyFrame, now: pl.LazyFrame, *, renames: Mapping[str, str]) -> RowsKept:
    """Count the rows of ``before`` up to the last day of ``now``, and those that ``now`` has too.

    Both hold ticker and date. Later rows are left out, so that a replay of an earlier day has lost none.
    """
    keys = now.select("ticker", "date").unique()
    earlier = rename(before.select("ticker", "date"), renames).unique()
    earlier = earlier.join(now.select(last=pl.col("date").max()), how="cross").filter(pl.col("date") <= pl.col("last"))
    kept = earlier.join(keys.with_columns(kept=pl.lit(1)), on=["ticker", "date"], how="left")
    counted = kept.select(before=pl.len(), kept=pl.col("kept").count()).collect(engine="streaming")
    return RowsKept(*counted.row(0))


def latest_names(renames: Mapping[str, str]) -> dict[str, str]:
    """Return old ticker -> latest one, through chains. ``renames`` has no circle.

    >>> latest_names({"FB": "META", "META": "MTA"})
    {'FB': 'MTA', 'META': 'MTA'}
    """
    latest = {}
    for ticker, new in renames.items():
        while new in renames:
            new = renames[new]
        latest[ticker] = new
    return latest


def rename(frame: Frame, renames: Mapping[str, str]) -> Frame:
    """Return ``frame`` with each ticker under its latest name."""
    return frame.with_columns(pl.col("ticker").replace(latest_names(renames))) if renames else frame
