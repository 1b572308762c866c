"""Record in Dagster what the store holds, where Dagster has lost it: its home was wiped, or is a new machine's.

The store is what there is; Dagster's events are a view of it. Without them every asset looks as if it had never been made.
"""

import logging
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG

from forecast_assets.assets.framework.materialise import Stage
from forecast_assets.assets.framework.metadata import check_results, version_metadata
from forecast_assets.assets.framework.output import SKIPPED
from forecast_assets.assets.framework.stage import CHECKS_HAVE_PARTITIONS, STAGES
from forecast_assets.assets.framework.views import report_night_views
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.asset_keys import RAW_PANEL
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)


def is_forgotten(instance: dg.DagsterInstance, where: StoreResource) -> bool:
    """Return whether there is a panel in the store and Dagster knows of none."""
    key = where.names.key(RAW_PANEL)
    return where.store().has(RAW_PANEL) and instance.get_latest_materialization_event(key) is None


def rebuild(instance: dg.DagsterInstance, where: StoreResource) -> int:
    """Report every current version that Dagster has no materialisation of, with its checks; return how many there were.

    The years and nights of the panel become partitions again. A damaged version is left out with a warning. The events say
    which data a version holds, and not which it was made from: nothing counts as stale before it was run again, and a run
    computes what has changed as ever. Needs the definitions to have been imported, which is when the stages are known.
    """
    order = sorted(STAGES, key=lambda asset: asset != RAW_PANEL)  # it registers the partitions of the others
    return sum(
        _report(STAGES[asset], version, instance, where) for asset in order for version in _lost(asset, instance, where)
    )


def _lost(asset: str, instance: dg.DagsterInstance, where: StoreResource) -> Iterator[Version]:
    """Yield the current versions of an asset without a materialisation."""
    key, store = where.names.key(asset), where.store()
    if STAGES[asset].partitioned:
        known = instance.event_log_storage.get_materialized_partitions(key)
        slots: list[str | None] = [partition for partition in store.partitions(asset) if partition not in known]
    else:
        slots = [None] if store.has(asset) and instance.get_latest_materialization_event(key) is None else []
    for partition in slots:
        try:
            version = store.current(asset, partition)
        except CorruptArtefact as error:
            log.warning("not reported: %s", error)
            continue
        if SKIPPED not in version.manifest.facts:  # of which Dagster has no materialisation anyway
            yield version


def _report(stage: Stage, version: Version, instance: dg.DagsterInstance, where: StoreResource) -> int:
    """Report one version; 0 where a file of it is damaged."""
    key, alone = where.names.key(version.asset), stage.read_by_others
    try:
        metadata = version_metadata(version.asset, version, data_root=where.root(), names=where.names) | {
            "computed": False
        }
    except CorruptArtefact as error:
        log.warning("not reported: %s", error)
        return 0
    data_version = version.manifest.files[alone].sha256 if alone else version.data_version
    tags = {DATA_VERSION_TAG: data_version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    event = dg.AssetMaterialization(key, partition=version.partition, metadata=metadata, tags=tags)
    if stage.once:
        report_night_views(version, instance, where.names)  # later than the night, they would make it stale
    instance.report_runless_asset_event(event)
    for found in check_results(version):
        assert found.check_name is not None
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=found.check_name,
                passed=found.passed,
                metadata=found.metadata,
                severity=found.severity,
                description=found.description,
                partition=version.partition if CHECKS_HAVE_PARTITIONS else None,
            )
        )
    if stage.after:
        stage.after(version, instance, where)
    return 1
