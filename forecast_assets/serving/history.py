"""Look-up in the panel by ticker and day: the row to forecast from, exchange sessions, recent closes."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.windows.days import to_date, to_day
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.http_error import HttpError

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

    def find(self, ticker: str, day: int) -> int | None:
        """Return the row of ``ticker`` on ``day``, None where there is none or no quote."""
        if ticker not in self.span:
            return None
        row, stop = self._place(ticker, day), self.span[ticker][1]
        return row if row < stop and self.date[row] == day and bool(self.panel.observed[row]) else None

    def row(self, ticker: str, day: int) -> int:
        """Return the row of ``ticker`` on ``day``. Raises HttpError where there is none or no quote."""
        if (found := self.find(ticker, day)) is not None:
            return found
        start, stop = self.span[ticker]
        row = self._place(ticker, day)
        has_row = row < stop and self.date[row] == day
        date, exchange = to_date(day), self.exchange[ticker]
        if row == stop:
            last = to_date(self.latest(ticker))
            raise HttpError(422, "future", f"{ticker}: {date} is after its last session in the panel, {last}.")
        if row == start and not has_row:
            begin = to_date(int(self.date[start]))
            raise HttpError(422, "before_history", f"{ticker}: {date} is before its history, which begins {begin}.")
        before = self.sessions[exchange][bisect_right(self.sessions[exchange], day) - 1]
        if has_row or before == day:
            raise HttpError(422, "no_quote", f"{ticker}: it was not quoted on {date}; choose another session.")
        sentence = f"{ticker}: {date} is no session of {exchange}; the one before is {to_date(before)}."
        raise HttpError(422, "not_a_session", sentence)

    def _place(self, ticker: str, day: int) -> int:
        """Return the first row of ``ticker`` on or after ``day``."""
        start, stop = self.span[ticker]
        return start + int(np.searchsorted(self.date[start:stop], day))


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
