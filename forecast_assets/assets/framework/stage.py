"""What all stages share: look for a version with this input key, open the parents, run the stage, hand it over.

A stage is an ordinary function. Its parameters say what it needs:

- a parameter named like an asset is that parent: annotated ``Version`` (its files), ``pl.LazyFrame`` (its main table) or
  ``dict[str, Version]`` (every partition at hand, by key);
- a parameter annotated with a spec is the field of ``Settings`` of that name (``<name>_spec`` where an asset has the
  name), and only those specs enter the input key;
- a parameter annotated with ``Parameters`` stands for their fields: what several stages need alike, said once; a group
  may hold others, and one that is generic says what its fields are;
- ``year``, ``day``, ``hardware``, ``engine``, ``drops``, ``macro``, ``profile``, ``tracking`` and ``log`` are what their
  names say;
- ``trials`` is the trial ledger as it is now, which enters the input key (a new trial makes a new report); a stage that
  adds to it asks for the ``data_root``;
- ``ledger`` is the nightly forecasts at hand, by day up to the stage's own, which enter the input key as a parent does;
- ``earlier`` is this asset's own last nights before this one, by day, which enter the input key likewise;
- ``champion`` is the bundle that serves now (None before the first), ``next_champion`` who serves next, which enters the
  input key;
- ``folder`` is where the new version is being written, for files too large to be held in memory;
- ``checkpoints`` is a local folder that outlives a killed run and is found again by the next one with the same input key;
- ``previous`` is what was made last time, for what need not be computed again (None where code or settings changed).

One process at a time makes an asset and partition: whoever comes second (an orphaned step's retry, a double launch)
waits for its turn, and then finds what the first one published. What a stage reads is what is current once it has the turn,
and a year's parents must have been made from the same panel: two runs beside each other are never mixed.

Dagster never skips by itself, so the wrapper does: where the store holds a version made by the same code from the same
settings and parents, it is returned as it is, from the command line, a click and a backfill alike.
"""

import inspect
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args, get_origin

import dagster as dg
import polars as pl
from pydantic import ValidationError

from forecast_assets.assets.framework.code_version import code_version
from forecast_assets.assets.framework.freshness import EVERY_NIGHT, every_night
from forecast_assets.assets.framework.inputs import SERVICES, offered
from forecast_assets.assets.framework.launchpad import launchpad_config, with_overrides
from forecast_assets.assets.framework.metadata import check_results, version_metadata
from forecast_assets.assets.framework.output import StageOutput, write_content
from forecast_assets.assets.framework.previous_version import find_previous
from forecast_assets.assets.framework.tuned_settings import SWEEP, tuned_overrides
from forecast_assets.core.errors import BadInput, BadSetting, CorruptArtefact, UserError
from forecast_assets.core.settings import Settings
from forecast_assets.core.specs import Spec
from forecast_assets.resources import environment
from forecast_assets.resources.settings import describe
from forecast_assets.resources.store_io import After, Prepared, disk_errors_as_user_errors
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.keys import canonical_json, input_key, sha256_text
from forecast_assets.store.locks import Turn
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

REQUIRED_RESOURCES = {"store", "settings", "compute", "source", "tracking"}
SPEC_SUFFIX = "_spec"


@dataclass(frozen=True)
class CheckSpec:
    """An asset check that the stage itself decides."""

    name: str
    description: str
    blocking: bool = True


class Parameters:
    """Base of a dataclass whose fields are read as if a stage had them for parameters of its own."""


