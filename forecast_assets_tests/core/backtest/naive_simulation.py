"""The simulation's rules once more, as plain loops over dictionaries: the oracle of the vectorised one."""

import datetime as dt
from dataclasses import dataclass, field

import polars as pl

from forecast_assets.core.backtest.sizing import ALTERNATIONS, ROUNDING
from forecast_assets.core.specs import BacktestSpec

Book = dict[str, float]


@dataclass
class Day:
    """The oracle's results of one session."""

    date: dt.date
    gross: float = 0.0
    cost: float = 0.0
    turnover: float = 0.0
    weights: Book = field(default_factory=dict)


class NaiveSimulation:
    """One row at a time, one name at a time."""

    def __init__(self, forecasts: pl.DataFrame, panel: pl.DataFrame, spec: BacktestSpec, *, unconditional_mean: float):
        self.spec = spec
        self.unconditional_mean = unconditional_mean
        self.rows = {(row["ticker"], row["date"]): row for row in panel.iter_rows(named=True)}
        self.union = sorted({date for (_, date), row in self.rows.items() if not row["is_missing"]})
        self.tickers = sorted(set(forecasts["ticker"]))
        self.region = {ticker: row["region"] for (ticker, _), row in self.rows.items()}
        self.forecast = {
            (row["ticker"], row["date"]): row
            for row in forecasts.iter_rows(named=True)
            if row["horizon"] == spec.horizon_sessions
        }
        costs = spec.cost_bps if isinstance(spec.cost_bps, dict) else {"default": spec.cost_bps}
        self.bps = {t: costs.get(t, costs.get(r, costs["default"])) for t, r in self.region.items()}
        decided = sorted({date for _, date in self.forecast})
        test = sorted(date for (_, date), row in self.forecast.items() if row["split"] == "test")
        self.grid = [date for date in self.union if decided[0] <= date <= test[-1]]
        self.first_test = test[0]
        self.targets = self._targets(decided)

    def run(self) -> list[Day]:
        before = [date for date in self.grid if date <= self.first_test]
        paper = self._trade(before, free=True, entry=None)
        return self._trade(
            [date for date in self.grid if date >= self.first_test],
            free=False,
            entry=paper[-1].weights,
        )

    def _targets(self, decided: list[dt.date]) -> dict[dt.date, Book]:
        books: list[Book] = []
        targets = {}
        last: dict[str, tuple[int, float]] = {}
        for number, date in enumerate(decided):
            for ticker in self.tickers:
                if (ticker, date) in self.forecast:
                    last[ticker] = (number, self._size(ticker, self.forecast[ticker, date]))
                elif self._quoted(ticker, date):
                    last[ticker] = (number, 0.0)
            book = {}
            for ticker in self.tickers:
                when, size = last.get(ticker, (-(10**6), 0.0))
                book[ticker] = size if number - when <= self.spec.max_wait_sessions else 0.0
            books.append(self._capped(book))
            h = self.spec.horizon_sessions
            targets[date] = {t: sum(b[t] for b in books[-h:]) / h for t in self.tickers}
        return targets

    def _size(self, ticker: str, row: dict[str, float]) -> float:
        spec = self.spec
        edge = row["mean"] + row["sigma"] ** 2 / 2 - self.unconditional_mean
        if abs(edge) <= 2 * self.bps[ticker] / 10_000:
            return 0.0
        sigma = max(row["sigma"], spec.sigma_floor * spec.horizon_sessions**0.5)
        return spec.kelly_fraction * edge / sigma**2

    def _capped(self, book: Book) -> Book:
        spec, neutral = self.spec, self.spec.book == "neutral"
        if neutral:
            self._demean(book)
        gross = sum(abs(weight) for weight in book.values())
        if gross > spec.gross_cap:
            book = {t: weight * spec.gross_cap / gross for t, weight in book.items()}
        for _ in range(ALTERNATIONS if neutral else 1):
            book = {t: max(-spec.name_cap, min(spec.name_cap, weight)) for t, weight in book.items()}
            if neutral:
                self._demean(book)
        for region in set(self.region.values()):
            names = [t for t in self.tickers if self.region[t] == region]
            largest = max((abs(book[t]) for t in names), default=0.0)
            if largest > spec.name_cap:
                for ticker in names:
                    book[ticker] *= spec.name_cap / largest
        return book

    def _demean(self, book: Book) -> None:
        for region in set(self.region.values()):
            names = [t for t in self.tickers if self.region[t] == region and book[t] != 0]
            mean = sum(book[t] for t in names) / len(names) if names else 0.0
            for ticker in names:
                book[ticker] = 0.0 if abs(book[ticker] - mean) <= ROUNDING else book[ticker] - mean

    def _quoted(self, ticker: str, date: dt.date) -> bool:
        row = self.rows.get((ticker, date))
        return row is not None and not row["is_missing"]

    def _price(self, ticker: str, date: dt.date) -> float | None:
        if self._quoted(ticker, date):
            return self.rows[ticker, date]["open" if self.spec.execution == "next_open" else "close"]
        return self._last_close(ticker, date)

    def _last_close(self, ticker: str, date: dt.date) -> float | None:
        quotes = [d for d in self.union if d <= date and self._quoted(ticker, d)]
        return self.rows[ticker, quotes[-1]]["close"] if quotes else None

    def _tradable(self, ticker: str, date: dt.date) -> bool:
        if not self._quoted(ticker, date):
            return False
        quotes = [d for d in self.union if d < date and self._quoted(ticker, d)]
        if not quotes:
            return True
        waited = [d for (t, d) in self.rows if t == ticker and quotes[-1] < d < date]
        same_segment = self.rows[ticker, quotes[-1]]["segment"] == self.rows[ticker, date]["segment"]
        return same_segment and len(waited) <= self.spec.max_wait_sessions

    def _ended(self, ticker: str, date: dt.date) -> bool:
        last = max(d for d in self.union if self._quoted(ticker, d))
        silent = [d for d in self.union if d > last]
        wait = self.spec.max_wait_sessions
        return len(silent) > wait and date >= silent[wait]

    def _trade(self, dates: list[dt.date], *, free: bool, entry: Book | None) -> list[Day]:
        held = dict.fromkeys(self.tickers, 0.0)
        pending: Book = {}
        entering = set(self.tickers) if entry is not None else set()
        days = []
        for number, date in enumerate(dates):
            day = Day(date)
            position = self.union.index(date)
            if self.spec.execution == "same_close":
                pending = dict(self.targets.get(date, pending))
            elif number > 0:
                pending = dict(self.targets.get(dates[number - 1], pending))
            for ticker in self.tickers:
                goal, smoothing = pending.get(ticker), self.spec.smoothing
                if ticker in entering and entry is not None and number <= self.spec.max_wait_sessions:
                    goal, smoothing = entry[ticker], 0.0
                change = 0.0
                if self._tradable(ticker, date) and goal is not None:
                    change = goal - held[ticker]
                    change = change if abs(change) < 1e-6 else (1 - smoothing) * change
                    entering.discard(ticker)
                if self._quoted(ticker, date):
                    pending.pop(ticker, None)
                if self._ended(ticker, date):
                    change = -held[ticker]
                held[ticker] += change
                day.turnover += abs(change)
                day.cost += 0.0 if free else abs(change) * self.bps[ticker] / 10_000
            day.weights = dict(held)
            growth = {ticker: self._growth(ticker, position) for ticker in self.tickers}
            day.gross = sum(held[t] * (growth[t] - 1) for t in self.tickers)
            held = {t: held[t] * growth[t] / (1 + day.gross - day.cost) for t in self.tickers}
            days.append(day)
        return days

    def _growth(self, ticker: str, position: int) -> float:
        now = self._price(ticker, self.union[position])
        at_end = position + 1 == len(self.union)
        date = self.union[position] if at_end else self.union[position + 1]
        then = self._last_close(ticker, date) if at_end else self._price(ticker, date)
        return 1.0 if now is None or then is None else then / now
