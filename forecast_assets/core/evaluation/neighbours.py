"""Contagion, looked at from outside: whose moves are in whose forecast."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.figure import GRID, INK, MUTED, PALETTE, SMALL, canvas, note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12
"""Tickers that are shown: those whose forecasts neighbours moved most."""

TOLD = 3
"""Neighbours that are named of each."""


class Heard(Protocol):
    """A neighbour of a decision, see ``core.models.influence.Heard``."""

    @property
    def ticker(self) -> str: ...
    @property
    def correlation(self) -> float | None: ...
    @property
    def added(self) -> float: ...


def neighbour_table(*, date: dt.date, heard: Mapping[str, Sequence[Heard]]) -> pl.DataFrame:
    """date, ticker, rank, neighbour, correlation, added: who was heard, by ticker, the most influential (rank 1) first.

    ``added``: to the median of the next session's log return, over the sessions of the window; ``correlation``: on the
    decision's own session, null where it was a neighbour earlier only.
    """
    rows = [
        (date, ticker, rank, one.ticker, one.correlation, one.added)
        for ticker, several in heard.items()
        for rank, one in enumerate(several, start=1)
    ]
    schema = {
        "date": pl.Date,
        "ticker": pl.String,
        "rank": pl.Int32,
        "neighbour": pl.String,
        "correlation": pl.Float64,
        "added": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def most_moved(table: pl.DataFrame, *, shown: int = SHOWN, told: int = TOLD) -> list[dict[str, Any]]:
    """ticker, date, total and its ``neighbours`` (neighbour, correlation, added): the tickers whose forecasts all neighbours
    together moved most, and the first ``told`` that they heard.
    """
    totals = table.group_by("ticker").agg(total=pl.col("added").sum(), size=pl.col("added").abs().sum())
    chosen = totals.sort(["size", "ticker"], descending=[True, False]).head(shown)
    return [
        {
            "ticker": ticker,
            "date": table["date"][0],
            "total": total,
            "neighbours": table.filter(pl.col("ticker") == ticker, pl.col("rank") <= told)
            .sort("rank")
            .select("neighbour", "correlation", "added")
            .to_dicts(),
        }
        for ticker, total in chosen.select("ticker", "total").iter_rows()
    ]


def neighbours_figure(title: str, table: pl.DataFrame) -> "Figure":
    """Bars of what the first neighbours, named with their correlations, added to the medians of the most moved tickers."""
    from matplotlib.ticker import MaxNLocator

    moved = most_moved(table)
    figure, (plot,) = canvas(title, height=1.0 + 0.6 * max(1, len(moved)), panels=1)
    engine = figure.get_layout_engine()
    assert engine is not None  # the canvas has one
    engine.set(rect=(0.03, 0.0, 0.97, 1.0))  # type: ignore[call-arg]  # room for the longest name
    plot.spines[["top", "right"]].set_visible(False)
    plot.spines[["left", "bottom"]].set_color(GRID)
    plot.tick_params(labelsize=SMALL, colors=MUTED, length=3)
    place = np.arange(len(moved))[::-1].astype(float)
    for k in range(TOLD):
        at = [
            (y - 0.29 * (k - 1), of["neighbours"][k])
            for y, of in zip(place, moved, strict=True)
            if k < len(of["neighbours"])
        ]
        plot.barh(
            [y for y, _ in at], [1e4 * one["added"] for _, one in at], height=0.24, color=PALETTE[0], alpha=1 - 0.25 * k
        )
        for y, one in at:
            known = "" if one["correlation"] is None else f" {one['correlation']:+.2f}"
            side = "left" if one["added"] >= 0 else "right"
            note(plot, 1e4 * one["added"], y, f" {one['neighbour']}{known} ", ha=side, va="center", color=INK)
    plot.set_yticks(place, [of["ticker"] for of in moved], fontsize=SMALL)
    plot.axvline(0, color=MUTED, linewidth=0.8)
    plot.margins(x=0.5, y=0.02)
    plot.xaxis.set_major_locator(MaxNLocator(nbins=4))
    plot.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
    plot.set_xlabel("added to the next session's median, basis points", fontsize=SMALL, color=MUTED)
    return figure
