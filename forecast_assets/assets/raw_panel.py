"""The raw panel and the rows it did not accept: one reading of the files, published as one version."""

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.inputs import DataRoot, OutputFolder, PanelInUse, RawFiles
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput, write_table
from forecast_assets.assets.framework.partitions import days, due_days, years
from forecast_assets.assets.framework.replays import as_of_fact
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.panel.panel_files import PANEL_FILES
from forecast_assets.assets.panel.raw_checks import (
    CALENDARS_GO_ON,
    FEW_INVALID_ROWS,
    calendars_go_on,
    exchanges_published,
    few_invalid_rows,
    has_a_test_year,
    kept_test_year,
    require_same_panel,
)
from forecast_assets.core.panel.completeness import recent_quotes
from forecast_assets.core.specs import FoldSpec, PanelSpec
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import (
    FLAGS,
    PARTITIONS,
    QUOTED,
    READING,
    REJECTED_ROWS,
    REVISION_WORTH,
    REVISIONS,
    TABLE,
    TICKERS,
)
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST
from forecast_assets.store.versions import Version

RECENT_SESSIONS = 30  # sessions whose nights can be asked for before there is any


def register_partitions(version: Version, instance: dg.DagsterInstance, where: StoreResource) -> None:
    """Make the panel's own years and its sessions whose nights are due partitions of the graph.

    An earlier release registered sessions before the first night too: they are taken back.
    """
    contents, name = version.json(PARTITIONS), where.names.name(days.name or "")
    nights = where.store().partitions(NIGHTLY_FORECAST)
    due = due_days(contents.get("sessions", contents["days"]), nights=nights)
    instance.add_dynamic_partitions(where.names.name(years.name or ""), contents["years"])
    instance.add_dynamic_partitions(name, due)
    for day in instance.get_dynamic_partitions(name):
        if day < min([due[0], *nights]):
            instance.delete_dynamic_partition(name, day)


@stage(
    group="panel",
    kinds={"polars"},
    checks=(
        CheckSpec("every_row_accounted_for", "accepted + rejected = read"),
        CheckSpec(FEW_INVALID_ROWS, "invalid rows are at most panel.max_invalid_share of all", blocking=False),
        CheckSpec(
            "revisions_cost_little",
            "where a close was revised after a night, a forecast from what was known then lost at most "
            "panel.max_revision_cost more than one from what is known now",
            blocking=False,
        ),
        CheckSpec("has_a_test_year", "the history suffices for a first test year", blocking=False),
        CheckSpec(CALENDARS_GO_ON, "no exchange's calendar ends within panel.calendar_days", blocking=False),
    ),
    after=register_partitions,
    observed={PANEL_FILES: "drops"},
)
def raw_panel(
    files: RawFiles, panel: PanelSpec, folds: FoldSpec, folder: OutputFolder, in_use: PanelInUse, data_root: DataRoot
) -> StageOutput:
    """Typed, de-duplicated rows of the raw panel: one per ticker and date.

    Raises BadInput for another panel than the one that the store's years and nights were made from.
    """
    from forecast_assets.core.evaluation.revision_losses import used_before_revised
    from forecast_assets.core.panel.ingest import Reading
    from forecast_assets.core.windows.folds import first_test_year
    from forecast_assets.resources.arrival_log import record_arrivals

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        known = exchanges_published(in_use, panel.renames)
        reading = Reading(files.files, spec=panel, scratch=Path(scratch), until=files.until, published=known)
        write_table(reading.parts(), folder / TABLE)
    rejected, flags, revisions = reading.rejected, reading.flags, reading.revisions
    worth = worth_of(revisions, folder / TABLE)
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
    few_invalid = few_invalid_rows(rejected, invalid, reading.rows_read, limit=panel.max_invalid_share)
    if few_invalid.passed:  # else the files will be mended, and what was there then is the first reading
        record_arrivals(data_root, files.new)
    sessions = Counter(day.year for day in found["days"])
    first_test = first_test_year(sessions, spec=folds, kept=kept_test_year(in_use, folds, first=found["first"]))
    history = sum(count for year, count in sessions.items() if year < (first_test or max(sessions)))
    return StageOutput(
        files={
            REJECTED_ROWS: rejected,
            FLAGS: flags,
            READING: reading.summary(files.left_out),
            TICKERS: reading.tickers,
            REVISIONS: revisions,
            REVISION_WORTH: worth,
            PARTITIONS: partitions_of(found["days"], first_test),
            QUOTED: recent_quotes(table, last=found["last"]),
        },
        facts={
            "rows_read": reading.rows_read,
            "rows_rejected": rejected.height,
            "rows_invalid": invalid,
            "rows_flagged": flags.height,
            "rows_revised": revisions.height,
            "rows_revised_after_use": used_before_revised(revisions),
            "rows_after_as_of": later,
            "files": len(files.files),
            "files_after_as_of": len(files.later),
            "tickers": found["tickers"],
            "as_of": as_of_fact(),
            "first_session": str(found["first"]),
            "last_session": str(found["last"]),
            "first_test_year": first_test or "none",
            **({"planted_signal": files.planted_signal} if files.planted_signal else {}),
            "history_sessions": history,
            "min_history_sessions": folds.min_history_sessions,
        },
        checks={
            "every_row_accounted_for": Check(
                accounted == reading.rows_read,
                f"{found['rows']} accepted + {later} after the clock + {rejected.height} rejected "
                f"of {reading.rows_read} read",
            ),
            FEW_INVALID_ROWS: few_invalid,
            "revisions_cost_little": cost_of(worth, limit=panel.max_revision_cost),
            CALENDARS_GO_ON: calendars_go_on(reading.tickers["exchange"], found["last"], days=panel.calendar_days),
            "has_a_test_year": has_a_test_year(found["first"], found["last"], first_test, history, folds),
        },
    )


