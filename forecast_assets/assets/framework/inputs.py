"""Injected inputs of a stage, beside parents and settings: one annotation each, how it is made, what enters the input key.

A stage asks for one by the annotation of a parameter: ``def raw_panel(files: RawFiles, folder: OutputFolder)``.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg

from forecast_assets.champion.promotion import NextChampion, current_champion, find_next_champion
from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.core.settings import Settings
from forecast_assets.resources import environment
from forecast_assets.resources.chronos_weights import ChronosWeights
from forecast_assets.resources.compute import ComputeResource
from forecast_assets.resources.engine import Engine
from forecast_assets.resources.file_stamp import require_unchanged
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import CovariateFiles, InputFiles, OptionalFile, PanelSource, RivalFiles
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.resources.tracking import TrackingResource
from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, RAW_PANEL
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.panel_in_use import declared_renames, earlier_panels, panel_in_use
from forecast_assets.store.staging import Staging
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.evaluation.trials import TrialLog
    from forecast_assets.core.training.fit import Hardware

EARLIER_NIGHTS = 60  # a quarter of a year of an asset's own nights: what a plot over time shows


@dataclass(frozen=True)
class StageResources:
    """The Dagster resources of a stage's panel."""

    store: StoreResource
    settings: SettingsResource
    compute: ComputeResource
    source: PanelSource
    tracking: TrackingResource


@dataclass(frozen=True)
class StageContext:
    """Where a stage runs."""

    asset: str
    partition: str | None
    dagster: dg.AssetExecutionContext
    resources: StageResources
    settings: Settings

    @property
    def store(self) -> Store:
        return self.resources.store.store()

    @property
    def data_root(self) -> str:
        return self.resources.store.root()


@dataclass(frozen=True)
class NewVersion:
    """Key, code, settings and folder of a new version that a stage is to compute."""

    key: str
    code_version: str
    config: Mapping[str, Any]
    staging: Staging


@dataclass(frozen=True)
class PreviousVersion:
    """The current version of an asset, and what it was made from as far as that is still there."""

    version: Version
    parents: Mapping[str, Version]


@dataclass(frozen=True, eq=False)
class Injected:
    """Marks an input that is made from the context before the input key is known."""

    make: Callable[[StageContext], Any]
    seen: Callable[[Any], Mapping[str, str]] = lambda _: {}
    """What enters the input key and the manifest as parents do: label -> data version."""
    require_unchanged: Callable[[Any], None] = lambda _: None
    """Called before what the stage made is published: raises ChangedMeanwhile where it may not be what entered the key, or
    counts no longer."""
    record: str | None = None
    """What stands for it in the UI, where it comes from beside the graph; see ``records``."""


@dataclass(frozen=True, eq=False)
class InjectedLate:
    """Marks an input that is made only where a version has to be computed."""

    make: Callable[[StageContext, NewVersion], Any]
    record: str | None = None


def _issued_nights(context: StageContext) -> dict[str, Version]:
    """The nightly forecasts up to the stage's day, checked. Read from the store: a first night has none to depend on.

    For the nightly forecast itself those before its day: its own may be damaged, and is then made again.
    """
    store, day, itself = context.store, context.partition, context.asset == NIGHTLY_FORECAST
    nights = [night for night in store.partitions(NIGHTLY_FORECAST) if day is None or night <= day]
    nights = [night for night in nights if not (itself and night == day)]
    versions = {night: store.current(NIGHTLY_FORECAST, night) for night in nights}
    for version in versions.values():
        version.check()
    return versions


def _earlier_nights(context: StageContext) -> dict[str, Version]:
    """The asset's last nights before the stage's day, checked. A damaged one is left out, with a warning: they are shown."""
    store, asset, day = context.store, context.asset, context.partition
    sound = {}
    for key in [key for key in store.partitions(asset) if day is None or key < day][-EARLIER_NIGHTS:]:
        try:
            sound[key] = store.current(asset, key)
            sound[key].check()
        except CorruptArtefact as error:
            sound.pop(key, None)
            context.dagster.log.warning(f"{error} It is left out of what is shown.")
    return sound


