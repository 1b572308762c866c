"""Audit a table of forecasts for signs that they have seen their outcome.

Nothing can be computed again, so little can be proved. Proof: a forecast that arrived (``available_at``) after the next
session had closed. Evidence: a rank IC beyond what forecasts reach, or a high one with the next session's return where later
sessions show nothing of it. A weak look-ahead, and one in forecasts that are mostly noise, can't be seen.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.sessions import closes
from forecast_assets.core.scores.rank import MIN_TICKERS, rank_ic
from forecast_assets.core.specs import AuditSpec

LAGS = 5  # sessions after a forecast whose returns are compared
NEXT = tuple(f"next_{k}" for k in range(1, LAGS + 1))
FEWEST_DAYS = 60  # with a rank IC, from which on it is judged
OFF_SESSION_SHARE = 0.01  # of the forecasts that may be dated on no session of their ticker
STANDARD_ERRORS = 3.0
SHARPNESS = 4.0  # how many times the next session's rank IC is that of a later one, at most, without look-ahead
FURTHEST_SESSION = dt.timedelta(days=30)


@dataclass(frozen=True)
class Evidence:
    """One sign of look-ahead. ``proved``: no other explanation is left."""

    kind: str
    proved: bool
    sentence: str


@dataclass(frozen=True)
class HorizonIc:
    """Mean daily rank IC of one horizon, its standard error, and that with each of the next sessions' returns."""

    horizon: int
    days: int
    mean: float
    standard_error: float
    by_session: tuple[float, ...]  # of the 1st, 2nd ... session after the forecast
    next_error: float  # standard error of the first of them


