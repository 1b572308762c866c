"""Known-future columns: what the exchange's calendar tells in advance about the session of each horizon."""

import polars as pl

from forecast_assets.core.horizons import HORIZONS, LOOK_AHEAD
from forecast_assets.core.panel.sessions import planned_sessions

KINDS = ("day_of_week", "month", "quarter_end")
KNOWN_FUTURE: tuple[str, ...] = tuple(f"{kind}_{h}d" for h in HORIZONS for kind in KINDS)
"""Columns of each horizon: day of week 0 (Monday) to 6, month 1 to 12, 1 on the last session of a quarter else 0."""


def add_known_future(panel: pl.DataFrame) -> pl.DataFrame:
    """Return ``panel`` plus the columns of ``KNOWN_FUTURE`` (Int32).

    They come from the exchange's published calendar alone, never from the panel's own dates, and count over the sessions
    that were planned: neither an added session nor a closure that nobody could foresee is known in advance.
    """
    keys = ["exchange", "date"]
    by_exchange = panel.select(keys).unique().sort(keys).group_by("exchange")
    parts = [_days_ahead(str(exchange), days["date"]) for (exchange,), days in by_exchange]
    return panel.join(pl.concat(parts), on=keys, how="left", maintain_order="left")


def _days_ahead(exchange: str, days: pl.Series) -> pl.DataFrame:
    first, last = days[0], days[-1]
    calendar = planned_sessions(exchange, first, last + LOOK_AHEAD)
    # The last session on or before a day, then h further: a day that is no session counts from the one before it. Whether
    # the furthest session ends a quarter needs the one after it, which the look-ahead holds.
    here = calendar.search_sorted(days, side="right")
    quarter = calendar.dt.year() * 4 + calendar.dt.quarter()
    table = pl.DataFrame(
        {
            "day_of_week": calendar.dt.weekday().cast(pl.Int32) - 1,
            "month": calendar.dt.month().cast(pl.Int32),
            "quarter_end": (quarter != quarter.shift(-1)).fill_null(False).cast(pl.Int32),
        }
    )
    ahead = {f"{kind}_{h}d": table[kind].gather(here.cast(pl.Int64) + (h - 1)) for h in HORIZONS for kind in KINDS}
    return pl.DataFrame({"exchange": [exchange] * len(days), "date": days, **ahead})