def partitions_of(sessions: Sequence[dt.date], first_test_year: int | None) -> dict[str, Any]:
    """Return the panel's test years and its ``sessions`` (ascending); those in ``days`` can have a night at once."""
    years = sorted({day.year for day in sessions})
    return {
        "first_test_year": first_test_year,
        "years": [str(year) for year in years if first_test_year is not None and year >= first_test_year],
        "days": [str(day) for day in sessions[-RECENT_SESSIONS:]],
        "sessions": [str(day) for day in sessions],
    }


def worth_of(revisions: pl.DataFrame, table: Path) -> pl.DataFrame:
    """Return, by ``revision_losses.WORTH``, what revisions after a night were worth to a plain forecast."""
    from forecast_assets.core.evaluation.revision_losses import revision_losses, revision_worth

    quotes = pl.scan_parquet(table).filter(pl.col("ticker").is_in(revisions["ticker"].unique().implode()))
    return revision_worth(revision_losses(quotes.select("ticker", "date", "close").collect(), revisions))


def cost_of(worth: pl.DataFrame, *, limit: float) -> Check:
    """Return whether forecasts as known then lost at most ``limit`` more than as known now, at each horizon."""
    if worth.is_empty():
        return Check(True, "no close was revised after a night had used it")
    found = worth.with_columns(cost=pl.col("pinball_then") / pl.col("pinball_now") - 1)
    costs = [
        f"h={row['horizon']}: {100 * row['cost']:+.2f} % pinball, {row['origins']} forecast origins"
        for row in found.iter_rows(named=True)
    ]
    return Check(bool((found["cost"] <= limit).all()), f"as known then against as known now: {'; '.join(costs)}")


REASONED = CheckSpec("every_row_has_a_reason", "every rejected row says why, and where it stands")
NO_SPLITS = CheckSpec("no_likely_split", "no accepted price looks like an unadjusted split", blocking=False)


@stage(group="panel", kinds={"polars"}, checks=(REASONED,))
def rejected_rows(raw_panel: Version) -> StageOutput:
    """Every input row that was not accepted, verbatim, with file, line, reason and class."""
    rejected = pl.read_parquet(raw_panel.path(REJECTED_ROWS))
    counts = dict(rejected.group_by("class").len().sort("class").iter_rows())
    unsaid = rejected.filter(pl.any_horizontal(pl.col("file", "line", "reason", "class").is_null())).height
    return StageOutput(
        files={TABLE: rejected},
        facts={f"rows_{kind}": count for kind, count in counts.items()},
        checks={REASONED.name: Check(not unsaid, f"{unsaid} of {rejected.height} rejected rows do not")},
    )


@stage(group="panel", kinds={"polars"}, checks=(NO_SPLITS,))
def flags(raw_panel: Version) -> StageOutput:
    """What is odd about accepted rows, tickers and exchanges: likely splits, special sessions, ended tickers and others."""
    found = pl.read_parquet(raw_panel.path(FLAGS))
    counts = dict(found.group_by("flag").len().sort("flag").iter_rows())
    splits = found.filter(pl.col("flag") == "likely_split")["ticker"].unique().sort().to_list()
    return StageOutput(
        files={TABLE: found},
        facts={f"rows_{flag}": count for flag, count in counts.items()},
        checks={NO_SPLITS.name: Check(not splits, f"likely: {', '.join(splits) or 'none'}", warns=True)},
    )
