"""The simulation's rules once more, as plain loops over dictionaries: the oracle of the vectorised one."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from forecast_assets.core.backtest.sizing import ALTERNATIONS, ROUNDING
from forecast_assets.core.specs import BacktestSpec

BETA_SESSIONS, BETA_MIN_SESSIONS, BETA_MAX_RETURN = 252, 63, 0.25

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

    def __init__(self, forecasts: pl.DataFrame, raw: pl.DataFrame, panel: pl.DataFrame, spec: BacktestSpec):
        self.spec = spec
        self.scale = {(row["ticker"], row["date"]): row["sigma"] for row in raw.iter_rows(named=True)}
        self.rows = {(row["ticker"], row["date"]): row for row in panel.iter_rows(named=True)}
        self.union = sorted(
            {date for (_, date), row in self.rows.items() if not row["is_missing"] and row["is_member"]}
        )
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
        self.moves: dict[tuple[str, int], float | None] = {}
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
        books: list[tuple[int, Book]] = []
        targets = {}
        last: dict[str, tuple[int, dt.date | None]] = {}
        h = self.spec.horizon_sessions
        for number, date in enumerate(decided):
            for ticker in self.tickers:
                if (ticker, date) in self.forecast:
                    last[ticker] = (number, date)
                elif self._quoted(ticker, date):
                    last[ticker] = (number, None)
            standing = {
                ticker: when
                for ticker, (then, when) in last.items()
                if when is not None and number - then <= self.spec.max_wait_sessions
            }
            session = self.union.index(date)
            if books and session - books[-1][0] > h:
                books = []  # every tranche has expired
            books.append((session, self._book(standing, session)))
            in_force = [book for _, book in books[-h:]]
            targets[date] = {t: sum(b[t] for b in in_force) / len(in_force) for t in self.tickers}
        return targets

    def _book(self, standing: dict[str, dt.date], session: int) -> Book:
        """The book decided on a session from the forecasts that stand, each made on a date."""
        spec = self.spec
        forecast = {ticker: self.forecast[ticker, date] for ticker, date in standing.items()}
        scale = {ticker: self.scale[ticker, date] for ticker, date in standing.items()}
        floor = spec.sigma_floor * spec.horizon_sessions**0.5
        variance = {ticker: max(row["sigma"], floor) ** 2 for ticker, row in forecast.items()}
        edge = {ticker: row["q50"] for ticker, row in forecast.items()}
        book = dict.fromkeys(self.tickers, 0.0)
        if spec.book == "directional":
            traded = [t for t in edge if abs(edge[t]) > 2 * self.bps[t] / 10_000]
            return self._capped(book | {t: spec.kelly_fraction * edge[t] / variance[t] for t in traded}, [])
        beta = {ticker: self._beta(ticker, session) for ticker in standing}
        for tickers in self._by_region(list(standing)):
            left = residual([edge[t] for t in tickers], [[scale[t] for t in tickers]], [variance[t] for t in tickers])
            pays = [(t, e) for t, e in zip(tickers, left, strict=True) if abs(e) > 2 * self.bps[t] / 10_000]
            own = [t for t, _ in pays]
            exposures = [[of[t] for t in own] for of in (scale, beta)]
            net = residual([e for _, e in pays], exposures, [variance[t] for t in own])
            book |= {t: spec.kelly_fraction * e / variance[t] for t, e in zip(own, net, strict=True)}
        return self._capped(book, [scale, beta])

    def _beta(self, ticker: str, session: int) -> float:
        """The slope on the region's mean return over the sessions before, shrunk by a third towards one."""
        own, market = [], []
        for row in range(max(1, session - BETA_SESSIONS), session):
            if (move := self._move(ticker, row)) is not None:
                region = [t for t in self.tickers if self.region[t] == self.region[ticker]]
                moves = [self._move(t, row) for t in region if self._is_member(t, self.union[row])]
                if peers := [m for m in moves if m is not None]:
                    own.append(move)
                    market.append(np.mean(peers))
        if len(own) < BETA_MIN_SESSIONS:
            return 1.0
        return 1 / 3 + 2 / 3 * float(np.polyfit(market, own, 1)[0])

    def _move(self, ticker: str, row: int) -> float | None:
        if (ticker, row) not in self.moves:
            now, before = self.union[row], self._last_close(ticker, self.union[row - 1])
            known = self._quoted(ticker, now) and before is not None
            move = np.log(self.rows[ticker, now]["close"] / before) if known else None
            self.moves[ticker, row] = None if move is None else float(np.clip(move, -BETA_MAX_RETURN, BETA_MAX_RETURN))
        return self.moves[ticker, row]

    def _by_region(self, tickers: list[str]) -> list[list[str]]:
        return [
            [t for t in tickers if self.region[t] == region] for region in sorted({self.region[t] for t in tickers})
        ]

    def _capped(self, book: Book, exposures: list[Book]) -> Book:
        spec, neutral = self.spec, self.spec.book == "neutral"
        if neutral:
            book = self._neutral(book, exposures)
        gross = sum(abs(weight) for weight in book.values())
        if gross > spec.gross_cap:
            book = {t: weight * spec.gross_cap / gross for t, weight in book.items()}
        for _ in range(ALTERNATIONS if neutral else 1):
            if max(map(abs, book.values())) <= spec.name_cap:
                break
            book = {t: max(-spec.name_cap, min(spec.name_cap, weight)) for t, weight in book.items()}
            if neutral:
                book = self._neutral(book, exposures)
        for names in self._by_region(self.tickers):
            largest = max((abs(book[t]) for t in names), default=0.0)
            if largest > spec.name_cap:
                for ticker in names:
                    book[ticker] *= spec.name_cap / largest
        return book

    def _neutral(self, book: Book, exposures: list[Book]) -> Book:
        held = [t for t in self.tickers if book[t] != 0]
        neutral = dict.fromkeys(self.tickers, 0.0)
        for names in self._by_region(held):
            left = residual([book[t] for t in names], [[e[t] for t in names] for e in exposures], [1.0] * len(names))
            neutral |= {t: 0.0 if abs(w) <= ROUNDING else w for t, w in zip(names, left, strict=True)}
        return neutral

    def _quoted(self, ticker: str, date: dt.date) -> bool:
        row = self.rows.get((ticker, date))
        return row is not None and not row["is_missing"]

    def _is_member(self, ticker: str, date: dt.date) -> bool:
        """As its last row says."""
        rows = [d for d in self.union if d <= date and (ticker, d) in self.rows]
        return bool(rows) and self.rows[ticker, rows[-1]]["is_member"]

    def _has_left(self, ticker: str, date: dt.date) -> bool:
        position = self.union.index(date) - (self.spec.execution == "next_open")
        seen = position >= 0 and any((ticker, d) in self.rows for d in self.union[: position + 1])
        return seen and not self._is_member(ticker, self.union[position])

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
                if self._ended(ticker, date) or (self._has_left(ticker, date) and self._tradable(ticker, date)):
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


def residual(values: Sequence[float], exposures: list[list[float]], variance: list[float]) -> list[float]:
    """What a weighted regression on a constant and the exposures leaves of the values."""
    if not values:
        return []
    root = np.array(variance) ** -0.5
    design = np.column_stack([np.ones(len(values)), *exposures])
    slopes = np.linalg.lstsq(design * root[:, None], np.array(values) * root, rcond=1e-9)[0]
    return (np.array(values) - design @ slopes).tolist()
