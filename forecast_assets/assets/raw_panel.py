"""The raw panel and the rows it did not accept: one reading of the files, published as one version."""

import tempfile
from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.inputs import DataRoot, OutputFolder, PanelInUse, RawFiles
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput, write_table
from forecast_assets.assets.framework.partitions import days, years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.panel.raw_checks import (
    few_invalid_rows,
    has_a_test_year,
    kept_test_year,
    require_same_panel,
)
from forecast_assets.core.specs import FoldSpec, PanelSpec
from forecast_assets.store.artefact_files import FLAGS, PARTITIONS, REJECTED_ROWS, REVISIONS, TABLE
from forecast_assets.store.versions import Version

RECENT_SESSIONS = 30  # sessions whose nights can be asked for: enough to catch up after an outage of six weeks


def register_partitions(version: Version, instance: dg.DagsterInstance, _data_root: str) -> None:
    """Make the panel's own years and its last sessions partitions of the graph."""
    contents = version.json(PARTITIONS)
    instance.add_dynamic_partitions(years.name or "", contents["years"])
    instance.add_dynamic_partitions(days.name or "", contents["days"])


@stage(
    group="panel",
    kinds={"polars"},
    checks=(
        CheckSpec("every_row_accounted_for", "accepted + rejected = read"),
        CheckSpec("few_invalid_rows", "invalid rows are at most panel.max_invalid_share of all"),
        CheckSpec("has_a_test_year", "the history suffices for a first test year", blocking=False),
    ),
    after=register_partitions,
)
def raw_panel(
    files: RawFiles, panel: PanelSpec, folds: FoldSpec, folder: OutputFolder, in_use: PanelInUse, data_root: DataRoot
) -> StageOutput:
    """Typed, de-duplicated rows of the raw panel: one per ticker and date.

    Raises BadInput for another panel than the one that the store's years and nights were made from.
    """
    from forecast_assets.core.panel.ingest import Reading
    from forecast_assets.core.windows.folds import first_test_year

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        reading = Reading(files.files, spec=panel, scratch=Path(scratch), until=files.as_of)
        write_table(reading.parts(), folder / TABLE)
    rejected, flags = reading.rejected, reading.flags
    table = pl.scan_parquet(folder / TABLE)
    if in_use is not None:
        require_same_panel(in_use, table, files, renames=panel.renames, data_root=data_root)
    seen = table.select(
        pl.len().alias("rows"),
        pl.col("ticker").n_unique().alias("tickers"),
        first=pl.col("date").min(),
        last=pl.col("date").max(),
        days=pl.col("date").unique().sort().implode(),
    ).collect(engine="streaming")
    found = seen.row(0, named=True)
    later = reading.rows_later
    invalid = rejected.filter(pl.col("class") == "invalid").height
    accounted = found["rows"] + later + rejected.height
    sessions = Counter(day.year for day in found["days"])
    first_test = first_test_year(sessions, spec=folds, kept=kept_test_year(in_use, folds, first=found["first"]))
    history = sum(count for year, count in sessions.items() if year < (first_test or max(sessions)))
    return StageOutput(
        files={
            REJECTED_ROWS: rejected,
            FLAGS: flags,
            REVISIONS: reading.revisions,
            PARTITIONS: {
                "first_test_year": first_test,
                "years": [str(year) for year in sorted(sessions) if first_test is not None and year >= first_test],
                "days": [str(day) for day in found["days"][-RECENT_SESSIONS:]],
            },
        },
        facts={
            "rows_read": reading.rows_read,
            "rows_rejected": rejected.height,
            "rows_invalid": invalid,
            "rows_flagged": flags.height,
            "rows_after_as_of": later,
            "tickers": found["tickers"],
            "first_session": str(found["first"]),
            "last_session": str(found["last"]),
            "first_test_year": first_test or "none",
            "history_sessions": history,
            "min_history_sessions": folds.min_history_sessions,
        },
        checks={
            "every_row_accounted_for": Check(
                accounted == reading.rows_read,
                f"{found['rows']} accepted + {later} after the clock + {rejected.height} rejected "
                f"of {reading.rows_read} read",
            ),
            "few_invalid_rows": few_invalid_rows(rejected, invalid, reading.rows_read, limit=panel.max_invalid_share),
            "has_a_test_year": has_a_test_year(found["first"], found["last"], first_test, history, folds),
        },
    )


@stage(group="panel", kinds={"polars"})
def rejected_rows(raw_panel: Version) -> StageOutput:
    """Every input row that was not accepted, verbatim, with file, line, reason and class."""
    rejected = pl.read_parquet(raw_panel.path(REJECTED_ROWS))
    counts = dict(rejected.group_by("class").len().sort("class").iter_rows())
    return StageOutput(files={TABLE: rejected}, facts={f"rows_{kind}": count for kind, count in counts.items()})
