"""The raw panel and the rows it did not accept: one reading of the drops, published as one version."""

import dagster as dg
import polars as pl

from forecast_assets.assets.partitions import days, years
from forecast_assets.assets.product import TABLE, Check, Product
from forecast_assets.assets.stage import CheckSpec, stage
from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import FoldSpec, PanelSpec
from forecast_assets.resources.source import Drops
from forecast_assets.store.versions import Version


def register_partitions(version: Version, instance: dg.DagsterInstance, _data_root: str) -> None:
    """Make the panel's own years and its last session partitions of the graph."""
    contents = version.json("partitions.json")
    instance.add_dynamic_partitions(years.name or "", contents["years"])
    instance.add_dynamic_partitions(days.name or "", contents["days"])


@stage(
    group="panel",
    kinds={"polars"},
    checks=(
        CheckSpec("every_row_accounted_for", "accepted + rejected = read"),
        CheckSpec("few_invalid_rows", "invalid rows are at most panel.max_invalid_share of all"),
    ),
    after=register_partitions,
)
def raw_panel(drops: Drops, panel: PanelSpec, folds: FoldSpec) -> Product:
    """Typed, de-duplicated rows of the raw panel: one per ticker and date."""
    from forecast_assets.core.panel.ingest import read_drops

    read = read_drops(drops.files, spec=panel)
    accepted = read.accepted if drops.as_of is None else read.accepted.filter(pl.col("date") <= drops.as_of)
    if accepted.is_empty():
        raise BadInput(f"{drops.files[0]}: no row is on or before {drops.as_of}; move FORECAST_AS_OF")
    later = read.accepted.height - accepted.height
    invalid = read.rejected.filter(pl.col("class") == "invalid").height
    accounted = accepted.height + later + read.rejected.height
    last = accepted["date"].max()
    panel_years = accepted["date"].dt.year().unique().sort().to_list()
    return Product(
        files={
            TABLE: accepted,
            "rejected.parquet": read.rejected,
            "flags.parquet": read.flags,
            "revisions.parquet": read.revisions,
            "partitions.json": {
                "years": [str(year) for year in panel_years if year >= folds.first_test_year],
                "days": [str(last)],
            },
        },
        facts={
            "rows_read": read.rows_read,
            "rows_rejected": read.rejected.height,
            "rows_invalid": invalid,
            "rows_flagged": read.flags.height,
            "rows_after_as_of": later,
            "tickers": accepted["ticker"].n_unique(),
            "first_session": str(accepted["date"].min()),
            "last_session": str(last),
        },
        checks={
            "every_row_accounted_for": Check(
                accounted == read.rows_read,
                f"{accepted.height} accepted + {later} after the clock + {read.rejected.height} rejected "
                f"of {read.rows_read} read",
            ),
            "few_invalid_rows": Check(
                invalid <= panel.max_invalid_share * read.rows_read,
                f"{invalid} of {read.rows_read} rows are invalid; {panel.max_invalid_share:.0%} is the limit",
            ),
        },
    )


@stage(group="panel", kinds={"polars"})
def rejected_rows(raw_panel: Version) -> Product:
    """Every input row that was not accepted, verbatim, with file, line, reason and class."""
    rejected = pl.read_parquet(raw_panel.path("rejected.parquet"))
    counts = dict(rejected.group_by("class").len().sort("class").iter_rows())
    return Product(files={TABLE: rejected}, facts={f"rows_{kind}": count for kind, count in counts.items()})
