"""Which nights wait for prices and until when, and which tickers came after their night and are forecast still."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from forecast_assets.automation.nights import due_nights
from forecast_assets.champion.late_tickers import is_open, recent_quotes, tickers_to_add
from forecast_assets.core.panel.completeness import (
    DAYS_BACK,
    ExchangePrices,
    in_words,
    incomplete,
    last_close,
    prices_of,
)
from forecast_assets.core.specs import ArrivalSpec
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST
from forecast_assets.store.panel_in_use import days_in_panel, panel_sessions
from forecast_assets.store.store import Store

LOOKED_BACK = 6  # days: the longest closure of several exchanges at once is shorter


def waiting_nights(store: Store, data_root: str, *, spec: ArrivalSpec, now: dt.datetime) -> dict[str, str]:
    """Return the nights that are due and wait for prices -> what each waits for and until when, oldest first.

    A night waits where an exchange lacks prices of its session, until ``spec.grace_hours`` after the session's last close.
    """
    due = due_nights(store, data_root)
    quotes = recent_quotes(store) if due else None
    if quotes is None:
        return {}
    exchanges, found = quotes["exchange"].unique().to_list(), {}
    for day in due:
        until = _hours_after(last_close(exchanges, dt.date.fromisoformat(day)), spec.grace_hours)
        if until is not None and now < until and (lacking := lacking_prices(quotes, day, spec=spec)):
            found[day] = f"{in_words(lacking)}; from {until:%Y-%m-%d %H:%M} UTC on it is made from what is there"
    return found


def nights_to_make(store: Store, data_root: str, *, spec: ArrivalSpec, now: dt.datetime) -> list[str]:
    """Return the nights to run now: the newest one where tickers came late to it, then those due that don't wait."""
    waiting = waiting_nights(store, data_root, spec=spec, now=now)
    late = tickers_to_add(store, spec=spec, now=now)
    ready = [day for day in due_nights(store, data_root) if day not in waiting]
    return [late.day, *(day for day in ready if day != late.day)] if late else ready


def awaited_prices(store: Store, data_root: str, *, spec: ArrivalSpec, now: dt.datetime) -> dict[str, str]:
    """Return the sessions whose prices are waited for -> what is missing, oldest first.

    They are those of ``waiting_nights``, the newest night while late tickers may still be added to it, and the last session
    of the calendars where no row of it has come.
    """
    quotes = recent_quotes(store)
    if quotes is None:
        return {}
    found: dict[str, str] = dict(waiting_nights(store, data_root, spec=spec, now=now))
    nights = days_in_panel(store, NIGHTLY_FORECAST)
    if nights and is_open(quotes, nights[-1], spec=spec, now=now):
        lacking = [prices for prices in prices_of(quotes, dt.date.fromisoformat(nights[-1])) if prices.missing]
        if lacking:
            found[nights[-1]] = f"{in_words(lacking)}; the night is made, and adds those that come"
    if _goes_on(quotes, now=now):
        day = _last_session(quotes, now=now)
        if day > panel_sessions(store)[-1] and prices_of(quotes, dt.date.fromisoformat(day)):
            found[day] = "no row of it has come"
    return dict(sorted(found.items()))


def lacking_prices(quotes: pl.DataFrame, day: str, *, spec: ArrivalSpec) -> list[ExchangePrices]:
    """Return the exchanges that lack prices of a session by ``spec.complete_share``."""
    return incomplete(prices_of(quotes, dt.date.fromisoformat(day)), share=spec.complete_share)


def waiting_sentence(waiting: Mapping[str, str]) -> str:
    """Return which nights wait and for what."""
    return "; ".join(f"the night of {day} waits for prices: {what}" for day, what in waiting.items())


def _goes_on(quotes: pl.DataFrame, *, now: dt.datetime) -> bool:
    """Return whether ``prices_of`` may expect anything of the last sessions: said without the calendars, slow to make."""
    newest = quotes.select(pl.col("date").max()).item()
    return newest is not None and now.astimezone(dt.UTC).date() - newest <= dt.timedelta(days=DAYS_BACK + LOOKED_BACK)


def _last_session(quotes: pl.DataFrame, *, now: dt.datetime) -> str:
    """Return the last session that is over at each exchange that has it, of the last days; empty where there is none."""
    exchanges = quotes["exchange"].unique()
    for days in range(LOOKED_BACK):
        day = now.astimezone(dt.UTC).date() - dt.timedelta(days=days)
        close = last_close(exchanges, day)
        if close is not None and close <= now:
            return day.isoformat()
    return ""


def _hours_after(close: dt.datetime | None, hours: float) -> dt.datetime | None:
    return None if close is None else close + dt.timedelta(hours=hours)
