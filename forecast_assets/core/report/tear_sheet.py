"""The tear sheet of a book: returns by month and the worst drawdowns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.report.formats import percent
from forecast_assets.core.scores.trading import drawdown

DRAWDOWNS = 5
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def tear_sheet(daily: pl.DataFrame, *, strategy: str) -> dict[str, Any]:
    """Return ``monthly`` and ``drawdowns`` of a strategy's net returns. ``daily``: joined table of all strategies."""
    book = daily.filter(pl.col("strategy") == strategy).sort("date")
    return {"monthly": monthly_returns(book), "drawdowns": worst_drawdowns(book)}


def monthly_returns(book: pl.DataFrame) -> list[dict[str, Any]]:
    """Return year, months (12 compounded net returns, None where there is no session) and the year's total, by year."""
    growth = (1.0 + pl.col("net_return")).product() - 1.0
    rows = []
    for (year,), part in book.group_by(pl.col("date").dt.year(), maintain_order=True):
        by_month = dict(part.group_by(pl.col("date").dt.month(), maintain_order=True).agg(growth).iter_rows())
        months = [by_month.get(month) for month in range(1, 13)]
        rows.append({"year": year, "months": months, "total": part.select(growth).item()})
    return rows


def worst_drawdowns(book: pl.DataFrame, *, count: int = DRAWDOWNS) -> list[dict[str, Any]]:
    """Return the deepest falls from a peak, deepest first: peak, trough, recovered (None: not yet), depth, sessions.

    The peak is the last session at it (the first session where the book never rose above its start); ``sessions`` are
    those below the peak. Depth is negative, a fraction.
    """
    dates, depth = book["date"].to_list(), drawdown(book["net_return"].to_numpy())
    below = np.concatenate([[False], depth < 0, [False]])
    starts, ends = np.flatnonzero(below[1:] & ~below[:-1]), np.flatnonzero(below[:-1] & ~below[1:])
    falls = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):  # sessions start to end - 1 are below the peak
        trough = int(start + np.argmin(depth[start:end]))
        falls.append(
            {
                "peak": dates[max(start - 1, 0)],
                "trough": dates[trough],
                "recovered": dates[end] if end < len(dates) else None,
                "depth": float(depth[trough]),
                "sessions": int(end - start),
            }
        )
    return sorted(falls, key=lambda fall: (fall["depth"], fall["peak"]))[:count]


def heat_cells(monthly: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return year and cells of each row of the heat map: text, direction (gain, loss or none) and weight in whole percent.

    The month that moved most has the full weight. The last cell is the year's total, without a colour.
    """
    reach = max((abs(value) for row in monthly for value in row["months"] if value is not None), default=0.0)
    rows = []
    for row in monthly:
        cells = [_cell(value, reach=reach) for value in row["months"]]
        rows.append({"year": row["year"], "cells": cells, "total": percent(row["total"])})
    return rows


def _cell(value: float | None, *, reach: float) -> dict[str, Any]:
    if value is None:
        return {"text": "", "direction": "none", "weight": 0}
    direction = "gain" if value > 0 else "loss" if value < 0 else "none"
    return {
        "text": percent(value),
        "direction": direction,
        "weight": round(100 * abs(value) / reach) if reach else 0,
    }
