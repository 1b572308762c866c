"""Sessions on days an exchange's calendar calls closed: real where its tickers traded together, else an error of one.

A special session rests on rows up to its day alone. Only tickers vote whose exchange is sure by then: by name, or by
the dates of first quotes that lie before it (see ``exchanges``).
"""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.exchanges import WEAK
from forecast_assets.core.panel.rows import PRICES
from forecast_assets.core.panel.sessions import closed_days, sessions

LIVE_SESSIONS = 5  # a ticker counts as live that was quoted within so many sessions before
FEWEST_TICKERS = 2

SPECIAL = {"exchange": pl.String, "date": pl.Date, "traded": pl.UInt32, "live": pl.UInt32}


def special_sessions(quotes: pl.LazyFrame, *, placed: pl.DataFrame) -> pl.DataFrame:
    """Return the closed days that count as sessions (columns ``SPECIAL``).

    On such a day at least two tickers of the exchange that are live, and at least half of the live ones, have a quote with
    volume. ``quotes``: ticker, date and volume of all usable rows; ``placed``: see ``place_tickers``.
    """
    voters = placed.select(
        "ticker",
        # By name even where the ticker is refused later: rows after the day must not change its vote.
        exchange=pl.when(pl.col("assigned_by").is_in([*WEAK, "dates"])).then("exchange").otherwise("named"),
        since=pl.when(pl.col("assigned_by").is_in([*WEAK, "dates"])).then(pl.coalesce("settled", pl.lit(dt.date.max))),
    ).filter(pl.col("exchange").is_not_null())
    votes = (
        quotes.select("ticker", "date", traded=(pl.col("volume") > 0).fill_null(False))
        .join(voters.lazy(), on="ticker", how="inner")
        .filter((pl.col("date") > pl.col("since")).fill_null(True))
    )
    traded = votes.filter("traded")
    counts = traded.group_by("exchange", "date").agg(pl.len()).collect(engine="streaming")
    days = closed_days(counts.filter(pl.col("len") >= FEWEST_TICKERS))
    if days.is_empty():
        return pl.DataFrame(schema=SPECIAL)
    live = (
        votes.join(_days_before(days).lazy(), on=["exchange", "date"], how="inner")
        .select("exchange", "ticker", date="day")
        .unique()
        .collect(engine="streaming")
    )
    on_day = traded.join(days.lazy(), on=["exchange", "date"], how="semi").select("exchange", "ticker", "date").unique()
    traded_live = live.join(on_day.collect(engine="streaming"), on=["exchange", "ticker", "date"], how="semi")
    counted = (
        live.group_by("exchange", "date")
        .agg(live=pl.len())
        .join(traded_live.group_by("exchange", "date").agg(traded=pl.len()), on=["exchange", "date"])
    )
    enough = (pl.col("traded") >= FEWEST_TICKERS) & (2 * pl.col("traded") >= pl.col("live"))
    return counted.filter(enough).select(*SPECIAL).sort("exchange", "date")


def _days_before(days: pl.DataFrame) -> pl.DataFrame:
    """Return (exchange, date, day): the dates from the fifth session before each closed ``day`` to the day before it."""
    found = []
    for (exchange,), part in days.group_by("exchange"):
        for day in part["date"]:
            before = sessions(str(exchange), day - dt.timedelta(days=40), day).tail(LIVE_SESSIONS)
            first = before[0] if len(before) else day
            found.append((str(exchange), day, first))
    spans = pl.DataFrame(found, schema={"exchange": pl.String, "day": pl.Date, "first": pl.Date}, orient="row")
    dates = pl.date_ranges("first", "day", closed="left")
    return spans.select("exchange", "day", date=dates).explode("date").drop_nulls("date")


def reject_closed_days(rows: pl.DataFrame, special: pl.DataFrame) -> pl.DataFrame:
    """Add a ``reason`` to ``rows`` on closed days that are no ``special`` sessions, and to untraded ones on any closed day.

    A quote with a missing volume is untraded only when it is flat (one price all day): a phantom, carried on by a feed.
    """
    closed = closed_days(rows.filter(pl.col("reason").is_null()))
    if closed.is_empty():
        return rows
    closed = closed.join(special, on=["exchange", "date"], how="left").select(
        "exchange", "date", is_special=pl.col("traded").is_not_null()
    )
    others = rows.join(closed, on=["exchange", "date"], how="anti", maintain_order="left")
    on_closed = rows.join(closed, on=["exchange", "date"], how="inner", maintain_order="left")
    flat = pl.all_horizontal((pl.col(name) == pl.col("close")).fill_null(True) for name in PRICES)
    untraded = (pl.col("volume") == 0) | (pl.col("volume").is_null() & flat)
    shown = pl.when(flat).then(pl.lit("flat quote")).otherwise(pl.lit("quote"))
    phantom = pl.format(
        "phantom: {} without volume on {}, when {} is closed", shown, pl.col("date"), pl.col("exchange")
    )
    alone = pl.format(
        "{} is closed on {}, and too few of its other tickers have a quote to confirm a session", "exchange", "date"
    )
    reason = pl.when(untraded).then(phantom).when(~pl.col("is_special")).then(alone)
    return pl.concat([others, on_closed.with_columns(reason=pl.coalesce("reason", reason)).drop("is_special")])
