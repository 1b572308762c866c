"""Joining the years: one book over consecutive years, simulated in one piece, and the proof that years add up to it."""

from dataclasses import replace

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.simulate import Terms, trade_forecasts

COMPARED = ("gross_return", "cost", "net_return", "turnover", "gross_exposure", "net_exposure")


def year_by_year(decisions: pl.DataFrame, terms: Terms) -> list[Simulation]:
    """Trade joined decisions one calendar year after the other, each opening with the closing book of the one before.

    A year opens with the weights that the last session left, the orders that wait, and the decisions whose tranches are
    still in force; its last session runs to the next year's first open, where the view has it.
    """
    first = decisions.filter(pl.col("split") == "test").select(pl.col("date").min()).item()
    dates = pl.Series(terms.view.dates).cast(pl.Date)
    ends = dates.filter(dates >= first).to_frame("date").group_by(pl.col("date").dt.year().alias("year")).max()
    books: list[Simulation] = []
    for end in ends.sort("year")["date"]:
        carried = replace(terms, continues=books[-1] if books else None, through=end)
        books.append(trade_forecasts(decisions.filter(pl.col("date") <= end), carried))
    return books


def joining_error(one_piece: Simulation, years: list[Simulation]) -> float:
    """Return the largest absolute difference of the daily figures of a book in one piece from those of its years.

    Raises ValueError where they cover other sessions; NaN where a figure is undefined.
    """
    joined = pl.concat(book.daily for book in years)
    if not joined["date"].equals(one_piece.daily["date"]):
        raise ValueError(
            f"joining: the years hold {len(joined)} sessions, the book in one piece {len(one_piece.daily)}, and not the same"
        )
    difference = joined.select(COMPARED).to_numpy() - one_piece.daily.select(COMPARED).to_numpy()
    return float(np.abs(difference).max(initial=0.0))
