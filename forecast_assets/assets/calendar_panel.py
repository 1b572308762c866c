"""The panel reindexed to the sessions of each ticker's exchange, with each day's members and sectors."""

from collections.abc import Iterator

import polars as pl

from forecast_assets.assets.framework.causality_checks import CAUSAL, causal_checks
from forecast_assets.assets.framework.column_lineage import calendar_columns
from forecast_assets.assets.framework.inputs import OutputFolder, RawSectors, RawUniverse
from forecast_assets.assets.framework.output import StageOutput, write_table
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.panel.raw_checks import require_few_invalid_rows
from forecast_assets.core.specs import PanelSpec
from forecast_assets.store.artefact_files import CORRECTIONS, TABLE
from forecast_assets.store.versions import Version


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def calendar_panel(
    raw_panel: Version, panel: PanelSpec, universe: RawUniverse, sectors: RawSectors, folder: OutputFolder
) -> StageOutput:
    """One row per ticker and session of its exchange; short holes filled and flagged, long ones end the segment.

    Each row says whether its ticker was in the universe that day, and its sector: from the files that FORECAST_UNIVERSE
    and FORECAST_SECTORS name. Raises BadInput where too many rows of the raw panel were invalid.
    """
    from forecast_assets.core.panel.calendar import reindex_parts
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.leakage_checks import calendar_leakage
    from forecast_assets.core.panel.parts import ticker_parts
    from forecast_assets.core.panel.point_in_time import (
        Membership,
        known_by,
        label_sectors,
        mark_members,
        read_sectors,
        read_universe,
        require_members,
        sector_facts,
    )

    require_few_invalid_rows(raw_panel)
    raw_rows = pl.scan_parquet(raw_panel.path(TABLE))
    members = known_by(read_universe(universe.path), universe.until) if universe.path else None
    labels = known_by(read_sectors(sectors.path), sectors.until) if sectors.path else None
    days = raw_rows.select(first=pl.min("date"), last=pl.max("date")).collect(engine="streaming").row(0, named=True)
    tickers = raw_rows.select(pl.col("ticker").unique().sort()).collect(engine="streaming")["ticker"]
    if members is not None:
        require_members(members, tickers, **days)
    digests, corrections, membership = YearDigests(), [], Membership()
    filled = segments = 0

    def parts() -> Iterator[pl.DataFrame]:
        nonlocal filled, segments
        for part, applied in reindex_parts(lambda: ticker_parts(raw_rows), spec=panel):
            corrections.append(applied)
            filled += int(part["is_missing"].sum())
            segments += part.select("ticker", "segment").n_unique()
            part = label_sectors(mark_members(part, members), labels)
            membership.add(part)
            yield part

    write_table(digests.watch(parts()), folder / TABLE)
    report = pl.concat(corrections)
    return StageOutput(
        files={CORRECTIONS: report},
        facts={
            "filled_rows": filled,
            "segments": segments,
            "corrections_applied": report.height,
            **(membership.facts(members, today=days["last"]) if members is not None else {}),
            **(sector_facts(labels, tickers) if labels is not None else {}),
        },
        checks=causal_checks(calendar_leakage(raw_rows, spec=panel, universe=members, sectors=labels)),
        slices=digests.digests(),
        columns=calendar_columns(),
    )
