"""The rows of a table up to the end of each test year, as partitions of their own: what the folds depend on.

A new session changes the whole table, and the rows of none but its own year. A view publishes nothing: its data version is
the digest of those rows. The stage that makes the table reports its views too, so that they are never behind it.
"""

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from forecast_assets.assets.framework.partitions import of_panel, years
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.versions import Version

VIEWED = {"calendar_panel": "panel", "windowed_tensors": "panel", "fx_rates": "verdict"}
"""Tables with a digest of each year's rows that folds read -> their group."""

SUFFIX = "_by_year"
CODE = "rows up to the end of the year"


def year_view(asset: str, names: PanelNames) -> dg.AssetsDefinition:
    """Make the view of a panel's table by year. An input of the same name reads the table."""

    def view(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        version = store.store().current(asset)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(version.seen_by(int(context.partition_key))),
            metadata={"version": version.id},
        )

    return dg.asset(
        key=names.key(f"{asset}{SUFFIX}"),
        description=f"The rows of `{asset}` up to the end of each test year: all that the folds of that year read of it. "
        "Nothing is copied; it changes when one of those rows does.",
        deps=[names.key(asset)],
        partitions_def=of_panel(years, names),
        group_name=names.name(VIEWED[asset]),
        kinds={"view"},
        owners=[environment.owner()],
        tags={"domain": "data", "tier": "research"},
        code_version=CODE,
        io_manager_key=names.name("io_manager"),
    )(names.renamed(view))


def report_views(version: Version, instance: dg.DagsterInstance, names: PanelNames) -> None:
    """Record the views of a panel's table that has become current, those whose record is up to date excepted."""
    if version.asset not in VIEWED:
        return
    table, key = names.key(version.asset), names.key(f"{version.asset}{SUFFIX}")
    for year in instance.get_dynamic_partitions(names.name(years.name or "")):
        tags = {
            CODE_VERSION_TAG: CODE,
            DATA_VERSION_TAG: version.seen_by(int(year)),
            DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
            get_input_data_version_tag(table): version.data_version,
            get_input_event_pointer_tag(table): NULL_EVENT_POINTER,  # its event is not recorded yet
        }
        last = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[year]), limit=1).records
        before = last[0].asset_materialization if last else None
        if before is None or not before.tags or not tags.items() <= before.tags.items():
            metadata = {"version": version.id}
            instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=year, tags=tags, metadata=metadata)
            )
