"""The synthetic demo panel: true calendars, realistic volatility, a small planted signal.

Returns of ticker i: r = gap + intraday, and intraday(t+1) = shock + strength x signal(t), with

    signal(t) = tanh(return_20(t) / 0.09) - tanh(return_5(t) / 0.045)

so a pull-back in a rising ticker is followed by a rise; with a strength below zero by a fall, and no ticker trends. It is
a non-linear function of two feature columns, known at the close of t; it acts between the next open and the next close, and
its rank correlation with one-session returns is about 0.05 at the default strength, and 0.2 at the demo profile's. Shocks
are a market factor, a sector factor and an own part, each with GARCH(1,1) variance and Student-t(5) draws. Quarterly
announcements move prices besides, where the settings have them (``core.panel.demo_announcements``).

A file of a rival's forecasts comes with it, so that the demo's report has a card of one.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.demo_announcements import OVERNIGHT, announcement_moves
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.specs import DemoSpec

EXCHANGES = (("XNYS", ""), ("XETR", ".DE"), ("XTKS", ".T"))
SECTORS = ("Technology", "Financials", "Health Care", "Industrials")
LONG_SESSIONS, LONG_SCALE = 20, 0.09
SHORT_SESSIONS, SHORT_SCALE = 5, 0.045
DEGREES = 5
GAP_SHARE = 0.3  # of the variance, between close and open
RIVAL_SESSIONS, RIVAL_DECAY = 60, 0.94

IPO, DELISTED, HALTED, HOLED, NO_SECTOR = 1, 2, 3, 4, 5
"""Numbers of the tickers with an irregular history; ``DemoSpec.tickers`` is at least 6."""


@dataclass
class Garch:
    """GARCH(1,1) variances of several series, advanced together: h = omega + 0.08 shock^2 + 0.90 h."""

    level: np.ndarray  # (K,) long-run variance
    variance: np.ndarray  # (K,)

    @classmethod
    def at_rest(cls, daily_volatility: np.ndarray) -> "Garch":
        """Start at the long-run variance."""
        return cls(daily_volatility**2, daily_volatility**2)

    def update(self, shock: np.ndarray, where: np.ndarray) -> None:
        """Update the variances of the series that traded with one session's shocks."""
        new = 0.02 * self.level + 0.08 * shock**2 + 0.90 * self.variance
        self.variance = np.where(where, new, self.variance)


def demo_panel(spec: DemoSpec, *, exchanges: Sequence[tuple[str, str]] = EXCHANGES) -> pl.DataFrame:
    """Return raw rows as a user would deliver them, sorted by date and ticker; the same for the same ``spec``.

    Columns Date, Ticker, Sector, Opening Price, High, Low, Closing Price, Volume. Tickers are dealt out over the
    ``exchanges`` (calendar, suffix) in rotation. Among them: an IPO at 40 % of the span, a delisting at 70 %, a halt of 3
    sessions, a hole of 10 and a ticker without sector.
    """
    rng = np.random.default_rng(spec.seed)
    calendars = [sessions(mic, spec.start, spec.end) for mic, _ in exchanges]
    days = pl.concat(calendars).unique().sort()
    place = np.arange(spec.tickers) % len(exchanges)
    is_open = np.column_stack([days.is_in(calendars[k].implode()).to_numpy() for k in place])  # (T, N)
    sector = np.arange(spec.tickers) // len(exchanges) % len(SECTORS)
    announced = announcement_moves(spec.seed, days, is_open, size=spec.announcements)
    opens, highs, lows, closes, volumes = _simulate(rng, is_open, sector, strength=spec.signal, announced=announced)
    names = [f"SYN{n:02d}{exchanges[n % len(exchanges)][1]}" for n in range(spec.tickers)]
    sectors = [None if n == NO_SECTOR else SECTORS[k] for n, k in enumerate(sector)]
    row, name = np.nonzero(_quoted(is_open))
    return pl.DataFrame(
        {
            "Date": days.gather(row),
            "Ticker": pl.Series(names).gather(name),
            "Sector": pl.Series(sectors, dtype=pl.String).gather(name),
            "Opening Price": opens[row, name].round(4),
            "High": highs[row, name].round(4),
            "Low": lows[row, name].round(4),
            "Closing Price": closes[row, name].round(4),
            "Volume": volumes[row, name].astype(np.int64),
        }
    ).sort("Date", "Ticker")


