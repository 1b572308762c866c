"""Contagion, looked at from outside: whose moves are in whose forecast."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

if TYPE_CHECKING:
    pass

SHOWN = 12
"""Tickers that are shown: those whose forecasts neighbours moved most."""

NAMED_NEIGHBOURS = 3
"""Neighbours that are named of each."""


class Attribution(Protocol):
    """A neighbour of a decision, see ``core.models.influence.Attribution``."""

    @property
    def ticker(self) -> str: ...
    @property
    def correlation(self) -> float | None: ...
    @property
    def added(self) -> float: ...


def neighbour_table(*, date: dt.date, heard: Mapping[str, Sequence[Attribution]]) -> pl.DataFrame:
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


def most_moved(table: pl.DataFrame, *, shown: int = SHOWN, told: int = NAMED_NEIGHBOURS) -> list[dict[str, Any]]:
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
