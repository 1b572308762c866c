"""The panel on its exchanges' sessions."""

import polars as pl

from forecast_assets.assets.causality import CAUSAL, causal_checks
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import PanelSpec


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def calendar_panel(raw_panel: pl.LazyFrame, panel: PanelSpec) -> Product:
    """One row per ticker and session of its exchange; short holes filled and flagged, long ones end the segment."""
    from forecast_assets.core.panel.build import year_digests
    from forecast_assets.core.panel.calendar import reindex
    from forecast_assets.core.panel.corrections import apply_corrections
    from forecast_assets.core.panel.proofs import prove_calendar

    corrected, report = apply_corrections(raw_panel.collect(), corrections=panel.corrections)
    reindexed = reindex(corrected, spec=panel)
    return Product(
        files={TABLE: reindexed, "corrections.parquet": report},
        facts={
            "filled_rows": int(reindexed["is_missing"].sum()),
            "segments": reindexed.select("ticker", "segment").unique().height,
            "corrections_applied": report.height,
        },
        checks=causal_checks(prove_calendar(corrected.lazy(), spec=panel)),
        slices=year_digests(reindexed),
    )
