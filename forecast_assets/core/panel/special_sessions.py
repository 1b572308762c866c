"""Sessions on days an exchange's calendar calls closed: real where its tickers traded together, else an error of one.

A special session rests on rows up to its day alone: who votes for it follows from names, and from first quotes that lie
before it (see ``exchanges``). A ticker that no other of its exchange stands beside gets the sessions it traded in on
weekdays: it moves nobody else's calendar.
"""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.exchange_names import COINS
from forecast_assets.core.panel.exchanges import WEAK
from forecast_assets.core.panel.rows import PRICES
from forecast_assets.core.panel.sessions import closed_days, sessions

LIVE_SESSIONS = 5  # a ticker counts as live that was quoted within so many sessions before
FEWEST_TICKERS = 2

SPECIAL = {"exchange": pl.String, "date": pl.Date, "traded": pl.UInt32, "live": pl.UInt32}
KEYS = ["exchange", "date"]


def special_sessions(quotes: pl.LazyFrame, *, placed: pl.DataFrame) -> pl.DataFrame:
    """Return the closed days that count as sessions (columns ``SPECIAL``), by exchange and date.

    On such a day at least two tickers of the exchange that are live, and at least half of the live ones, have a quote
    that traded; or its one ticker has. ``quotes``: ticker, date and numbers of all usable rows; ``placed``: see
    ``place_tickers``.
    """
    present = (
        quotes.select("ticker", "date", traded=~_untraded())
        .join(_presence(placed).lazy(), on="ticker", how="inner")
        .filter(pl.col("date").is_between("since", "until"))
    )
    traded = present.filter("traded")
    days = closed_days(traded.select(*KEYS).unique().collect(engine="streaming"))
    if days.is_empty():
        return pl.DataFrame(schema=SPECIAL)
    who, sure = [*KEYS, "ticker"], pl.col("sure").any()
    on_day = traded.join(days.lazy(), on=KEYS, how="semi").group_by(who).agg(sure)
    before = present.join(_days_before(days).lazy(), on=KEYS, how="inner").drop("date").rename({"day": "date"})
    met, live = pl.collect_all([on_day, before.group_by(who).agg(sure)], engine="streaming")
    counted = (
        live.join(met.select(*who, traded=pl.lit(True)), on=who, how="left")
        .filter(pl.col("sure") | (pl.col("date").dt.weekday() <= 5))
        .group_by(KEYS)
        .agg(traded=pl.col("traded").sum().cast(pl.UInt32), live=pl.len().cast(pl.UInt32))
    )
    # On the first days of an exchange nobody is live yet: those who trade are counted.
    first = (
        met.join(live.select(KEYS).unique(), on=KEYS, how="anti")
        .filter(pl.col("sure") | (pl.col("date").dt.weekday() <= 5))
        .group_by(KEYS)
        .agg(traded=pl.len().cast(pl.UInt32), live=pl.len().cast(pl.UInt32))
    )
    counted = pl.concat([counted, first])
    confirmed = counted.filter((pl.col("traded") >= FEWEST_TICKERS) & (2 * pl.col("traded") >= pl.col("live")))
    alone = (
        pl.concat([live, met])
        .group_by(KEYS)
        .agg(tickers=pl.n_unique("ticker"))
        .filter(pl.col("tickers") == 1, pl.col("date").dt.weekday() <= 5)
    )
    one = pl.lit(1, dtype=pl.UInt32)
    lone = alone.join(confirmed, on=KEYS, how="anti").select(*KEYS, traded=one, live=one)
    return pl.concat([confirmed.select(*SPECIAL), lone]).sort(KEYS)


def _flat() -> pl.Expr:
    return pl.all_horizontal((pl.col(name) == pl.col("close")).fill_null(True) for name in PRICES)


def _untraded() -> pl.Expr:
    """Return whether nothing was traded: no volume, or a missing one and one price all day."""
    return ((pl.col("volume") == 0) | (pl.col("volume").is_null() & _flat())).fill_null(False)


def _presence(placed: pl.DataFrame) -> pl.DataFrame:
    """Return (ticker, exchange, since, until, sure): on which exchange a ticker counts when, and whether it is sure.

    A name counts all the time, even where the ticker is refused in the end: rows after a day must not change its vote.
    A default counts, unsure, until the first quotes are complete; what they decide counts from then on. Who is unsure has
    no vote on a weekend: it may be a coin. A symbol that is a coin's has none before it is sure.
    """
    first, last = pl.lit(dt.date.min), pl.lit(dt.date.max)
    weak = pl.col("assigned_by").is_in([*WEAK, "dates"])
    is_coin = pl.col("ticker").str.to_uppercase().is_in(COINS)
    parts = [
        placed.filter(~weak).select("ticker", exchange="named", since=first, until=last, sure=pl.lit(True)),
        placed.filter(weak & ~is_coin).select(
            "ticker", exchange="named", since=first, until=pl.coalesce("settled", last), sure=pl.lit(False)
        ),
        placed.filter(weak & pl.col("settled").is_not_null()).select(
            "ticker", "exchange", since=pl.col("settled") + pl.duration(days=1), until=last, sure=pl.lit(True)
        ),
    ]
    return pl.concat(parts).filter(pl.col("exchange").is_not_null())


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


def phantom() -> pl.Expr:
    """Return the reason why an untraded row on a closed day is rejected."""
    shown = pl.when(_flat()).then(pl.lit("flat quote")).otherwise(pl.lit("quote"))
    return pl.format("phantom: {} without volume on {}, when {} is closed", shown, pl.col("date"), pl.col("exchange"))


def is_sure_phantom(rows: pl.DataFrame) -> pl.Series:
    """Mark the flat, untraded rows on closed days of an exchange that the name says for sure: nothing can confirm them."""
    idle = rows.select("exchange", "date", idle=_untraded() & _flat() & ~pl.col("assigned_by").is_in(WEAK))
    if not idle["idle"].any():
        return idle["idle"]
    closed = closed_days(idle.filter("idle")).with_columns(closed=pl.lit(True))
    marked = idle.join(closed, on=KEYS, how="left", maintain_order="left")
    return marked["idle"] & marked["closed"].fill_null(False)


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
    alone = pl.format("{} is closed on {}, and too few of its tickers traded to confirm a session", "exchange", "date")
    reason = pl.when(_untraded()).then(phantom()).when(~pl.col("is_special")).then(alone)
    return pl.concat([others, on_closed.with_columns(reason=pl.coalesce("reason", reason)).drop("is_special")])
