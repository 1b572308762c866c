"""The delistings that a report shows the books and forecasts of its years with."""

from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.core.specs import BacktestSpec, SurvivorshipSpec
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.evaluation.delistings import Delistings


def delistings_of(
    calendar_panel: Version,
    rows: pl.DataFrame,
    forecasts: pl.DataFrame,
    *,
    spec: BacktestSpec,
    survivorship: SurvivorshipSpec,
) -> "Delistings":
    """Return the delistings of the tickers with test ``forecasts``: the real ones of a universe file, else planted ones.

    ``rows``: of the calendar panel.
    """
    from forecast_assets.core.evaluation.delistings import planted, real

    test = forecasts.filter(pl.col("split") == "test")
    tickers, first = test["ticker"].unique().sort().to_list(), test.select(pl.col("date").min()).item()
    if has_universe(calendar_panel):
        return real(
            rows,
            tickers=tickers,
            first=first,
            silence_sessions=spec.max_wait_sessions,
            recoveries=survivorship.recoveries,
        )
    return planted(rows, tickers=tickers, first=first, spec=survivorship)


def has_universe(calendar_panel: Version) -> bool:
    """Return whether a universe file says who was a member when."""
    return "members_ever" in calendar_panel.manifest.facts
