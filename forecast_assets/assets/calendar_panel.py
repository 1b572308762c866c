"""The panel reindexed to the sessions of each ticker's exchange."""

from collections.abc import Iterator

import polars as pl

from forecast_assets.assets.framework.causality_checks import CAUSAL, causal_checks
from forecast_assets.assets.framework.column_lineage import calendar_columns
from forecast_assets.assets.framework.inputs import OutputFolder
from forecast_assets.assets.framework.output import StageOutput, write_table
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import PanelSpec
from forecast_assets.store.artefact_files import CORRECTIONS, TABLE


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def calendar_panel(raw_panel: pl.LazyFrame, panel: PanelSpec, folder: OutputFolder) -> StageOutput:
    """One row per ticker and session of its exchange; short holes filled and flagged, long ones end the segment."""
    from forecast_assets.core.panel.calendar import reindex_parts
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.leakage_checks import calendar_leakage
    from forecast_assets.core.panel.parts import ticker_parts

    digests, corrections = YearDigests(), []
    filled = segments = 0

    def parts() -> Iterator[pl.DataFrame]:
        nonlocal filled, segments
        for part, applied in reindex_parts(lambda: ticker_parts(raw_panel), spec=panel):
            corrections.append(applied)
            filled += int(part["is_missing"].sum())
            segments += part.select("ticker", "segment").n_unique()
            yield part

    write_table(digests.watch(parts()), folder / TABLE)
    report = pl.concat(corrections)
    return StageOutput(
        files={CORRECTIONS: report},
        facts={"filled_rows": filled, "segments": segments, "corrections_applied": report.height},
        checks=causal_checks(calendar_leakage(raw_panel, spec=panel)),
        slices=digests.digests(),
        columns=calendar_columns(),
    )
