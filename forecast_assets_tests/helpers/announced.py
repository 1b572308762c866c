"""Raw panels of companies that report every quarter, with the days on which they do.

They do when those of the demo panel may (``core.panel.demo_announcements``), and the median report moves the price by
``JUMP`` times the volatility of a quiet session. As many large moves as one in three reports have no report behind them.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel.announcements.build import EVENT, POSTERIOR, Announcements, Cut
from forecast_assets.core.panel.announcements.model import UNIFORM
from forecast_assets.core.panel.announcements.sums import centred_sum
from forecast_assets.core.panel.announcements.weekdays import HALF
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.demo import SECTORS
from forecast_assets.core.panel.demo_announcements import (
    JUMP_SPREAD,
    MORE_VOLUME,
    OVERNIGHT,
    UNSEEN,
    announcement_sessions,
)
from forecast_assets.core.panel.parts import ticker_parts
from forecast_assets.core.panel.sessions import sessions
from forecast_assets_tests.helpers.builders import panel_spec

JUMP = 3.0  # median move of a report in quiet volatilities
QUIET_GAP = 0.15  # share of the gap in the variance of a quiet session
OTHERS = 1.3  # large moves a year that are no report

EXCHANGES = (("XNYS", ""), ("XNYS", ""), ("XNYS", ""), ("XETR", ".DE"), ("XLON", ".L"))


class Announced(NamedTuple):
    """A raw panel, and the sessions on which its companies report: ticker, date."""

    raw: pl.DataFrame
    dates: pl.DataFrame


def announced(
    *,
    tickers: int,
    start: dt.date,
    end: dt.date,
    seed: int = 0,
    announce: bool = True,
    exchanges: Sequence[tuple[str, str]] = EXCHANGES,
) -> Announced:
    """Return a panel of ``tickers`` on ``exchanges`` (MIC, suffix) in turn; without reports unless ``announce``."""
    rng = np.random.default_rng(seed)
    calendar = pl.date_range(start, end, eager=True).to_numpy().astype("datetime64[D]")
    market = dict(zip(calendar.tolist(), rng.normal(0, 0.008, len(calendar)).tolist(), strict=True))
    raws, dates = [], []
    for number in range(tickers):
        exchange, suffix = exchanges[number % len(exchanges)]
        days = sessions(exchange, start, end)
        name, sector = f"ANN{number:03d}{suffix}", SECTORS[number // 5 % len(SECTORS)]
        reports = announcement_sessions(rng, days)
        common = np.array([market[day] for day in days.to_list()])
        raws.append(_prices(rng, days, common, reports if announce else reports[:0], name, exchange, sector))
        if announce:
            dates.append(pl.DataFrame({"ticker": [name] * len(reports), "date": days.gather(reports)}))
    none = pl.DataFrame(schema={"ticker": pl.String, "date": pl.Date})
    return Announced(pl.concat(raws).sort("ticker", "date"), pl.concat([none, *dates]))


def _prices(
    rng: np.random.Generator,
    days: pl.Series,
    market: NDArray[np.float64],
    reports: NDArray[np.int64],
    name: str,
    exchange: str,
    sector: str,
) -> pl.DataFrame:
    """Return the raw rows of one ticker."""
    count = len(days)
    level, wave = rng.uniform(0.009, 0.018), np.zeros(count)
    for day in range(1, count):
        wave[day] = 0.97 * wave[day - 1] + rng.normal(0, 0.08)
    quiet = level * np.exp(wave)
    noise = rng.standard_t(5, (2, count)) / np.sqrt(5 / 3)
    gap = quiet * np.sqrt(QUIET_GAP) * noise[0] + rng.uniform(0.6, 1.4) * market * 0.4
    intraday = quiet * np.sqrt(1 - QUIET_GAP) * noise[1] + rng.uniform(0.6, 1.4) * market * 0.6
    volume = 13 + rng.normal(0, 0.3, count)
    others = np.flatnonzero(rng.random(count) < OTHERS / 252)
    seen = reports[rng.random(len(reports)) >= UNSEEN]
    for days_of, overnight, more in ((seen, OVERNIGHT, MORE_VOLUME), (others, 0.5, 0.5)):
        size = JUMP * np.exp(rng.normal(0, JUMP_SPREAD, len(days_of))) * rng.choice([-1, 1], len(days_of))
        gap[days_of] += overnight * size * quiet[days_of]
        intraday[days_of] += (1 - overnight) * size * quiet[days_of]
        volume[days_of] += rng.normal(more, 0.3, len(days_of))
        later = np.minimum(days_of + 1, count - 1)
        volume[later] += more / 2
    log_close = np.log(50) + np.cumsum(gap + intraday)
    opens, closes = np.exp(log_close - intraday), np.exp(log_close)
    wick = np.exp(np.abs(rng.normal(0, 0.4, (2, count))) * quiet)
    return pl.DataFrame(
        {
            "date": days,
            "ticker": [name] * count,
            "exchange": [exchange] * count,
            "sector": [sector] * count,
            "open": opens,
            "high": np.maximum(opens, closes) * wick[0],
            "low": np.minimum(opens, closes) / wick[1],
            "close": closes,
            "volume": np.round(np.exp(volume)),
        }
    )


def calendar(raw: pl.DataFrame) -> pl.DataFrame:
    """Return the calendar panel of raw rows, as the stage reads it."""
    return reindex(raw, spec=panel_spec()).sort("ticker", "date").rechunk()


def infer(
    calendar_panel: pl.DataFrame, begins: Cut | None = None, *, rows_per_part: int = 3_000
) -> tuple[pl.DataFrame, Announcements]:
    """Return the table of ``calendar_panel``, whole or from where an earlier run was cut, and what made it."""
    recent = calendar_panel if begins is None else calendar_panel.filter(pl.col("date") >= begins.reads_from)
    lazy = recent.rechunk().lazy()
    made = Announcements(lambda: ticker_parts(lazy, rows_per_part=rows_per_part), begins)
    return pl.concat(made.parts()), made


def inferred_dates(events: pl.DataFrame) -> pl.DataFrame:
    """Return the days that are claimed as reports: those of ``events`` that stand out most within a week, by posterior."""
    claimed: list[tuple[str, dt.date]] = []
    for (ticker,), part in events.filter(pl.col(POSTERIOR) > EVENT).group_by("ticker", maintain_order=True):
        kept: list[dt.date] = []
        for day in part.sort(POSTERIOR, "date", descending=[True, False])["date"]:
            if all(abs((day - other).days) > 7 for other in kept):
                kept.append(day)
        claimed += [(str(ticker), day) for day in sorted(kept)]
    return pl.DataFrame(claimed, schema={"ticker": pl.String, "date": pl.Date}, orient="row")


def share_within_a_session(days: pl.DataFrame, others: pl.DataFrame, calendar_panel: pl.DataFrame) -> float:
    """Return the share of ``days`` (ticker, date) with one of ``others`` at most a session of the ticker away."""
    rows = calendar_panel.select("ticker", "date", at=pl.int_range(pl.len()).over("ticker"))
    keys = ["ticker", "date"]
    left, right = (part.select(keys).join(rows, on=keys, validate="1:1").sort("at") for part in (days, others))
    near = left.join_asof(
        right.select("ticker", "at", other="at"), on="at", by="ticker", strategy="nearest", check_sortedness=False
    )
    is_near = (near["at"] - near["other"]).abs() <= 1
    return near.filter(is_near).height / max(near.height, 1)


def explained(table: pl.DataFrame, *, since: dt.date) -> float:
    """Return the share of what rows from ``since`` on show, the posterior with all days alike, that was expected before.

    1 less the squared errors of the expectation over those of 1/65: below 0 where it expects what never comes.
    """
    error, alike = 0.0, 0.0
    for _, part in table.group_by("ticker", maintain_order=True):
        likelihood = np.exp(part["log_likelihood"].fill_null(0.0).to_numpy().astype(np.float64))
        late = (part["date"] >= since).to_numpy()
        shown = (likelihood / centred_sum(likelihood, HALF))[late][:-HALF]
        expected = part["expected"].fill_null(UNIFORM).to_numpy().astype(np.float64)[late][:-HALF]
        error += float(((shown - expected) ** 2).sum())
        alike += float(((shown - UNIFORM) ** 2).sum())
    return 1.0 - error / alike