def _simulate(
    rng: np.random.Generator,
    is_open: np.ndarray,
    sector: np.ndarray,
    *,
    strength: float,
    announced: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, ...]:
    """Return (open, high, low, close, volume), each (T, N), of tickers in numbered sectors (N,).

    A value on a closed day repeats the last close and is not used. ``announced``: from ``announcement_moves``.
    """
    length, count = is_open.shape
    beta = rng.uniform(0.6, 1.4, count)
    market = Garch.at_rest(np.array([0.008]))
    sectors = Garch.at_rest(np.full(len(SECTORS), 0.005))
    own = Garch.at_rest(np.asarray(rng.uniform(0.009, 0.018, count)))
    log_price = np.log(rng.uniform(20, 200, count))
    turnover = np.log(rng.uniform(2e5, 5e6, count))
    busy = np.zeros(count)
    past = np.zeros((LONG_SESSIONS, count))  # last log returns per ticker, newest last
    bars = tuple(np.empty((length, count)) for _ in range(5))
    for t in range(length):
        here = is_open[t]
        shocks = [_student(rng, garch.variance) for garch in (market, sectors, own)]
        for garch, shock in zip((market, sectors, own), shocks, strict=True):
            garch.update(shock, here if garch is own else np.ones(len(shock), dtype=bool))
        total = beta * shocks[0] + shocks[1][sector] + shocks[2]
        scale = np.sqrt(beta**2 * market.variance + sectors.variance[sector] + own.variance)
        # The shock is split at a random point of its path, so that gap and day add up to it with the right variances.
        bridge = np.sqrt(GAP_SHARE * (1 - GAP_SHARE)) * scale * rng.standard_normal(count)
        moved = announced[0][t] * scale
        gap = GAP_SHARE * total + bridge + OVERNIGHT * moved
        signal = np.tanh(past.sum(axis=0) / LONG_SCALE) - np.tanh(past[-SHORT_SESSIONS:].sum(axis=0) / SHORT_SCALE)
        day = total + moved - gap + strength * signal
        busy = 0.7 * busy + 0.25 * rng.standard_normal(count)
        begin, end = log_price + gap, log_price + gap + day
        wick = 0.4 * scale * np.abs(rng.standard_normal((2, count)))
        bars[0][t], bars[3][t] = np.exp(begin), np.exp(end)
        bars[1][t] = np.exp(np.maximum(begin, end) + wick[0])
        bars[2][t] = np.exp(np.minimum(begin, end) - wick[1])
        bars[4][t] = np.exp(turnover + busy + 0.3 * np.abs(gap + day - moved) / scale + announced[1][t])
        log_price = np.where(here, end, log_price)
        past = np.where(here, np.vstack([past[1:], gap + day]), past)
    return bars


def _student(rng: np.random.Generator, variance: np.ndarray) -> np.ndarray:
    """Student-t draws of the given variance."""
    return np.sqrt(variance * (DEGREES - 2) / DEGREES) * rng.standard_t(DEGREES, len(variance))


def _quoted(is_open: np.ndarray) -> np.ndarray:
    """Mark the sessions with a quote, (T, N): all, but for the tickers with an irregular history."""
    quoted = is_open.copy()

    def remove(ticker: int, start: float, count: int | None) -> None:
        own = np.flatnonzero(is_open[:, ticker])
        first = int(start * len(own))
        quoted[own[first : None if count is None else first + count], ticker] = False

    remove(IPO, 0.0, int(0.4 * is_open[:, IPO].sum()))
    remove(DELISTED, 0.7, None)
    remove(HALTED, 0.5, 3)
    remove(HOLED, 0.6, 10)
    return quoted


def planted_signal(panel: pl.DataFrame) -> pl.DataFrame:
    """Return date, ticker, signal: what was planted, as whoever knew the rule would have it at each close.

    ``panel``: date, ticker, segment, close of own sessions. Null in a segment's first 20 sessions.
    """
    total = pl.col("close").log()
    long, short = (total.diff(sessions).over("ticker", "segment") for sessions in (LONG_SESSIONS, SHORT_SESSIONS))
    signal = (long / LONG_SCALE).tanh() - (short / SHORT_SCALE).tanh()
    return panel.sort("ticker", "date").select("date", "ticker", signal=signal)


def demo_rival(panel: pl.DataFrame) -> pl.DataFrame:
    """Return the forecasts of a plain rival for the rows of ``demo_panel``: date, ticker, horizon, returns, mean, sigma.

    A Normal whose mean is that of the last 60 returns, and whose variance is their exponentially weighted one (RiskMetrics'
    0.94), both times the sessions ahead. It knows nothing of the planted signal.
    """
    log_return = pl.col("Closing Price").log().diff()
    daily = panel.sort("Ticker", "Date").with_columns(
        mean=log_return.rolling_mean(RIVAL_SESSIONS).over("Ticker"),
        variance=(log_return**2).ewm_mean(alpha=1 - RIVAL_DECAY, ignore_nulls=True).over("Ticker"),
    )
    rows = daily.drop_nulls(["mean", "variance"])
    return pl.concat(
        rows.select(
            date="Date", ticker="Ticker", horizon=pl.lit(horizon), returns=pl.lit("log"),
            mean=(horizon * pl.col("mean")).round(7), sigma=(horizon * pl.col("variance")).sqrt().round(7),
        )
        for horizon in HORIZONS
    )  # fmt: skip


def write_demo_csv(path: Path, spec: DemoSpec, *, rival: Path | None = None) -> None:
    """Write the demo panel to ``path`` as a user's file may look, with a few rows that ingest has to reject.

    Appended: three exact repeats, a row that contradicts another, a zero price, an impossible date, and a flat quote
    without volume on Christmas Day. ``rival``: where to write the forecasts of ``demo_rival``, as Parquet.
    """
    panel = demo_panel(spec)
    if rival is not None:
        demo_rival(panel).write_parquet(rival)
    text = panel.with_columns(pl.all().cast(pl.String)).sort("Date", "Ticker")
    rows = [text.row(k, named=True) for k in range(text.height // 3, text.height // 3 + 5)]
    repeats, contradicted, worthless = rows[:3], rows[3], rows[4]
    last = text.filter(pl.col("Ticker") == "SYN01.DE").row(-1, named=True)
    christmas = dt.date(spec.end.year - 1, 12, 25).isoformat()
    flat = dict.fromkeys(("Opening Price", "High", "Low", "Closing Price"), last["Closing Price"])
    messy = [
        *repeats,
        contradicted | {"Closing Price": str(round(1.01 * float(contradicted["Closing Price"]), 4))},
        worthless | {"Date": spec.end.isoformat(), "Ticker": "SYN00.L", "Closing Price": "0"},
        worthless | {"Date": f"{spec.start.year}-02-30"},
        last | flat | {"Date": christmas, "Volume": "0"},
    ]
    pl.concat([text, pl.DataFrame(messy, schema=text.schema)]).write_csv(path)
