"""Tickers whose prices came after their night was committed: until when they are forecast for it still, and which they are.

A forecast is worth its name while its first outcome is unknown. So a ticker that comes late is forecast until its exchange
closes again, while no later night is committed, and ``arrival.late_hours`` after the session's last close at most.
"""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from forecast_assets.champion.issued import issued_table
from forecast_assets.core.panel.completeness import last_close, late_tickers
from forecast_assets.core.specs import ArrivalSpec
from forecast_assets.store.artefact_files import QUOTED
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, RAW_PANEL
from forecast_assets.store.panel_in_use import days_in_panel, declared_renames
from forecast_assets.store.store import Store

CLOSED_BY = dt.timedelta(days=2)  # after midnight UTC of a session's date, every exchange has closed


@dataclass(frozen=True)
class LateTickers:
    """Tickers that came late to a night, and are forecast for it still."""

    day: str
    tickers: tuple[str, ...]


def recent_quotes(store: Store) -> pl.DataFrame | None:
    """Return exchange, ticker and date of the panel's last rows; None without a panel, and for one of an earlier release."""
    if not store.has(RAW_PANEL):
        return None
    panel = store.current(RAW_PANEL)
    return pl.read_parquet(panel.path(QUOTED)) if QUOTED in panel.manifest.files else None


def tickers_to_add(store: Store, *, spec: ArrivalSpec, now: dt.datetime) -> LateTickers | None:
    """Return the tickers that have a row of the newest night's session, are not forecast for it and may still be; None
    where there are none. One that is too new for a forecast is among them.
    """
    nights = days_in_panel(store, NIGHTLY_FORECAST)
    quotes = recent_quotes(store) if nights else None
    if quotes is None or not is_open(quotes, nights[-1], spec=spec, now=now):
        return None
    day = dt.date.fromisoformat(nights[-1])
    table = issued_table(store.current(NIGHTLY_FORECAST, nights[-1]), declared_renames(store))
    late = late_tickers(quotes, day, forecast=table.filter(pl.col("date") == day)["ticker"].to_list(), now=now)
    return LateTickers(nights[-1], tuple(late)) if late else None


def is_open(quotes: pl.DataFrame, day: str, *, spec: ArrivalSpec, now: dt.datetime) -> bool:
    """Return whether tickers that come late to the night of ``day`` may still be forecast for it, by the settings."""
    session = dt.date.fromisoformat(day)
    latest = dt.datetime.combine(session, dt.time(), dt.UTC) + CLOSED_BY + dt.timedelta(hours=spec.late_hours)
    if now >= latest:  # without a calendar, which takes a second to make
        return False
    close = last_close(quotes["exchange"].unique(), session)
    return close is not None and now < close + dt.timedelta(hours=spec.late_hours)