@dataclass(frozen=True)
class ForecastAudit:
    """Everything that an audit of forecasts found."""

    name: str
    rows: int
    evidence: tuple[Evidence, ...]
    ics: tuple[HorizonIc, ...]
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing points at look-ahead."""
        return not self.evidence

    def sentence(self) -> str:
        """Return the verdict in words."""
        if self.evidence:
            first = self.evidence[0]
            return f"{self.name}: {'LEAK' if first.proved else 'LOOK-AHEAD LIKELY'} - {first.sentence}"
        ics = "; ".join(f"{ic.mean:+.3f} at {_sessions(ic.horizon)}" for ic in self.ics) or "not measured"
        return (
            f"{self.name}: nothing found in {self.rows:,} forecasts, mean daily rank IC {ics}. A file can't be computed "
            "again: this is no proof that its forecasts saw nothing"
        )


def audit_forecasts(forecasts: pl.DataFrame, rows: pl.DataFrame, *, name: str, spec: AuditSpec) -> ForecastAudit:
    """Audit forecasts against a panel's rows, those of a raw panel with ``known_at``.

    ``forecasts``: date, ticker, horizon, location and available_at (UTC), null where it is not known; a row for each of the
    first three. Raises BadInput, naming the file, where the panel says nothing of them.
    """
    known = forecasts.join(rows.select("ticker", "exchange").unique(), on="ticker", how="inner")
    if known.is_empty():
        missing, ours = (str(each["ticker"].unique().sort()[0]) for each in (forecasts, rows))
        raise BadInput(f"{name}: none of its tickers is in the panel ({missing} is not; the panel has {ours}, ...)")
    notes = []
    if strange := forecasts["ticker"].n_unique() - known["ticker"].n_unique():
        notes.append(f"{strange} tickers are not in the panel and were left out")
    horizons = known["horizon"].unique().sort().to_list()
    placed = known.join(_outcomes(rows, horizons), on=["ticker", "date"], how="inner")
    off = known.join(placed, on=["ticker", "date"], how="anti").sort("date", "ticker")
    inside = off.filter(pl.col("date").is_between(rows["date"].min(), rows["date"].max()))
    if inside.height:
        ticker, day = inside.select("ticker", "date").row(0)
        count = f"{inside.height:,} of {known.height:,} forecasts"
        text = f"{count} are dated on no session of their ticker (the first: {ticker}, {day})"
        if inside.height > OFF_SESSION_SHARE * known.height:
            raise BadInput(f"{name}: {text}; date them by the session whose close they were made at")
        notes.append(f"{text} and were left out")
    if placed.is_empty():
        first, last = rows.select(pl.min("date").alias("first"), pl.max("date").alias("last")).row(0)
        raise BadInput(f"{name}: no forecast lies within the panel's dates, {first} to {last}")
    evidence, ics = [], []
    evidence += _late(placed.with_columns(pl.col("available_at").dt.replace_time_zone(None)))
    if placed["available_at"].null_count():
        notes.append("no column available_at: when the forecasts arrived is not known")
    for horizon in horizons:
        ic = _ic(placed.filter(pl.col("horizon") == horizon), horizon)
        if ic is None:
            notes.append(f"horizon {horizon}: under {FEWEST_DAYS} days with a rank IC, not judged")
            continue
        ics.append(ic)
        evidence += _implausible(ic, spec)
    return ForecastAudit(name, placed.height, tuple(evidence), tuple(ics), tuple(notes))


def _outcomes(rows: pl.DataFrame, horizons: Sequence[int]) -> pl.DataFrame:
    """Return by ticker and date the next session's close (UTC) and log returns, in sessions that the ticker was quoted on.

    ``next_1`` ... are those of each of the next sessions, ``outcome_h`` that over ``h`` sessions.
    """
    first, last = rows["date"].min(), rows["date"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    following = pl.concat(
        closes(exchange, first, last + FURTHEST_SESSION).select(
            "date", next_close=pl.col("close").shift(-1), exchange=pl.lit(exchange)
        )
        for exchange in rows["exchange"].unique().sort()
    )
    log_close = pl.col("close").log()
    nexts = [
        (log_close.shift(-k) - log_close.shift(1 - k)).over("ticker").alias(name)
        for k, name in enumerate(NEXT, start=1)
    ]
    outcomes = [(log_close.shift(-h) - log_close).over("ticker").alias(f"outcome_{h}") for h in horizons]
    timed = rows.sort("ticker", "date").join(following, on=["exchange", "date"], how="left", maintain_order="left")
    return timed.select("ticker", "date", "next_close", *nexts, *outcomes)


def _late(placed: pl.DataFrame) -> list[Evidence]:
    late = placed.filter(pl.col("available_at") >= pl.col("next_close")).sort("date", "ticker")
    if late.is_empty():
        return []
    first = late.row(0, named=True)
    return [
        Evidence(
            "arrival",
            True,
            f"the forecast for {first['ticker']} on {first['date']} arrived at {first['available_at']:%Y-%m-%d %H:%M} UTC, "
            f"after the next session's close at {first['next_close']:%Y-%m-%d %H:%M}: it may hold its own outcome. "
            f"{late.height:,} of {placed.height:,} forecasts arrived so late",
        )
    ]


def _ic(placed: pl.DataFrame, horizon: int) -> HorizonIc | None:
    """Return the rank ICs of one horizon, by day; of under three tickers a day by ticker and month. None where too few."""
    daily = placed.height / placed["date"].n_unique() >= MIN_TICKERS
    group = pl.col("date") if daily else pl.struct("ticker", pl.col("date").dt.truncate("1mo"))
    groups = placed.select(group.rank("dense").alias("group")).to_series().to_numpy()
    location = placed["location"].to_numpy()

    def ics(name: str) -> NDArray[np.float64]:
        found = rank_ic(location, placed[name].to_numpy(), day=groups)
        return found[~np.isnan(found)]

    whole, nexts = ics(f"outcome_{horizon}"), [ics(name) for name in NEXT]
    if min(map(len, (whole, *nexts))) < FEWEST_DAYS:
        return None
    return HorizonIc(
        horizon,
        len(whole),
        float(whole.mean()),
        float(whole.std(ddof=1) * np.sqrt(horizon / len(whole))),  # outcomes overlap
        tuple(float(each.mean()) for each in nexts),
        float(nexts[0].std(ddof=1) / np.sqrt(len(nexts[0]))),
    )


def _implausible(ic: HorizonIc, spec: AuditSpec) -> list[Evidence]:
    found = []
    if abs(ic.mean) - STANDARD_ERRORS * ic.standard_error > spec.implausible_ic:
        found.append(
            Evidence(
                "implausible_ic",
                False,
                f"at {_sessions(ic.horizon)} the mean rank IC is {ic.mean:+.3f} over {ic.days:,} days; forecasts made "
                f"before their outcome do not reach {spec.implausible_ic:g}",
            )
        )
    first, later = abs(ic.by_session[0]), max(map(abs, ic.by_session[1:]))
    if first - STANDARD_ERRORS * ic.next_error > spec.implausible_next_ic and first > SHARPNESS * later:
        profile = ", ".join(f"{value:+.3f}" for value in ic.by_session)
        found.append(
            Evidence(
                "next_session_alone",
                False,
                f"at {_sessions(ic.horizon)} the mean rank IC with the returns of the next {LAGS} sessions is {profile}: "
                "the next one's return seems to be among what was read",
            )
        )
    return found


def _sessions(horizon: int) -> str:
    return f"{horizon} session{'' if horizon == 1 else 's'}"
