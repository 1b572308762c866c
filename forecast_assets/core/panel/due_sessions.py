"""The session whose night has to be done by now: its last exchange closed some hours ago."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from forecast_assets.core.panel.sessions import closes

LOOKBACK = dt.timedelta(days=21)  # longer than any exchange stays shut


def due_session(closes: pl.DataFrame, *, now: dt.datetime, deadline_hours: float) -> dt.date | None:
    """Return the last session whose last exchange closed at least ``deadline_hours`` before ``now``.

    ``closes``: date and close (UTC, without zone), a row per exchange and session.
    """
    limit = now.astimezone(dt.UTC).replace(tzinfo=None) - dt.timedelta(hours=deadline_hours)
    by_session = closes.group_by("date").agg(pl.col("close").max())
    due = by_session.filter(pl.col("close") <= limit)["date"].max()
    return due if isinstance(due, dt.date) else None


def recent_closes(exchanges: Sequence[str], *, now: dt.datetime) -> pl.DataFrame:
    """Return the closes of the last weeks' sessions, up to today, of each exchange."""
    today = now.astimezone(dt.UTC).date()
    parts = [closes(exchange, today - LOOKBACK, today) for exchange in exchanges]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"date": pl.Date, "close": pl.Datetime("us")})