@dataclass(frozen=True)
class _Signature:
    """The parameters of a stage, sorted by what they are; the fields of ``Parameters`` are among them."""

    parents: dict[str, Any]  # name -> annotation
    specs: dict[str, type[Spec]]
    services: tuple[str, ...]
    groups: dict[str, Any]  # name -> annotation

    @classmethod
    def of(cls, function: Callable[..., StageOutput]) -> "_Signature":
        annotations = {name: p.annotation for name, p in inspect.signature(function).parameters.items()}
        groups = {name: a for name, a in annotations.items() if _is_group(a)}
        for name, group in groups.items():
            del annotations[name]
            annotations |= leaves(group)
        services = tuple(name for name in annotations if name in SERVICES)
        specs = {name: a for name, a in annotations.items() if _is_a(a, Spec)}
        parents = {name: a for name, a in annotations.items() if name not in specs and name not in services}
        return cls(parents, specs, services, groups)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the stage is called with: ``values`` by name, those of a group put together."""
        arguments = dict(values)
        return {name: put_together(group, arguments) for name, group in self.groups.items()} | arguments


def _is_group(annotation: Any) -> bool:
    return _is_a(get_origin(annotation) or annotation, Parameters)


def leaves(group: Any) -> dict[str, Any]:
    """Name and annotation of a group's fields, those of groups within it included."""
    found: dict[str, Any] = {}
    for name, annotation in _fields(group):
        found |= leaves(annotation) if _is_group(annotation) else {name: annotation}
    return found


def _fields(group: Any) -> list[tuple[str, Any]]:
    """Name and annotation of each field; where a group is generic, a field may be of its one type variable."""
    (of,) = get_args(group) or (None,)
    declared = fields(get_origin(group) or group)
    return [(field.name, of if isinstance(field.type, TypeVar) else field.type) for field in declared]


def put_together(group: Any, values: dict[str, Any]) -> Any:
    """An instance of ``group``, whose fields are taken out of ``values``."""
    given = {
        name: put_together(annotation, values) if _is_group(annotation) else values.pop(name)
        for name, annotation in _fields(group)
    }
    return (get_origin(group) or group)(**given)


def _is_a(annotation: Any, base: type) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, base)


@dataclass(frozen=True)
class _Rules:
    """How a stage is materialised; see ``stage``."""

    checks: Sequence[CheckSpec]
    after: After | None
    tuned: bool
    once: bool
    partitioned: bool


def _field(parameter: str) -> str:
    return parameter.removesuffix(SPEC_SUFFIX)


