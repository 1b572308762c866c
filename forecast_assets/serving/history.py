"""Look-up in the panel by ticker and day: the row to forecast from, what happened, exchange sessions, closes."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.http_error import HttpError

Days = NDArray[np.int32]
Floats = NDArray[np.float64]

SHOWN_CLOSES = 250  # before a forecast


@dataclass(frozen=True)
class History:
    """The panel's tensors, indexed by ticker and day."""

    panel: PanelTensors
    data_version: str
    date: Days  # (N,)
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

    def outcomes(self, ticker: str, days: Days) -> Floats:
        """Return the realised log returns (B, 3) of forecasts made on ``days`` (B,), NaN where not known yet or no label."""
        found = np.full((len(days), len(HORIZONS)), np.nan)
        if ticker in self.span:
            start, stop = self.span[ticker]
            place = np.minimum(start + np.searchsorted(self.date[start:stop], days), stop - 1)
            there = self.date[place] == days
            found[there] = self.panel.targets[torch.from_numpy(place[there])].numpy()
        return found

    def labels(self, ticker: str) -> tuple[str | None, str | None]:
        """Return sector and exchange of the ticker's last row, None for one that the panel has not."""
        if ticker not in self.span:
            return None, None
        return self.panel.sectors[int(self.panel.sector[self.span[ticker][1] - 1])], self.exchange[ticker]

    def _place(self, ticker: str, day: int) -> int:
        """Return the first row of ``ticker`` on or after ``day``."""
        start, stop = self.span[ticker]
        return start + int(np.searchsorted(self.date[start:stop], day))


@dataclass(frozen=True)
class Closes:
    """The closes of N rows of the panel, one per ticker and session, filled rows included."""

    date: Days  # (N,) days since 1970-01-01, ascending within a ticker
    close: Floats  # (N,)
    quoted: NDArray[np.bool_]  # (N,) False on a filled row
    segment: NDArray[np.int32]  # (N,) no forecast reaches beyond its own
    span: Mapping[str, tuple[int, int]]  # ticker -> its rows [start, stop)

    @classmethod
    def none(cls) -> "Closes":
        """Return no closes."""
        return cls(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int32), {})

    @classmethod
    def read(cls, table: pl.LazyFrame) -> "Closes":
        """Read the closes of a calendar panel."""
        rows = table.select("ticker", "date", "close", "is_missing", "segment").sort("ticker", "date").collect()
        counts = rows.group_by("ticker", maintain_order=True).len()
        stops = counts["len"].cum_sum().to_list()
        return cls(
            date=rows["date"].cast(pl.Int32).to_numpy(),
            close=rows["close"].to_numpy(),
            quoted=~rows["is_missing"].to_numpy(),
            segment=rows["segment"].cast(pl.Int32).to_numpy(),
            span=dict(zip(counts["ticker"].to_list(), zip([0, *stops[:-1]], stops, strict=True), strict=True)),
        )

    def up_to(self, ticker: str, day: int) -> list[tuple[dt.date, float]]:
        """Return (date, close) of the ticker's last quotes until ``day``, ascending; empty where the panel has none."""
        start, stop = self.span.get(ticker, (0, 0))
        until = start + int(np.searchsorted(self.date[start:stop], day, side="right"))
        rows = np.arange(start, until)[self.quoted[start:until]][-SHOWN_CLOSES:].tolist()
        return [(to_date(int(self.date[row])), float(self.close[row])) for row in rows]

    def after(self, ticker: str, day: int) -> list[tuple[int, dt.date, float]]:
        """Return (sessions ahead, date, close) of the quotes that the forecast made on ``day`` is about, as far as known."""
        start, stop = self.span.get(ticker, (0, 0))
        origin = start + int(np.searchsorted(self.date[start:stop], day))
        if origin == stop or self.date[origin] != day:
            return []
        rows = range(origin + 1, min(origin + HORIZONS[-1], stop - 1) + 1)
        known = (row for row in rows if self.quoted[row] and self.segment[row] == self.segment[origin])
        return [(row - origin, to_date(int(self.date[row])), float(self.close[row])) for row in known]
