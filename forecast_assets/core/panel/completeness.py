"""Whether a session is complete: which tickers of each exchange have no row of it yet, and which came late.

A file that is still being copied, an exchange whose file is late and a feed that stopped look alike: tickers that were
quoted on the last sessions of their exchange have no row of this one. One that has been missing for longer has ended, and is
not waited for any more.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from forecast_assets.core.horizons import LOOK_AHEAD
from forecast_assets.core.panel.sessions import closes, sessions

DAYS_KEPT = 40  # calendar days whose rows are kept: of older sessions nobody asks whether they are complete
LAST_SESSIONS = 3  # with quotes of the exchange, on one of which a ticker must have been quoted to be expected
DAYS_BACK = 14  # calendar days within which those are looked for
NAMED = 3  # tickers that a sentence names

QUOTES = {"exchange": pl.String, "ticker": pl.String, "date": pl.Date}


@dataclass(frozen=True)
class ExchangePrices:
    """What an exchange has of one of its sessions."""

    exchange: str
    expected: int  # tickers that were quoted on its last sessions
    missing: tuple[str, ...]  # those of them without a row, sorted

    @property
    def share(self) -> float:
        """Return the share of the expected tickers that have a row."""
        return 1 - len(self.missing) / self.expected

    def __str__(self) -> str:
        names = ", ".join(self.missing[:NAMED])
        more = f" and {len(self.missing) - NAMED} more" if len(self.missing) > NAMED else ""
        return (
            f"{self.expected - len(self.missing)} of {self.expected} tickers of {self.exchange}, without {names}{more}"
        )


def recent_quotes(rows: pl.LazyFrame, *, last: dt.date) -> pl.DataFrame:
    """Return the columns ``QUOTES`` of the raw panel's rows in the ``DAYS_KEPT`` days up to its ``last`` one, sorted."""
    kept = rows.filter(pl.col("date") > last - dt.timedelta(days=DAYS_KEPT)).select(*QUOTES)
    return kept.sort("exchange", "ticker", "date").collect(engine="streaming")


def prices_of(quotes: pl.DataFrame, day: dt.date) -> list[ExchangePrices]:
    """Return what each exchange that has a session on ``day`` has of it; ``quotes``: columns ``QUOTES``.

    An exchange without a quote in the ``DAYS_BACK`` days before expects nothing, and is left out.
    """
    found = []
    for (exchange,), part in quotes.sort("exchange").group_by("exchange", maintain_order=True):
        before = part.filter(pl.col("date").is_between(day - dt.timedelta(days=DAYS_BACK), day, closed="left"))
        if before.is_empty() or sessions(str(exchange), day, day).is_empty():
            continue
        last = before["date"].unique().sort().tail(LAST_SESSIONS)
        expected = set(before.filter(pl.col("date").is_in(last.implode()))["ticker"])
        missing = expected - set(part.filter(pl.col("date") == day)["ticker"])
        found.append(ExchangePrices(str(exchange), len(expected), tuple(sorted(missing))))
    return found


def incomplete(prices: Iterable[ExchangePrices], *, share: float) -> list[ExchangePrices]:
    """Return the exchanges of which less than ``share`` of the expected tickers have a row."""
    return [found for found in prices if found.share < share]


def last_close(exchanges: Iterable[str], day: dt.date) -> dt.datetime | None:
    """Return when the last of ``exchanges`` closes that has a session on ``day``, in UTC; None where none has."""
    return max((_utc(close) for mic in exchanges for close in closes(mic, day, day)["close"]), default=None)


def may_still_be_issued(exchange: str, day: dt.date, *, now: dt.datetime) -> bool:
    """Return whether a forecast at the close of ``day`` has no outcome yet: the exchange has not closed since."""
    following = closes(exchange, day + dt.timedelta(days=1), day + LOOK_AHEAD)["close"]
    return now < _utc(following[0])


def late_tickers(quotes: pl.DataFrame, day: dt.date, *, forecast: Collection[str], now: dt.datetime) -> list[str]:
    """Return the tickers with a row of ``day`` that are not among those ``forecast``, and may still be: sorted."""
    rows = quotes.filter((pl.col("date") == day) & ~pl.col("ticker").is_in(list(forecast)))
    open_still = [mic for mic in rows["exchange"].unique() if may_still_be_issued(mic, day, now=now)]
    return rows.filter(pl.col("exchange").is_in(open_still))["ticker"].sort().to_list()


def in_words(prices: Sequence[ExchangePrices]) -> str:
    """Return what is there and what is not, for a sentence."""
    return "; ".join(map(str, prices))


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC)