def _is_many(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def stage(
    *,
    group: str,
    kinds: set[str],
    partitions: dg.PartitionsDefinition[str] | None = None,
    mappings: Mapping[str, dg.PartitionMapping] | None = None,
    checks: Sequence[CheckSpec] = (),
    pool: str | None = None,
    after: After | None = None,
    tuned: bool = False,
    once: bool = False,
    follows: Sequence[str] = (),
) -> Callable[[Callable[..., StageOutput]], dg.AssetsDefinition]:
    """Make a Dagster asset of a stage function; its name is the asset key, its docstring the description.

    ``tuned``: the settings that the current sweep found come over the profile's. They enter the input key by value, so
    another sweep with the same outcome changes nothing.
    ``once``: what was committed first for a partition stands, whatever has changed since. ``follows`` are assets that
    come before this one and are read through a service.
    ``after`` runs once the version is known, new or found, such as to register partitions.
    """

    def decorate(function: Callable[..., StageOutput]) -> dg.AssetsDefinition:
        signature = _Signature.of(function)
        knobs = {_field(name): spec for name, spec in signature.specs.items()}
        rules = _Rules(checks, after, tuned, once, partitioned=partitions is not None)

        def without_knobs(context: dg.AssetExecutionContext, **parents: Any) -> Any:
            try:
                config = parents.pop("config", None)
                with disk_errors_as_user_errors(function.__name__):
                    return _in_turn(function, signature, rules, context, config, parents)
            except UserError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from error

        def with_knobs(context: dg.AssetExecutionContext, config: Any, **parents: Any) -> Any:
            return without_knobs(context, config=config, **parents)

        compute = with_knobs if knobs else without_knobs
        # Dagster reads the launchpad's fields and the number of outputs (a check counts as one) off the annotations.
        compute.__annotations__ = {"context": dg.AssetExecutionContext}
        if knobs:
            compute.__annotations__["config"] = launchpad_config(function.__name__, knobs)
        compute.__name__ = function.__name__
        return dg.asset(
            name=function.__name__,
            description=inspect.getdoc(function),
            ins={
                name: dg.AssetIn(
                    key=name,
                    metadata={"many": _is_many(annotation)},
                    partition_mapping=(mappings or {}).get(name),
                )
                for name, annotation in signature.parents.items()
            },
            deps=[*follows, *([SWEEP] if tuned else [])],
            partitions_def=partitions,
            group_name=group,
            kinds=kinds,
            owners=[environment.owner()],
            freshness_policy=every_night() if group in EVERY_NIGHT else None,
            pool=pool,
            io_manager_key="io_manager",
            required_resource_keys=REQUIRED_RESOURCES,
            check_specs=[
                dg.AssetCheckSpec(c.name, asset=function.__name__, description=c.description, blocking=c.blocking)
                for c in checks
            ],
        )(compute)

    return decorate


def _in_turn(
    function: Callable[..., StageOutput],
    signature: _Signature,
    rules: _Rules,
    context: dg.AssetExecutionContext,
    config: Any,
    parents: Mapping[str, Any],
) -> Any:
    """Materialise as the only process that does. The turn goes on with what was prepared, until that is published."""
    partition = context.partition_key if rules.partitioned else None  # a night's run has one for all of its assets
    store = context.resources.store.store()
    turn = store.turn(function.__name__, partition, told=context.log.info)
    try:
        result = _materialise(function, signature, rules, context, config, _as_of_now(store, parents), partition, turn)
    except BaseException:
        turn.release()
        raise
    if result.value is None:  # found, so there is nothing to publish
        turn.release()
    return result


def _as_of_now(store: Store, parents: Mapping[str, Any]) -> dict[str, Any]:
    """The parents as they are now: another run may have published while this one waited."""

    def current(version: Version) -> Version:
        now = store.current(version.asset, version.partition)
        if now.id != version.id:
            now.check()
        return now

    return {
        name: {key: current(version) for key, version in value.items()} if isinstance(value, dict) else current(value)
        for name, value in parents.items()
    }


def _refuse_mixed(label: str, partition: str | None, parents: Mapping[str, Any], seen: Mapping[str, str]) -> None:
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


def _materialise(
    function: Callable[..., StageOutput],
    signature: _Signature,
    rules: _Rules,
    context: dg.AssetExecutionContext,
    config: Any,
    parents: Mapping[str, Any],
    partition: str | None,
    turn: Turn,
) -> Any:
    asset = function.__name__
    store = context.resources.store.store()
    settings = context.resources.settings.settings(tuned_overrides(store) if rules.tuned else ())
    specs = _specs(signature, settings, config)
    services = offered(signature.services, context, settings, partition)
    year = int(partition) if "year" in signature.services and partition else None

    seen: dict[str, str] = {}
    for value in parents.values():
        for version in value.values() if isinstance(value, dict) else [value]:
            seen[version.label] = version.seen_by(year)
    if year is not None:
        _refuse_mixed(f"{asset}/{partition}", partition, parents, seen)
    for name in {"drops", "macro"} & services.keys():
        seen[name] = services[name].digest()
    if "next_champion" in services:
        seen |= services["next_champion"].seen
    if "trials" in services:
        seen["trials"] = sha256_text(canonical_json([trial.id for trial in services["trials"].trials]))
    for name in {"ledger", "earlier"} & services.keys():
        seen |= {version.label: version.seen_by(None) for version in services[name].values()}
    knobs = {_field(name): spec.model_dump(mode="json") for name, spec in specs.items()}
    code = code_version(function.__module__)
    key = input_key(asset=asset, partition=partition, code_version=code, config=knobs, parents=seen)

    started = time.perf_counter()
    committed = store.current(asset, partition) if rules.once and store.has(asset, partition) else None
    found = _sound(committed or store.find(asset, partition, key), context)
    if found is not None:
        store.promote(found)
        context.log.debug(f"{asset} {partition or ''}: unchanged, version {found.id}")
        if rules.after:
            rules.after(found, context.instance, context.resources.store.root())
        return dg.MaterializeResult(
            data_version=dg.DataVersion(found.data_version),
            metadata={**version_metadata(found), "computed": False},
            check_results=check_results(found),
        )

    staging = store.stage(asset, partition, input_key=key)
    try:
        if "folder" in signature.services:
            services["folder"] = staging.path
        if "checkpoints" in signature.services:
            services["checkpoints"] = environment.checkpoint_folder() / asset / (partition or "all") / key[:16]
        if "previous" in signature.services:
            services["previous"] = find_previous(store, asset, partition, code_version=code, config=knobs)
        opened = {name: _open(parents[name], annotation) for name, annotation in signature.parents.items()}
        with _device(signature, context):
            product = function(**signature.arguments({**opened, **specs, **services}))
        undeclared = set(product.checks) ^ {check.name for check in rules.checks}
        if undeclared:
            raise ValueError(f"{asset}: checks declared and checks decided differ: {sorted(undeclared)}")
        facts = {
            **product.facts,
            "seconds": round(time.perf_counter() - started, 3),
            "process_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        for name, content in product.files.items():
            write_content(content, staging.path / name)
        for name, figure in product.plots.items():
            from forecast_assets.core.report.figure_style import to_png

            write_content(to_png(figure), staging.path / f"plot-{name}.png")
        prepared = Prepared(
            staging=staging,
            fields={
                "parents": seen,
                "config": knobs,
                "code_version": code,
                "seeds": list(product.seeds),
                "slices": dict(product.slices),
                "facts": {
                    **facts,
                    "checks": {name: vars(check) for name, check in product.checks.items()},
                    "columns": {name: vars(column) for name, column in product.columns.items()},
                },
            },
            after=rules.after,
            turn=turn,
            first=rules.once,
        )
        data_version = staging.seal()
        if "checkpoints" in services:
            shutil.rmtree(services["checkpoints"], ignore_errors=True)  # what they were kept for is done
    except BaseException:
        staging.discard()
        raise
    return dg.MaterializeResult(
        value=prepared,
        data_version=dg.DataVersion(data_version),
        metadata={**version_metadata(staging.path, facts=facts, columns=product.columns), "computed": True},
        check_results=check_results(product.checks),
    )


def _device(signature: _Signature, context: dg.AssetExecutionContext) -> AbstractContextManager[Any]:
    """The device's turn for a stage that trains or predicts on one: an orphan does not use it beside anybody."""
    if "hardware" not in signature.services:
        return nullcontext()
    return context.resources.compute.turn(told=context.log.info)


def fold_key(asset: str, year: int, *, specs: Mapping[str, Spec], parents: Sequence[Version]) -> str:
    """Input key of the fold of ``year`` of a network, as its stage computes it: the same settings, the same key."""
    return input_key(
        asset=asset,
        partition=str(year),
        code_version=code_version("forecast_assets.assets.networks"),
        config={name: spec.model_dump(mode="json") for name, spec in specs.items()},
        parents={version.label: version.seen_by(year) for version in parents},
    )


def _sound(found: Version | None, context: dg.AssetExecutionContext) -> Version | None:
    """``found`` if its bytes are as published; an altered one is made again, and said so."""
    if found is None:
        return None
    try:
        found.check()
    except CorruptArtefact as error:
        context.log.warning(f"{error} It is computed again.")
        return None
    return found


def _specs(signature: _Signature, settings: Settings, config: Any) -> dict[str, Spec]:
    chosen = {}
    for name in signature.specs:
        try:
            chosen[name] = with_overrides(getattr(settings, _field(name)), getattr(config, _field(name), None))
        except ValidationError as error:
            raise BadSetting(describe(error)) from error
    return chosen


def _open(value: Any, annotation: Any) -> Any:
    return pl.scan_parquet(value.path(TABLE)) if annotation is pl.LazyFrame else value
