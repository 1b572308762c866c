"""Change what raw rows hold from a day on, or who lists after it: nothing that is chosen before may change."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import polars as pl

PRICES = ("Opening Price", "High", "Low", "Closing Price")
FIRST_DRAWN = "NEW71"  # a name whose digest comes before those of the demo's and the reference panel's tickers

Change = Callable[[pl.DataFrame, dt.date], pl.DataFrame]
"""Raw rows as a user's file has them, and the first day that may change -> changed rows."""


def scaled(rows: pl.DataFrame, since: dt.date) -> pl.DataFrame:
    """Multiply prices by 1000."""
    later = pl.when(pl.col("Date") >= since)
    return rows.with_columns(later.then(pl.col(name) * 1000).otherwise(pl.col(name)) for name in _prices(rows))


def garbage(rows: pl.DataFrame, since: dt.date) -> pl.DataFrame:
    """Replace prices, volumes and sectors by what says nothing."""
    rng = np.random.default_rng(0)
    later = pl.when(pl.col("Date") >= since)
    price = pl.Series(np.exp(rng.normal(3, 2, rows.height)))
    volume = pl.Series(rng.integers(1, 10**6, rows.height)).cast(rows.schema["Volume"])
    return rows.with_columns(
        *(later.then(price).otherwise(pl.col(name)).alias(name) for name in _prices(rows)),
        later.then(volume).otherwise("Volume").alias("Volume"),
        later.then(pl.lit("Garbage")).otherwise("Sector").alias("Sector"),
    )


def dropped(rows: pl.DataFrame, since: dt.date) -> pl.DataFrame:
    """Leave the later rows out, but for the first session, by which the panel reaches its first test year."""
    first = rows.filter(pl.col("Date") >= since).select(pl.min("Date")).item()
    return rows.filter(pl.col("Date") <= first)


def with_a_later_listing(rows: pl.DataFrame, since: dt.date) -> pl.DataFrame:
    """Add a ticker, of a new sector, whose first session is not before the day."""
    model = rows["Ticker"].sort()[0]
    listing = rows.filter(pl.col("Ticker") == model, pl.col("Date") >= since)
    added = listing.with_columns(Ticker=pl.lit(FIRST_DRAWN), Sector=pl.lit("A new sector"))
    return pl.concat([rows, added]).sort("Date", "Ticker")


CHANGES: dict[str, Change] = {
    "prices times 1000": scaled,
    "garbage": garbage,
    "dropped": dropped,
    "a later listing": with_a_later_listing,
}


def _prices(rows: pl.DataFrame) -> list[str]:
    return [name for name in PRICES if name in rows.columns]
