"""Views of assets without partitions, by test year and by night: what partitioned assets depend on in the Dagster UI.

Nothing is copied: a view's data version is that of what it shows, so that "stale" is what a run would change.

- *By year*: a new session changes a whole table, and the rows of none but its own year. A partition is the rows up to the
  end of its test year. The stage that makes the table reports its views too, so that they are never behind it.
- *By night*: a night is committed once; the panel and the champion change every evening, and a run of an earlier night
  returns what was committed. A partition is what its night's last run found, and a committed night says of each that no
  later version of it counts (``settled``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from forecast_assets.assets.framework.partitions import days, of_panel, years
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.versions import Version


@dataclass(frozen=True)
class Views:
    """The views of one kind."""

    suffix: str  # of their names
    groups: Mapping[str, str]  # assets that are shown -> the group of their view
    partitions: dg.DynamicPartitionsDefinition
    code: str  # their code version, in words
    tags: Mapping[str, str]
    about: str  # description, with {asset}
    data_version: Callable[[Version, str], str]  # of a version's partition

    def names(self) -> list[str]:
        """Return the names of the views."""
        return [f"{asset}{self.suffix}" for asset in self.groups]


BY_YEAR = Views(
    suffix="_by_year",
    groups={"calendar_panel": "panel", "windowed_tensors": "panel", "fx_rates": "verdict"},
    partitions=years,
    code="rows up to the end of the year",
    tags={"domain": "data", "tier": "research"},
    about="The rows of `{asset}` up to the end of each test year: all that the folds of that year read of it. Nothing is "
    "copied; it changes when one of those rows does.",
    data_version=lambda version, year: version.seen_by(int(year)),
)
"""Of the tables with a digest of each year's rows that folds read."""

BY_NIGHT = Views(
    suffix="_by_night",
    groups={"windowed_tensors": "night", "serving_model": "night"},
    partitions=days,
    code="as of the night's run",
    tags={"domain": "operations", "tier": "production"},
    about="`{asset}` as the night's run finds it. Nothing is copied. A night that is committed keeps what it was made from, "
    "so what depends on this is not out of date where this is.",
    data_version=lambda version, _: version.data_version,
)
"""Of the assets that a night is committed from."""


def views_of(names: PanelNames) -> list[dg.AssetsDefinition]:
    """Return all views of a panel. An input of a view's name reads the asset that it shows."""
    return [_view(views, asset, names) for views in (BY_YEAR, BY_NIGHT) for asset in views.groups]


def _view(views: Views, asset: str, names: PanelNames) -> dg.AssetsDefinition:
    def view(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
        version = store.store().current(asset)
        shown = dg.DataVersion(views.data_version(version, context.partition_key))
        return dg.MaterializeResult(data_version=shown, metadata={"version": version.id})

    return dg.asset(
        key=names.key(f"{asset}{views.suffix}"),
        description=views.about.format(asset=asset),
        deps=[names.key(asset)],
        partitions_def=of_panel(views.partitions, names),
        group_name=names.name(views.groups[asset]),
        kinds={"view"},
        owners=[environment.owner()],
        tags=views.tags,
        code_version=views.code,
        io_manager_key=names.name("io_manager"),
    )(names.renamed(view))


def report_year_views(version: Version, instance: dg.DagsterInstance, names: PanelNames) -> None:
    """Record the views of a panel's table that has become current, those whose record is up to date excepted."""
    if version.asset not in BY_YEAR.groups:
        return
    shown, key = names.key(version.asset), names.key(f"{version.asset}{BY_YEAR.suffix}")
    for year in instance.get_dynamic_partitions(names.name(years.name or "")):
        tags = _tags(BY_YEAR, shown, data_version=version.seen_by(int(year)), seen=version.data_version)
        last = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[year]), limit=1).records
        before = last[0].asset_materialization if last else None
        if before is None or not before.tags or not tags.items() <= before.tags.items():
            event = dg.AssetMaterialization(key, partition=year, tags=tags, metadata={"version": version.id})
            instance.report_runless_asset_event(event)


def report_night_views(night: Version, instance: dg.DagsterInstance, names: PanelNames) -> None:
    """Record what a committed ``night`` was made from, in the views that no run has recorded for it."""
    for asset in BY_NIGHT.groups:
        seen, shown, key = night.manifest.parents.get(asset), names.key(asset), names.key(f"{asset}{BY_NIGHT.suffix}")
        of_night = dg.AssetRecordsFilter(key, asset_partitions=[night.partition or ""])
        if seen is None or instance.fetch_materializations(of_night, limit=1).records:
            continue
        tags = _tags(BY_NIGHT, shown, data_version=seen, seen=seen)
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=night.partition, tags=tags))


def _tags(views: Views, shown: dg.AssetKey, *, data_version: str, seen: str) -> dict[str, str]:
    """Return the tags of a view's materialisation whose input, ``shown``, had the data version ``seen``."""
    return {
        CODE_VERSION_TAG: views.code,
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        get_input_data_version_tag(shown): seen,
        **settled([shown]),  # its event may not be recorded yet
    }


def settled(parents: Iterable[dg.AssetKey]) -> dict[str, str]:
    """Return tags of a materialisation that no later one of partitioned ``parents`` makes stale."""
    return {get_input_event_pointer_tag(parent): NULL_EVENT_POINTER for parent in parents}
