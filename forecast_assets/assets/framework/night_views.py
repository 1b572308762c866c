"""What a night reads of assets without nights, by night: what the committed assets of a night depend on.

A night is committed once: the panel and the champion change every evening, and a run of an earlier night returns what was
committed. Dagster would call it stale all the same. So its dependencies are partitions of nights, and a committed night
says of each that no later version of it counts (``settled``). Nothing is copied: a view's data
version is that of what it shows, as of its last run.
"""

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from forecast_assets.assets.framework.partitions import days, of_panel
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.versions import Version

VIEWED_BY_NIGHT = ("windowed_tensors", "serving_model")
"""Assets without partitions that a night is committed from."""

SUFFIX = "_by_night"
CODE = "as of the night's run"


def night_view(asset: str, names: PanelNames) -> dg.AssetsDefinition:
    """Make the view of an asset by night. An input of the same name reads the asset."""

    def view(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        version = store.store().current(asset)
        return dg.MaterializeResult(data_version=dg.DataVersion(version.data_version), metadata={"version": version.id})

    return dg.asset(
        key=names.key(f"{asset}{SUFFIX}"),
        description=f"`{asset}` as the night's run finds it. Nothing is copied. A night that is committed keeps what it was "
        "made from, so what depends on this is not out of date where this is.",
        deps=[names.key(asset)],
        partitions_def=of_panel(days, names),
        group_name=names.name("night"),
        kinds={"view"},
        owners=[environment.owner()],
        tags={"domain": "operations", "tier": "production"},
        code_version=CODE,
        io_manager_key=names.name("io_manager"),
    )(names.renamed(view))


def report_night_views(night: Version, instance: dg.DagsterInstance, names: PanelNames) -> None:
    """Record what a committed ``night`` was made from, in the views that no run has recorded for it."""
    for asset in VIEWED_BY_NIGHT:
        seen, shown, key = night.manifest.parents.get(asset), names.key(asset), names.key(f"{asset}{SUFFIX}")
        of_night = dg.AssetRecordsFilter(key, asset_partitions=[night.partition or ""])
        if seen is None or instance.fetch_materializations(of_night, limit=1).records:
            continue
        tags = {
            CODE_VERSION_TAG: CODE,
            DATA_VERSION_TAG: seen,
            DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
            get_input_data_version_tag(shown): seen,
            get_input_event_pointer_tag(shown): NULL_EVENT_POINTER,
        }
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=night.partition, tags=tags))


def settled(parents: Iterable[str], names: PanelNames) -> dict[str, str]:
    """Return tags of a materialisation that no later one of partitioned ``parents`` makes stale."""
    return {get_input_event_pointer_tag(names.key(parent)): NULL_EVENT_POINTER for parent in parents}
