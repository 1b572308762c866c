"""Where the windows of a task are cut: days of the walk-forward between which the longest label ends on every exchange."""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.sessions import sessions

Days = NDArray[np.datetime64]


def exchange_sessions(panel: pl.DataFrame) -> dict[str, Days]:
    """Return the sessions (S,) of each exchange from the panel's first day to its last, ascending.

    ``panel``: (exchange, date, is_missing). As the targets count them: the calendar's, and special ones with a quote.
    """
    first, last = panel["date"].min(), panel["date"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    quoted = panel.filter(~pl.col("is_missing")).select("exchange", "date").unique()
    found = {}
    for (exchange,), days in sorted(quoted.group_by("exchange")):
        both = pl.concat([sessions(str(exchange), first, last), days["date"]]).unique().sort()
        found[str(exchange)] = both.to_numpy().astype("datetime64[D]")
    return found


def choose_cutoffs(own: Mapping[str, Days], *, first: dt.date, last: dt.date, every: int) -> Days:
    """Return the cutoffs (K,): each the close of a day on which some exchange trades, in [``first``, ``last``].

    The first one is the day by which every exchange has traded from ``first`` on, so that all labels count from there.
    Between two of them, and after the last one, every exchange has at least ``every`` sessions, so that the labels of one
    window have ended by the cutoff of the next. Raises BadInput where that is shorter than the longest label, or where the
    panel ends before the labels of a first window.
    """
    if every < HORIZONS[-1]:
        raise BadInput(
            f"{every} sessions between two cutoffs are fewer than the {HORIZONS[-1]} of the longest label: windows would "
            f"share outcomes; take {HORIZONS[-1]} or more"
        )
    union = np.unique(np.concatenate(list(own.values())))
    begin, end = np.datetime64(first), np.datetime64(last)
    chosen: list[np.datetime64] = []
    opens = [days[days >= begin][0] for days in own.values() if days[-1] >= begin]
    later = union[union >= max(opens, default=begin)]
    while len(later) and later[0] <= end:
        cutoff = later[0]
        ends = [
            days[done - 1 + every] for days in own.values() if (done := closed_by(days, cutoff)) + every <= len(days)
        ]
        if len(ends) < len(own):
            break
        chosen.append(cutoff)
        later = union[union >= max(ends)]
    if not chosen:
        raise BadInput(
            f"no cutoff from {first} to {last} has {every} sessions of every exchange after it in this panel, which ends "
            f"on {union[-1]}; name earlier years with --years, or give a longer panel"
        )
    return np.array(chosen, dtype="datetime64[D]")


def closed_by(days: Days, cutoff: np.datetime64) -> int:
    """Return how many of an exchange's sessions ``days`` (S,) have closed by the end of the day ``cutoff``."""
    return int(np.searchsorted(days, cutoff, side="right"))
