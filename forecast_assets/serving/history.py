"""Look-up in the panel by ticker and day: the row to forecast from, exchange sessions, recent closes."""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.http_error import HttpError

UNPROCESSABLE = 422
SHOWN_CLOSES = 250


@dataclass(frozen=True)
class History:
    """The panel's tensors, indexed by ticker and day."""

    panel: PanelTensors
    data_version: str
    date: NDArray[np.int32]  # (N,)
    span: Mapping[str, tuple[int, int]]  # ticker -> its rows [start, stop)
    exchange: Mapping[str, str]  # ticker -> MIC
    sessions: Mapping[str, tuple[int, ...]]  # MIC -> its days over the panel, ascending

    @classmethod
    def of(cls, panel: PanelTensors, *, data_version: str) -> "History":
        """Index ``panel`` and build its exchange calendars, so that no request waits for one."""
        code, date = panel.ticker.numpy(), panel.date.numpy()
        first = np.searchsorted(code, np.arange(len(panel.tickers) + 1)).tolist()
        span = {name: (first[k], first[k + 1]) for k, name in enumerate(panel.tickers) if first[k + 1] > first[k]}
        start, end = to_date(int(date.min())), to_date(int(date.max()))
        days = {name: tuple(sessions(name, start, end).cast(pl.Int32).to_list()) for name in panel.exchanges}
        exchange = {name: panel.exchanges[int(panel.exchange[rows[0]])] for name, rows in span.items()}
        return cls(panel, data_version, date, span, exchange, days)

    def latest(self, ticker: str) -> int:
        """Return the day of the ticker's last row."""
        return int(self.date[self.span[ticker][1] - 1])

    def row(self, ticker: str, day: int) -> int:
        """Return the row of ``ticker`` on ``day``. Raises HttpError where there is none or no quote."""
        start, stop = self.span[ticker]
        row = start + int(np.searchsorted(self.date[start:stop], day))
        date = to_date(day)
        if row == stop:
            last = to_date(self.latest(ticker))
            raise HttpError(
                UNPROCESSABLE, "future", f"{ticker}: {date} is after its last session in the panel, {last}."
            )
        if self.date[row] == day:
            if not bool(self.panel.observed[row]):
                raise HttpError(
                    UNPROCESSABLE, "no_quote", f"{ticker}: it was not quoted on {date}; choose another session."
                )
            return row
        if row == start:
            begin = to_date(int(self.date[start]))
            raise HttpError(
                UNPROCESSABLE, "before_history", f"{ticker}: {date} is before its history, which begins {begin}."
            )
        exchange = self.exchange[ticker]
        days = self.sessions[exchange]
        at = bisect_left(days, day)
        if at < len(days) and days[at] == day:
            raise HttpError(
                UNPROCESSABLE, "no_quote", f"{ticker}: it was not quoted on {date}; choose another session."
            )
        before = to_date(days[bisect_right(days, day) - 1])
        sentence = f"{ticker}: {date} is no session of {exchange}; the one before is {before}."
        raise HttpError(UNPROCESSABLE, "not_a_session", sentence)


@dataclass(frozen=True)
class Closes:
    """The last closes of each ticker."""

    of: Mapping[str, tuple[tuple[dt.date, float], ...]]

    @classmethod
    def read(cls, table: pl.LazyFrame) -> "Closes":
        """Read the closes of a calendar panel, without filled rows."""
        last = (
            table.filter(~pl.col("is_missing"))
            .select("ticker", "date", "close")
            .sort("ticker", "date")
            .group_by("ticker", maintain_order=True)
            .tail(SHOWN_CLOSES)
            .collect()
        )
        return cls(
            {
                str(part["ticker"][0]): tuple(zip(part["date"].to_list(), part["close"].to_list(), strict=True))
                for part in last.partition_by("ticker", maintain_order=True)
            }
        )

    def up_to(self, ticker: str, day: int) -> list[tuple[dt.date, float]]:
        """Return (date, close) of ``ticker`` until ``day``, ascending; empty where the panel has none."""
        return [(date, close) for date, close in self.of.get(ticker, ()) if to_day(date) <= day]
