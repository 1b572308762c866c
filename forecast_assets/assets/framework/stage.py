"""The decorator that makes a Dagster asset of a stage function.

A stage is an ordinary function. Its parameters are its needs: parents, settings and injected inputs (``parameters``,
``inputs``); it returns what is to be published (``output``); ``materialise`` does the rest.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from inspect import getdoc
from typing import Any

import dagster as dg

from forecast_assets.assets.framework.code_version import code_version
from forecast_assets.assets.framework.freshness import EVERY_NIGHT, PARTS, every_night, report_latest_night
from forecast_assets.assets.framework.inputs import StageResources
from forecast_assets.assets.framework.launchpad import launchpad_config
from forecast_assets.assets.framework.materialise import SWEEP, Adds, CheckSpec, Stage
from forecast_assets.assets.framework.next_champion import MADE_FROM, report_next_champion
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.parameters import is_by_partition, parameters_of
from forecast_assets.assets.framework.partitions import of_panel as partitions_of_panel
from forecast_assets.assets.framework.views import BY_YEAR, report_night_views, report_year_views
from forecast_assets.core.errors import UserError
from forecast_assets.core.specs import Spec
from forecast_assets.resources import environment
from forecast_assets.resources.machine_errors import machine_errors_as_user_errors
from forecast_assets.resources.panel_names import FIRST, PanelNames
from forecast_assets.resources.store_io import After, StoreResource
from forecast_assets.store.keys import input_key
from forecast_assets.store.versions import Version

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
"""The stages that have been made assets of, by asset."""

OF_PANEL: dict[str, Callable[[PanelNames], dg.AssetsDefinition]] = {}
"""How the asset of a stage is made for a panel, by asset."""


def stage(
    *,
    group: str,
    kinds: set[str],
    name: str | None = None,
    description: str | None = None,
    partitions: dg.DynamicPartitionsDefinition | None = None,
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
    ``follows``: assets that come before this one and are read through an injected input. Where what that reads of them is
    ``observed``, they have partitions, and another version of one of them makes nothing stale.
    ``after``: runs once the version is known, new or found, such as to register partitions.
    ``models``: networks of the catalogue whose code the stage runs; None: all, where it reaches the catalogue.
    ``observed``: assets that Dagster observes and does not make -> what the input key calls their content; "": it is all
    that the input key holds beside code and settings.
    ``read_by_others``: the one file that other assets read, if it is one alone: the rest may change without them.
    """

    def decorate(function: Callable[..., StageOutput]) -> dg.AssetsDefinition:
        asset = name or function.__name__
        made = STAGES[asset] = Stage(
            function, asset, parameters_of(function), checks, _reported(asset, after, once=once), tuned, once,
            partitions is not None, models, read_by_others, follows, observed or {}, adds,
        )  # fmt: skip

        def of_panel(names: PanelNames) -> dg.AssetsDefinition:
            of_day_or_year = partitions_of_panel(partitions, names)
            return dg.asset(
                key=names.key(asset),
                description=description or getdoc(function),
                ins={
                    key: dg.AssetIn(
                        key=names.key(made.shown_parent(key)),
                        metadata={"asset": key, "many": is_by_partition(annotation)},
                        partition_mapping=(mappings or {}).get(key),
                    )
                    for key, annotation in made.needs.parents.items()
                },
                deps=list(
                    map(names.key, (*follows, *(observed or {}), *([SWEEP] if tuned else []), *made.needs.records))
                ),
                partitions_def=of_day_or_year,
                group_name=names.name(group),
                kinds=kinds,
                owners=[environment.owner()],
                tags={"domain": DOMAINS[group], "tier": "production" if group in EVERY_NIGHT else "research"},
                freshness_policy=every_night() if group in EVERY_NIGHT and asset not in PARTS else None,
                pool=pool,
                io_manager_key=names.name("io_manager"),
                check_specs=[_check_spec(names.key(asset), check, of_day_or_year) for check in checks],
            )(_compute(made, names))

        OF_PANEL[asset] = of_panel
        return of_panel(FIRST)

    return decorate


def _compute(stage: Stage, names: PanelNames) -> Callable[..., Any]:
    """Return what Dagster calls, with the parameters that it reads off: settings, parents, and the panel's resources."""
    resources = {field.name: names.name(field.name) for field in fields(StageResources)}

    def compute(context: dg.AssetExecutionContext, **given: Any) -> Any:
        config = given.pop("config", None)
        used = StageResources(**{field: given.pop(key) for field, key in resources.items()})
        try:
            with machine_errors_as_user_errors(stage.asset):
                return stage.materialise(context, config, given, used)
        except UserError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error

    sections = stage.needs.sections
    annotations: dict[str, Any] = {"context": dg.AssetExecutionContext}
    annotations |= {"config": launchpad_config(stage.asset, sections)} if sections else {}
    annotations |= dict.fromkeys(stage.needs.parents, Any)
    annotations |= {resources[field.name]: field.type for field in fields(StageResources)}
    compute.__annotations__ = annotations
    compute.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=of)
            for key, of in annotations.items()
        ]
    )
    compute.__name__ = stage.asset
    return compute


CHECKS_HAVE_PARTITIONS = "partitions_def" in inspect.signature(dg.AssetCheckSpec.__new__).parameters
"""Whether this Dagster has a check by partition; in 1.13 it is a preview, which a later release may take back."""


def _check_spec(
    asset: dg.AssetKey, check: CheckSpec, partitions: dg.PartitionsDefinition[str] | None
) -> dg.AssetCheckSpec:
    """Return a check of each partition, since that of 2019 and that of 2025 are two answers, where Dagster allows it."""
    by_partition: dict[str, Any] = {"partitions_def": partitions} if CHECKS_HAVE_PARTITIONS else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            check.name, asset=asset, description=check.description, blocking=check.blocking, **by_partition
        )


def _reported(asset: str, after: After | None, *, once: bool) -> After | None:
    """Return what runs once a version is known, the reports of what depends on it without being computed included."""
    if not {asset} & {*BY_YEAR.groups, *PARTS, *MADE_FROM}:
        return after

    def report(version: Version, instance: dg.DagsterInstance, where: StoreResource) -> None:
        report_year_views(version, instance, where.names)
        if asset in PARTS:
            report_latest_night(version, instance, where.store(), where.names)
        if once:
            report_night_views(version, instance, where.names)
        if asset in MADE_FROM:
            report_next_champion(instance, where)
        if after:
            after(version, instance, where)

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
