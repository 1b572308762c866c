"""The store as a Dagster resource, and the IO manager that publishes to it and reads from it."""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from forecast_assets.core.errors import MissingArtefact
from forecast_assets.resources import environment
from forecast_assets.resources.machine_errors import machine_errors_as_user_errors
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.store.locks import Lock
from forecast_assets.store.manifest import ManifestFields
from forecast_assets.store.staging import Staging
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

# Called once a version is current, new or found: ``after(version, instance, where)``, with the panel's store resource.
After = Callable[[Version, dg.DagsterInstance, "StoreResource"], None]


@dataclass(frozen=True)
class Prepared:
    """A sealed staging folder and the fields of its manifest, for the IO manager to publish."""

    staging: Staging
    fields: ManifestFields
    after: After | None
    lock: Lock  # held until the version is published
    first: bool = False  # whether a version that another process published in the meantime is kept instead
    over: str | None = None  # but for the one with this id, to which this one adds


class StoreResource(dg.ConfigurableResource):
    """The data root and the artefact store below it."""

    data_dir: str = Field(default="", description="root of raw/, store/ and reports/; empty: FORECAST_DATA_DIR")
    key_prefix: str = Field(default="", description="of the panel's asset keys, where a deployment has several panels")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Raise BadSetting where a run's configuration names a root outside of what was declared where it was started."""
        declared = environment.data_dir()
        if not self.data_dir or environment.is_declared_root(self.data_dir):
            return
        environment.refuse_secret(self.data_dir, setting="store.data_dir")
        is_below_url = self.data_dir.startswith(f"{declared}/") and "/../" not in f"{self.data_dir}/"
        if not ("://" in declared and is_below_url):
            environment.require_inside(self.root(), setting="store.data_dir")

    def root(self) -> str:
        """Return the data root, a local path or an fsspec URL."""
        return environment.checked_root(self.data_dir) if self.data_dir else environment.data_dir()

    @property
    def names(self) -> PanelNames:
        """What the panel's assets and partitions are called."""
        return PanelNames(self.key_prefix)

    def store(self) -> Store:
        """Return the store below the data root."""
        return Store(f"{self.root().rstrip('/')}/store")


class StoreIOManager(dg.ConfigurableIOManager):
    """Publish what a stage prepared; open parents lazily, as handles on verified versions."""

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Prepared) -> None:
        """Write the manifest and move CURRENT."""
        with obj.lock, machine_errors_as_user_errors(obj.staging.asset):
            version = self.store.store().commit(obj.staging, obj.fields, first=obj.first, over=obj.over)
            context.log.debug(f"{version.asset} {version.partition or ''}: published version {version.id}")
            if obj.after:
                obj.after(version, context.step_context.instance, self.store)

    def load_input(self, context: dg.InputContext) -> Version | dict[str, Version]:
        """Return the parent's current version; for an input of many partitions, the published ones by key.

        A partition that was never materialised is left out of a dict, and raises MissingArtefact otherwise; a version
        that is gone or altered always raises CorruptArtefact.
        """
        asked = context.definition_metadata or {}
        store, key = self.store.store(), context.asset_key.path[-1]
        asset = str(asked.get("asset", key))  # the table of a view by year, which has no files of its own
        if not asked.get("many"):
            partition = context.asset_partition_key if context.has_asset_partitions and asset == key else None
            version = store.current(asset, partition)
            version.check()
            return version
        keys = sorted(context.asset_partition_keys)
        versions = {key: store.current(asset, key) for key in keys if store.has(asset, key)}
        if not versions:
            raise MissingArtefact(f"{asset}: none of its partitions is materialised yet; run it for at least one year")
        for version in versions.values():
            version.check()
        return versions
