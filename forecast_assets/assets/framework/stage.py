"""The decorator that makes a Dagster asset of a stage function.

A stage is an ordinary function. Its parameters are its needs: parents, settings and injected inputs (``parameters``,
``inputs``); it returns what is to be published (``output``); ``materialise`` does the rest.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import getdoc
from typing import Any

import dagster as dg

from forecast_assets.assets.framework.code_version import code_version
from forecast_assets.assets.framework.freshness import EVERY_NIGHT, PARTS, every_night, report_latest_night
from forecast_assets.assets.framework.launchpad import launchpad_config
from forecast_assets.assets.framework.materialise import SWEEP, Adds, CheckSpec, Stage
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.parameters import is_by_partition, parameters_of
from forecast_assets.assets.framework.year_views import SUFFIX, VIEWED, report_views
from forecast_assets.core.errors import UserError
from forecast_assets.core.specs import Spec
from forecast_assets.resources import environment
from forecast_assets.resources.store_io import After, disk_errors_as_user_errors
from forecast_assets.store.keys import input_key
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

REQUIRED_RESOURCES = {"store", "settings", "compute", "source", "tracking"}

DOMAINS = {
    "panel": "data",
    "settings": "models",
    "models": "models",
    "verdict": "evaluation",
    "night": "operations",
    "monitoring": "operations",
}
"""Group -> its domain, to filter by in the UI; the tier says whether every night needs it."""

STAGES: dict[str, Stage] = {}
"""The stages that have been made assets of, by asset key."""


def stage(
    *,
    group: str,
    kinds: set[str],
    name: str | None = None,
    description: str | None = None,
    partitions: dg.PartitionsDefinition[str] | None = None,
    mappings: Mapping[str, dg.PartitionMapping] | None = None,
    checks: Sequence[CheckSpec] = (),
    pool: str | None = None,
    after: After | None = None,
    tuned: bool = False,
    once: bool = False,
    follows: Sequence[str] = (),
    models: Sequence[str] | None = None,
    read_by_others: str | None = None,
    observed: Mapping[str, str] | None = None,
    adds: Adds | None = None,
) -> Callable[[Callable[..., StageOutput]], dg.AssetsDefinition]:
    """Make a Dagster asset of a stage function; its name is the asset key and its docstring the description, unless given.

    ``tuned``: the settings that the current sweep found come over the profile's; they enter the input key by value.
    ``once``: what was committed first for a partition is kept; ``adds`` says whether the stage adds to it (``Committed``).
    ``follows``: assets that come before this one and are read through an injected input.
    ``after``: runs once the version is known, new or found, such as to register partitions.
    ``models``: networks of the catalogue whose code the stage runs; None: all, where it reaches the catalogue.
    ``observed``: assets that Dagster observes and does not make -> what the input key calls their content.
    ``read_by_others``: the one file that other assets read, if it is one alone: the rest may change without them.
    """

    def decorate(function: Callable[..., StageOutput]) -> dg.AssetsDefinition:
        asset = name or function.__name__
        partitioned = partitions is not None
        made = STAGES[asset] = Stage(
            function, asset, parameters_of(function), checks, _reported(asset, after), tuned, once, partitioned, models,
            read_by_others, observed or {}, adds,
        )  # fmt: skip

        def without_settings(context: dg.AssetExecutionContext, **parents: Any) -> Any:
            try:
                config = parents.pop("config", None)
                with disk_errors_as_user_errors(asset):
                    return made.materialise(context, config, parents)
            except UserError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from error

        def with_settings(context: dg.AssetExecutionContext, config: Any, **parents: Any) -> Any:
            return without_settings(context, config=config, **parents)

        compute = with_settings if made.needs.sections else without_settings
        # Dagster reads the launchpad's fields and the number of outputs (a check counts as one) off the annotations.
        compute.__annotations__ = {"context": dg.AssetExecutionContext}
        if made.needs.sections:
            compute.__annotations__["config"] = launchpad_config(asset, made.needs.sections)
        compute.__name__ = asset
        return dg.asset(
            name=asset,
            description=description or getdoc(function),
            ins={
                key: dg.AssetIn(
                    key=f"{key}{SUFFIX}" if made.by_year and key in VIEWED else key,
                    metadata={"asset": key, "many": is_by_partition(annotation)},
                    partition_mapping=(mappings or {}).get(key),
                )
                for key, annotation in made.needs.parents.items()
            },
            deps=[*follows, *(observed or {}), *([SWEEP] if tuned else [])],
            partitions_def=partitions,
            group_name=group,
            kinds=kinds,
            owners=[environment.owner()],
            tags={"domain": DOMAINS[group], "tier": "production" if group in EVERY_NIGHT else "research"},
            freshness_policy=every_night() if group in EVERY_NIGHT and asset not in PARTS else None,
            pool=pool,
            io_manager_key="io_manager",
            required_resource_keys=REQUIRED_RESOURCES,
            check_specs=[_check_spec(asset, check, partitions) for check in checks],
        )(compute)

    return decorate


CHECKS_HAVE_PARTITIONS = "partitions_def" in inspect.signature(dg.AssetCheckSpec.__new__).parameters
"""Whether this Dagster has a check by partition; in 1.13 it is a preview, which a later release may take back."""


def _check_spec(asset: str, check: CheckSpec, partitions: dg.PartitionsDefinition[str] | None) -> dg.AssetCheckSpec:
    """Return a check of each partition, since that of 2019 and that of 2025 are two answers, where Dagster allows it."""
    by_partition: dict[str, Any] = {"partitions_def": partitions} if CHECKS_HAVE_PARTITIONS else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            check.name, asset=asset, description=check.description, blocking=check.blocking, **by_partition
        )


def _reported(asset: str, after: After | None) -> After | None:
    """Return what runs once a version is known, the reports of what depends on it without being computed included."""
    if asset not in VIEWED and asset not in PARTS:
        return after

    def report(version: Version, instance: dg.DagsterInstance, data_root: str) -> None:
        report_views(version, instance)
        if asset in PARTS:
            report_latest_night(version, instance, Store(f"{data_root.rstrip('/')}/store"))
        if after:
            after(version, instance, data_root)

    return report


def fold_key(asset: str, year: int, *, specs: Mapping[str, Spec], parents: Sequence[Version]) -> str:
    """Return the input key of the fold of ``year`` of a network, as its stage computes it."""
    return input_key(
        asset=asset,
        partition=str(year),
        code_version=code_version("forecast_assets.assets.networks", models=[asset]),
        config={name: spec.model_dump(mode="json") for name, spec in specs.items()},
        parents={version.label: version.seen_by(year) for version in parents},
    )
