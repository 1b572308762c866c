"""Materialise a stage: find the version with its input key, else run the stage and prepare a new one for publication.

Dagster never skips by itself, so this does: where the store holds a version made by the same code from the same settings and
parents, it is returned as it is, from the command line, a click and a backfill alike.

One process at a time makes an asset and partition: a second one (a retry while the first step still runs, a double launch)
waits for the lock and then finds what the first one published. A stage reads what is current once it has the lock,
and a year's parents must have been made from the same panel: two runs at the same time are never mixed.
"""

import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ValidationError

from forecast_assets.assets.framework.code_version import code_version, require_unedited
from forecast_assets.assets.framework.inputs import (
    CHECKPOINTS,
    COMMITTED,
    HARDWARE,
    YEAR,
    NewVersion,
    StageContext,
    StageResources,
)
from forecast_assets.assets.framework.launchpad import with_overrides
from forecast_assets.assets.framework.metadata import check_results, version_metadata
from forecast_assets.assets.framework.output import SKIPPED, StageOutput
from forecast_assets.assets.framework.parameters import Needs, Values, arguments, needs_of
from forecast_assets.assets.framework.replays import require_own_root
from forecast_assets.assets.framework.staleness import NO_MATERIALISATION, observation, pointers_to_skipped, shown_tags
from forecast_assets.assets.framework.views import BY_NIGHT, BY_YEAR, settled
from forecast_assets.core.errors import BadInput, BadSetting, CorruptArtefact
from forecast_assets.core.settings import Settings
from forecast_assets.core.specs import Spec
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.process_setup import torch_threads
from forecast_assets.resources.settings import describe
from forecast_assets.resources.signals import RECORD
from forecast_assets.resources.store_io import After, Prepared
from forecast_assets.store.artefact_files import TUNED_SETTINGS
from forecast_assets.store.keys import canonical_json, input_key, sha256_text
from forecast_assets.store.locks import Lock
from forecast_assets.store.manifest import Entry
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

SWEEP = "sweep"

Adds = Callable[[Version, Mapping[str, Any], StageContext], bool]
"""Whether there is something to add to what was committed once: ``adds(committed, parents, context)``."""


def tuned_overrides(store: Store) -> list[str]:
    """Return the current sweep's settings as Hydra overrides, which come before a user's own: these win."""
    if not store.has(SWEEP):
        return []
    return [f"{setting}={value}" for setting, value in store.current(SWEEP).json(TUNED_SETTINGS)["settings"].items()]


@dataclass(frozen=True)
class CheckSpec:
    """An asset check whose outcome the stage itself returns."""

    name: str
    description: str
    blocking: bool = True


@dataclass(frozen=True)
class Stage:
    """A stage function and how it is materialised; see ``stage.stage``."""

    function: Callable[..., StageOutput]
    asset: str
    parameters: Mapping[str, Any]  # name -> annotation
    checks: Sequence[CheckSpec]
    after: After | None
    tuned: bool
    once: bool
    partitioned: bool
    models: Sequence[str] | None
    read_by_others: str | None = None
    follows: Sequence[str] = ()
    observed: Mapping[str, str] = field(default_factory=dict)  # asset that is observed -> what the input key calls it
    adds: Adds | None = None

    @cached_property
    def needs(self) -> Needs:
        return needs_of(self.parameters)

    @property
    def by_year(self) -> bool:
        """Whether a partition is the fold of a year, which reads no row after it."""
        return YEAR in self.needs.early

    def shown_parent(self, parent: str) -> str:
        """Return the asset that Dagster has for a parent: the view of what this stage reads of it, where there is one."""
        views = BY_NIGHT if self.once else BY_YEAR if self.by_year else None
        return f"{parent}{views.suffix}" if views and parent in views.groups else parent

    @property
    def settled(self) -> list[str]:
        """What Dagster has for the parents, all with partitions, that make nothing stale, whatever becomes of them."""
        if self.once:
            return [self.shown_parent(parent) for parent in self.needs.parents]
        return list(self.follows) if self.observed else []

    @property
    def code_version(self) -> str:
        return code_version(self.function.__module__, models=self.models)

    def shown_tags(self, settings: Settings, launchpad: Any = None) -> dict[str, str]:
        """Return the tags of a materialisation with ``settings``; none for what is committed once, whatever has changed.

        The settings that a search found come over these: they count as its data version, which is shown too.
        """
        return {} if self.once else shown_tags(self.code_version, _sections(self.needs, settings, launchpad))

    def materialise(
        self, dagster: dg.AssetExecutionContext, config: Any, parents: Mapping[str, Any], resources: StageResources
    ) -> Any:
        """Return the found version's result, or a new version prepared for the IO manager, which then holds the lock."""
        with RECORD.interruptible(dg.DagsterExecutionInterruptedError):
            return self._materialised(dagster, config, parents, resources)

    def _materialised(
        self, dagster: dg.AssetExecutionContext, config: Any, parents: Mapping[str, Any], resources: StageResources
    ) -> Any:
        partition = dagster.partition_key if self.partitioned else None  # a night's run has one for all of its assets
        store = resources.store.store()
        require_own_root(store, resources.store.root())
        lock = store.lock(self.asset, partition, on_wait=dagster.log.info)
        try:
            self._require_order(dagster, resources.store.names)
            settings = resources.settings.settings(tuned_overrides(store) if self.tuned else ())
            context = StageContext(self.asset, partition, dagster, resources, settings)
            result = _Materialisation(self, context, config, lock, _current(context, parents)).result()
        except BaseException:
            lock.release()
            raise
        if not isinstance(result.value, Prepared):  # found, so there is nothing to publish
            lock.release()
        return result

    def _require_order(self, dagster: dg.AssetExecutionContext, names: PanelNames) -> None:
        """Raise BadInput where a run makes a parent and not the view of it, which alone keeps parent and stage in order."""
        made = dagster.job_def.asset_layer.executable_asset_keys
        for parent in self.needs.parents:
            view = self.shown_parent(parent)
            if view != parent and names.key(parent) in made and names.key(view) not in made:
                raise BadInput(
                    f"{self.asset}: this run makes {parent} too, and nothing keeps the two in order; select {view} as well, "
                    "or launch them one after the other"
                )