def _first_test_year(context: StageContext) -> int | None:
    """Return the panel's own; of one that an earlier release made, the setting, which was all there was."""
    partitions = context.store.current(RAW_PANEL).json(PARTITIONS)
    found: int | None = partitions.get("first_test_year", context.settings.folds.first_test_year)
    return found


def _trials(context: StageContext) -> "TrialLog":
    from forecast_assets.resources.trial_log import collect_trials  # the definitions load without it

    return collect_trials(context.store, context.data_root)


def _checkpoint_folder(context: StageContext, new: NewVersion) -> Path:
    return environment.checkpoint_folder() / context.asset / (context.partition or "all") / new.key[:16]


def _previous(context: StageContext, new: NewVersion) -> PreviousVersion | None:
    """Return the current version where its bytes are as published, and code and settings are the same: only its parents
    have changed since. None otherwise: the stage computes everything.
    """
    try:
        current = context.store.current(context.asset, context.partition)
        current.check()
    except (MissingArtefact, CorruptArtefact):
        return None
    if current.manifest.code_version != new.code_version or current.manifest.config != new.config:
        return None
    parents = {}
    for label, seen in current.manifest.parents.items():
        made = [v for v in context.store.versions(*label.split("/")) if v.data_version == seen and v.is_whole()]
        if made:
            parents[label] = made[-1]
    return PreviousVersion(current, parents)


def _committed(context: StageContext, new: NewVersion) -> Version | None:
    """Return what was committed for the stage's partition; None where nothing was, or it is damaged."""
    try:
        current = context.store.current(context.asset, context.partition)
        current.check()
    except (MissingArtefact, CorruptArtefact):
        return None
    return current


def _require_unchanged(files: InputFiles | OptionalFile | RivalFiles | CovariateFiles | ChronosWeights) -> None:
    require_unchanged(files.stamps)


def _versions_seen(versions: Mapping[str, Version]) -> dict[str, str]:
    return {version.label: version.seen_by(None) for version in versions.values()}


YEAR = Injected(lambda context: int(context.partition or 0))
HARDWARE = InjectedLate(lambda context, _: context.resources.compute.hardware())
CHECKPOINTS = InjectedLate(_checkpoint_folder)
COMMITTED = InjectedLate(_committed)
OUTPUT_FOLDER = InjectedLate(lambda _, new: new.staging.path)

Year = Annotated[int, YEAR]  # the test year of a fold

Day = Annotated[str, Injected(lambda context: context.partition)]  # the day of a night, ISO

Log = Annotated[logging.Logger, Injected(lambda context: context.dagster.log)]

TrainingHardware = Annotated["Hardware", HARDWARE]
"""Device, precision and threads of fits and forecasts; one process at a time uses a device."""

FitEngine = Annotated[Engine, InjectedLate(lambda context, _: context.resources.compute.engine())]
"""Where fits and trials run: here, or on a Ray cluster."""

RawFiles = Annotated[
    InputFiles,
    Injected(
        lambda context: context.resources.source.input_files(
            context.settings.demo,
            context.settings.panel,
            data_root=context.data_root,
            quiet_seconds=context.settings.arrival.quiet_seconds,
        ),
        seen=lambda files: {"drops": files.digest()},
        require_unchanged=_require_unchanged,
        record="arrival_log",
    ),
]
"""The files of the raw panel."""

