"""Leakage checks of the announcements, see ``core.panel.leakage_checks``.

Parameters are fitted again from the changed rows.
"""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.announcements.build import Announcements
from forecast_assets.core.panel.contracts import CalendarPanel
from forecast_assets.core.panel.leakage_checks import LeakageCheck, check_leakage, cut_day, sample

TICKERS = 12  # of the sample, as evenly spaced
YEARS = 5  # at the panel's end


def announcement_leakage(calendar_panel: pl.LazyFrame) -> dict[str, LeakageCheck]:
    """Check all columns by truncation and poison, on some tickers and the last years of the panel."""
    last: dt.date = calendar_panel.select(pl.max("date")).collect(engine="streaming").item()
    recent = calendar_panel.filter(pl.col("date") >= dt.date(last.year - YEARS, 1, 1))
    rows = sample(recent.select(list(CalendarPanel.columns())), tickers=TICKERS).sort("ticker", "date")

    def make(part: pl.DataFrame) -> pl.DataFrame:
        whole = part.sort("ticker", "date").rechunk()
        return pl.concat(Announcements(lambda: [whole]).parts())

    return check_leakage(rows, make, cut=cut_day(rows["date"]))