@dataclass(frozen=True)
class _Materialisation:
    """One materialisation, under the lock."""

    stage: Stage
    context: StageContext
    launchpad: Any
    lock: Lock
    parents: Mapping[str, Any]

    def result(self) -> Any:
        stage, context = self.stage, self.context
        values = Values(
            self.parents,
            _sections(stage.needs, context.settings, self.launchpad),
            {marker: marker.make(context) for marker in stage.needs.early},
        )
        seen = self._seen(values)
        config = {name: spec.model_dump(mode="json") for name, spec in values.sections.items()}
        require_unedited(stage.function.__module__, models=stage.models)
        code = stage.code_version
        key = input_key(asset=stage.asset, partition=context.partition, code_version=code, config=config, parents=seen)
        found = self._found(key)
        if found is not None:
            return self._as_found(found, seen)
        staging = context.store.stage(stage.asset, context.partition, input_key=key)
        try:
            return self._compute(values, NewVersion(key, code, config, staging), seen)
        except BaseException:
            staging.discard()
            raise

    def _seen(self, values: Values) -> dict[str, str]:
        """Label -> data version of all that is read."""
        year = int(self.context.partition) if self.stage.by_year and self.context.partition else None
        seen: dict[str, str] = {}
        for value in values.parents.values():
            for version in value.values() if isinstance(value, dict) else [value]:
                seen[version.label] = version.seen_by(year)
        if year is not None:
            require_same_parents(
                f"{self.stage.asset}/{self.context.partition}", self.context.partition, self.parents, seen
            )
        for marker in self.stage.needs.early:
            seen |= marker.seen(values.injected[marker])
        return seen

    def _found(self, key: str) -> Version | None:
        """The version to return as it is; one whose bytes are not as published is made again, with a warning."""
        store, asset, partition = self.context.store, self.stage.asset, self.context.partition
        committed = self.stage.once and store.has(asset, partition)
        found = store.current(asset, partition) if committed else store.find(asset, partition, key)
        if found is None:
            return None
        try:
            found.check()
        except CorruptArtefact as error:
            self.context.dagster.log.warning(f"{error} It is computed again.")
            return None
        if committed and self.stage.adds and self.stage.adds(found, self.parents, self.context):
            return None
        return found

    def _as_found(self, found: Version, seen: Mapping[str, str]) -> Any:
        context = self.context
        context.store.promote(found)
        context.dagster.log.debug(f"{self.stage.asset} {context.partition or ''}: unchanged, version {found.id}")
        if self.stage.after:
            self.stage.after(found, context.dagster.instance, context.resources.store)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(self._data_version(found.data_version, found.manifest.files)),
            metadata=self._recorded(self._metadata(found) | {"computed": False}),
            check_results=check_results(found),
            tags=self._tags(seen),
        )

    def _data_version(self, whole: str, files: Mapping[str, Entry]) -> str:
        """Return the data version that Dagster compares: of the one file that others read, if it is one alone."""
        alone = self.stage.read_by_others
        return files[alone].sha256 if alone else whole

    def _metadata(self, source: Version | Path, **own: Any) -> dict[str, Any]:
        names = self.context.resources.store.names
        return version_metadata(self.stage.asset, source, data_root=self.context.data_root, names=names, **own)

    def _tags(self, seen: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of the materialisation, and record what was observed to make it."""
        observed: dict[str, str] = {}
        names = self.context.resources.store.names
        for asset, label in self.stage.observed.items():
            event, made_from = observation(
                asset, seen[label] if label else sha256_text(canonical_json(dict(seen))), names
            )
            self.context.dagster.log_event(event)
            observed |= made_from
        dagster, parents = self.context.dagster, (v for v in self.parents.values() if isinstance(v, Version))
        skipped = pointers_to_skipped((v for v in parents if SKIPPED in v.manifest.facts), dagster.instance, names)
        shown = self.stage.shown_tags(self.context.resources.settings.settings(), self.launchpad)
        return shown | skipped | observed | settled(map(names.key, self.stage.settled))

    def _recorded(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata of a result; of one that was skipped Dagster records an observation and nothing more."""
        if SKIPPED not in metadata:
            return dict(metadata)
        context = self.context
        shown = {name: metadata[name] for name in (SKIPPED, "computed")}
        observed = dg.AssetObservation(
            context.resources.store.names.key(context.asset),
            description=metadata[SKIPPED],
            partition=context.partition,
            metadata=shown,
        )
        context.dagster.log_event(observed)
        return {**metadata, **NO_MATERIALISATION}

    def _compute(self, values: Values, new: NewVersion, seen: Mapping[str, str]) -> Any:
        stage, started = self.stage, time.perf_counter()
        late: dict[Any, Any] = {marker: marker.make(self.context, new) for marker in stage.needs.late}
        values = replace(values, injected={**values.injected, **late})
        compute = self.context.resources.compute
        device: AbstractContextManager[Any] = nullcontext()
        if HARDWARE in stage.needs.late:  # one process at a time, whatever is left of an earlier run
            device = compute.device_lock(on_wait=self.context.dagster.log.info)
        with device, torch_threads(compute.threads):
            output = stage.function(**arguments(stage.parameters, values))
        if undeclared := set(output.checks) ^ {check.name for check in stage.checks}:
            raise ValueError(f"{stage.asset}: checks declared and checks made differ: {sorted(undeclared)}")
        facts = {
            **output.facts,
            "seconds": round(time.perf_counter() - started, 3),
            "process_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        output.write(new.staging.path)
        require_unedited(stage.function.__module__, models=stage.models)
        for marker, value in values.injected.items():
            if marker in stage.needs.early:
                marker.require_unchanged(value)
        fields = {
            "parents": dict(seen),
            "config": dict(new.config),
            "code_version": new.code_version,
            "seeds": list(output.seeds),
            "slices": dict(output.slices),
            "facts": {
                **facts,
                "checks": {name: vars(check) for name, check in output.checks.items()},
                "columns": {name: vars(column) for name, column in output.columns.items()},
            },
        }
        over = late[COMMITTED].id if late.get(COMMITTED) else None
        prepared = Prepared(new.staging, fields, stage.after, self.lock, first=stage.once, over=over)  # type: ignore[arg-type]
        data_version = self._data_version(new.staging.seal(), new.staging.files)
        if CHECKPOINTS in late:
            shutil.rmtree(late[CHECKPOINTS], ignore_errors=True)  # no longer needed
        return dg.MaterializeResult(
            value=prepared,
            data_version=dg.DataVersion(data_version),
            metadata=self._recorded(
                self._metadata(new.staging.path, facts=facts, columns=output.columns) | {"computed": True}
            ),
            check_results=check_results(output.checks),
            tags=self._tags(seen),
        )


def require_same_parents(
    label: str, partition: str | None, parents: Mapping[str, Any], seen: Mapping[str, str]
) -> None:
    """Raise BadInput where a parent of the same year was made from another version of what this stage reads too."""
    for parent in parents.values():
        if isinstance(parent, dict) or parent.partition != partition:
            continue
        for read, made_from in parent.manifest.parents.items():
            if seen.get(read, made_from) != made_from:
                raise BadInput(
                    f"{label}: {parent.label} was made from another {read} than the current one, which came in between; "
                    f"run {parent.label} again first"
                )


def _current(context: StageContext, parents: Mapping[str, Any]) -> dict[str, Any]:
    """The parents as they are now: another run may have published while this one waited for the lock."""

    def current(version: Version) -> Version:
        now = context.store.current(version.asset, version.partition)
        if now.id != version.id:
            now.check()
        return now

    return {
        name: {key: current(version) for key, version in value.items()} if isinstance(value, dict) else current(value)
        for name, value in parents.items()
    }


def _sections(needs: Needs, settings: Settings, launchpad: Any) -> dict[str, Spec]:
    chosen = {}
    for name in needs.sections:
        try:
            chosen[name] = with_overrides(getattr(settings, name), getattr(launchpad, name, None))
        except ValidationError as error:
            raise BadSetting(describe(error)) from error
    return chosen
