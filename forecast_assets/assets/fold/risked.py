"""What the walk-forward's book and equal weights risked on each test day, and then earned."""

import polars as pl

from forecast_assets.core.specs import ScenarioSpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.versions import Version


def risked_by_day(
    calendar_panel: Version, forecasts: pl.DataFrame, positions: pl.DataFrame, *, spec: ScenarioSpec
) -> pl.DataFrame:
    """Return ``portfolio_risk.book_outcomes`` of the model's book: its forecasts of all years, and its positions."""
    from forecast_assets.core.backtest.strategies import MODEL
    from forecast_assets.core.joint.past import with_label_ends
    from forecast_assets.core.report.portfolio_risk import book_outcomes

    panel = pl.scan_parquet(calendar_panel.path(TABLE))
    rows = panel.select("date", "ticker", "is_missing").collect()
    sectors = panel.select("ticker", "sector").unique("ticker", keep="last").collect()
    held = positions.filter(pl.col("strategy") == MODEL)
    return book_outcomes(
        with_label_ends([forecasts], rows), held, sectors=dict(sectors.iter_rows()), spec=spec, model=MODEL
    )
