"""Attribution of forecasts to correlated tickers (neighbours)."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:  # its module imports torch
    from forecast_assets.core.models.attribution import Attribution

SHOWN = 12  # tickers in the table: those whose forecasts neighbours changed most
NAMED_NEIGHBOURS = 3  # neighbours listed of each


def neighbour_table(*, date: dt.date, attributions: "Mapping[str, Sequence[Attribution]]") -> pl.DataFrame:
    """Return date, ticker, rank, neighbour, correlation, added: the neighbours of each ticker, the largest effect first.

    ``added``: to the median of the next session's log return, over the sessions of the window; ``correlation``: at the
    forecast origin, null where it was a neighbour earlier only.
    """
    rows = [
        (date, ticker, rank, one.ticker, one.correlation, one.added)
        for ticker, several in attributions.items()
        for rank, one in enumerate(several, start=1)
    ]
    schema = {"date": pl.Date, "ticker": pl.String, "rank": pl.Int32, "neighbour": pl.String}
    return pl.DataFrame(rows, schema={**schema, "correlation": pl.Float64, "added": pl.Float64}, orient="row")


def most_moved(table: pl.DataFrame, *, shown: int = SHOWN, listed: int = NAMED_NEIGHBOURS) -> list[dict[str, Any]]:
    """Return ticker, date, total and its first ``listed`` ``neighbours`` (neighbour, correlation, added), for the ``shown``
    tickers whose forecasts all neighbours together changed most.
    """
    totals = table.group_by("ticker").agg(total=pl.col("added").sum(), size=pl.col("added").abs().sum())
    chosen = totals.sort(["size", "ticker"], descending=[True, False]).head(shown)
    found = []
    for ticker, total in chosen.select("ticker", "total").iter_rows():
        first = table.filter(pl.col("ticker") == ticker, pl.col("rank") <= listed).sort("rank")
        neighbours = first.select("neighbour", "correlation", "added").to_dicts()
        found.append({"ticker": ticker, "date": table["date"][0], "total": total, "neighbours": neighbours})
    return found
