"""Reject rows of days that had not begun when their file was first read: whatever they are, they are no quotes.

One of them would end the panel on its day: that day's night would be run, and the nights up to it would not.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from forecast_assets.core.panel.sessions import day_begun

FIRST, LAST = dt.timedelta(hours=14), dt.timedelta(hours=-12)
"""From UTC to the places on earth where a day begins first and last."""


def reject_far(typed: pl.DataFrame, *, seen: dt.datetime) -> pl.DataFrame:
    """Add ``reason`` and ``class`` to typed rows of days that had begun nowhere when their file was first ``seen``."""
    ahead = (pl.col("date") > (seen.astimezone(dt.UTC) + FIRST).date()).fill_null(False) & pl.col("reason").is_null()
    return typed.with_columns(
        reason=pl.when(ahead).then(_reason(pl.lit(_text(seen)))).otherwise("reason"),
        **{"class": pl.when(ahead).then(pl.lit("invalid")).otherwise("class")},
    )


def reject_near(rows: pl.DataFrame, *, seen: Sequence[dt.datetime | None]) -> pl.DataFrame:
    """Add a ``reason`` to rows (file_no, exchange, date) of days that had not begun at their exchange.

    ``seen``: when each file was first read, by its number; None: unknown, and nothing is rejected.
    """
    known = [moment.astimezone(dt.UTC) for moment in seen if moment is not None]
    if not known:
        return rows
    late = rows.filter((pl.col("date") > (min(known) + LAST).date()) & pl.col("exchange").is_not_null())
    begun = [
        {"file_no": number, "exchange": exchange, "begun": day_begun(exchange, moment), "seen": _text(moment)}
        for number, exchange in late.select("file_no", "exchange").unique().iter_rows()
        if (moment := seen[number]) is not None
    ]
    if not begun:
        return rows
    types: dict[str, Any] = {
        "file_no": rows.schema["file_no"],
        "exchange": pl.String,
        "begun": pl.Date,
        "seen": pl.String,
    }
    marked = rows.join(pl.DataFrame(begun, schema=types), on=["file_no", "exchange"], how="left", maintain_order="left")
    ahead = (pl.col("date") > pl.col("begun")).fill_null(False)
    reason = pl.coalesce("reason", pl.when(ahead).then(_reason(pl.col("seen"))))
    return marked.with_columns(reason=reason).drop("begun", "seen")


def _reason(seen: pl.Expr) -> pl.Expr:
    return pl.format("{} had not begun when the file was first read, at {} UTC", "date", seen)


def _text(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}"
