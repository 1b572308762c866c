"""Known-future columns: what the exchange's calendar tells in advance about the session of each horizon."""

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, LOOK_AHEAD
from forecast_assets.core.panel.sessions import calendar_bounds, sessions

KINDS = ("day_of_week", "month", "quarter_end")
KNOWN_FUTURE: tuple[str, ...] = tuple(f"{kind}_{h}d" for h in HORIZONS for kind in KINDS)
"""Columns of each horizon: day of week 0 (Monday) to 4, month 1 to 12, 1 on the last session of a quarter else 0."""


def add_known_future(panel: pl.DataFrame) -> pl.DataFrame:
    """Return ``panel`` plus the columns of ``KNOWN_FUTURE`` (Int32).

    They come from the exchange's published calendar alone, never from the panel's own dates: an unplanned session or
    closure is not known in advance. Raises BadInput where the calendar ends too early.
    """
    keys = ["exchange", "date"]
    by_exchange = panel.select(keys).unique().sort(keys).group_by("exchange")
    parts = [_days_ahead(str(exchange), days["date"]) for (exchange,), days in by_exchange]
    return panel.join(pl.concat(parts), on=keys, how="left", maintain_order="left")


def _days_ahead(exchange: str, days: pl.Series) -> pl.DataFrame:
    first, last = days[0], days[-1]
    until = min(last + LOOK_AHEAD, calendar_bounds(exchange)[1])
    calendar = sessions(exchange, first, until)
    # The last session on or before a day, then h further: a day that is no session counts from the one before it.
    here = calendar.search_sorted(days, side="right")
    needed = int(here[-1]) + max(HORIZONS)  # whether the furthest session ends a quarter needs the one after it
    if needed >= len(calendar):
        raise BadInput(
            f"{exchange}: its calendar ends on {until}, before the session {max(HORIZONS)} after {last}; "
            "install a newer exchange_calendars"
        )
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