RawMacro = Annotated[
    OptionalFile,
    Injected(
        lambda context: context.resources.source.macro(),
        seen=lambda file: {"macro": file.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The file of macro series, which may be none."""

RawCovariates = Annotated[
    CovariateFiles,
    Injected(
        lambda context: context.resources.source.covariates(),
        seen=lambda files: {"covariates": files.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The user's own series as declared, and their files; there may be none."""

EarlierPanels = Annotated[
    list[Version], InjectedLate(lambda context, _: earlier_panels(context.store), record="earlier_panels")
]
"""Whole versions of the calendar panel, newest first."""

PanelInUse = Annotated[
    Version | None, InjectedLate(lambda context, _: panel_in_use(context.store), record="earlier_panels")
]
"""The raw panel that the store's years and nights were made from; None where there are none."""

FirstTestYear = Annotated[
    int | None, Injected(_first_test_year, seen=lambda year: {"first_test_year": str(year or "none")})
]
"""The panel's first test year; None where its history is too short for any."""

Renames = Annotated[
    dict[str, str],
    Injected(
        lambda context: declared_renames(context.store),
        seen=lambda renames: {"renames": canonical_json(renames)} if renames else {},
    ),
]
"""Old ticker -> new one, as declared for the current panel: what was issued under the old one belongs to the new."""

RenamesNow = Annotated[dict[str, str], InjectedLate(lambda context, _: declared_renames(context.store))]
"""The same for a stage whose result they don't change."""

RawUniverse = Annotated[
    OptionalFile,
    Injected(
        lambda context: context.resources.source.universe(),
        seen=lambda file: {"universe": file.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The file of the universe's members, which may be none."""

RawSectors = Annotated[
    OptionalFile,
    Injected(
        lambda context: context.resources.source.sectors(),
        seen=lambda file: {"sectors": file.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The file of sector labels, which may be none."""

RawFx = Annotated[
    OptionalFile,
    Injected(
        lambda context: context.resources.source.fx(),
        seen=lambda file: {"fx": file.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The file of exchange rates, which may be none."""

RawRivals = Annotated[
    RivalFiles,
    Injected(
        lambda context: context.resources.source.rivals(),
        seen=lambda files: {"rivals": files.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The files of rivals' forecasts, which may be none."""

RawChronos = Annotated[
    ChronosWeights,
    Injected(
        lambda context: context.resources.source.chronos(),
        seen=lambda weights: {"chronos": weights.digest()},
        require_unchanged=_require_unchanged,
    ),
]
"""The weights of a Chronos model, which may be none."""

ProfileName = Annotated[str, Injected(lambda context: context.resources.settings.profile_name())]

Tracking = Annotated[TrackingResource, Injected(lambda context: context.resources.tracking)]
"""Experiment tracking (W&B)."""

DataRoot = Annotated[str, Injected(lambda context: context.data_root)]
"""The data root, for a stage that appends to the trial log."""

Trials = Annotated[
    "TrialLog",
    Injected(
        _trials,
        seen=lambda log: {"trials": sha256_text(canonical_json([trial.id for trial in log.trials]))},
        record="trial_log",
    ),
]
"""The trial log as it is now: a new trial makes a new report."""

IssuedNights = Annotated[dict[str, Version], Injected(_issued_nights, seen=_versions_seen, record="issued_nights")]
"""Forecasts issued by the nights up to the stage's own, by day."""

EarlierNights = Annotated[dict[str, Version], Injected(_earlier_nights, seen=_versions_seen, record="earlier_nights")]
"""This asset's own last nights before this one, by day."""

Champion = Annotated[
    Version | None,
    Injected(lambda context: current_champion(context.store, context.data_root), record="champion_record"),
]
"""The bundle that serves now; None before the first."""

Successor = Annotated[
    NextChampion,
    Injected(
        lambda context: find_next_champion(context.store, context.data_root),
        seen=lambda champion: champion.seen,
        require_unchanged=lambda champion: champion.require_unrevoked(),
        record="champion_record",
    ),
]
"""The champion to serve next."""

Committed = Annotated[Version | None, COMMITTED]
"""What was committed first, for a stage that adds to it; None where there is nothing yet."""

Replaced = Annotated[Version | None, InjectedLate(_committed)]
"""The current version of the stage's own partition, which the new one will replace; None where there is none, or a damaged
one."""

OutputFolder = Annotated[Path, OUTPUT_FOLDER]
"""Where the new version is being written, for files too large to be held in memory."""

Checkpoints = Annotated[Path, CHECKPOINTS]
"""A local folder that outlives a killed run and is found again by the next one with the same input key."""

Previous = Annotated[PreviousVersion | None, InjectedLate(_previous)]
"""What was made last time, for what need not be computed again; None where code or settings changed."""
