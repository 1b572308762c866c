"""Train one fold of one network, outside the graph: for experiments, Hydra's ``--multirun``, and W&B's agents.

    python -m forecast_assets.train model=tft data=lookback120 horizon=multi exp_id=B3 year=2025
    python -m forecast_assets.train exp_id=B3 year=2025 fit.hidden=16,32 --multirun

It trains what the asset of that network trains, from the same settings on the store's own tensors, and leaves the store as
it is: results go to a folder of their own below the data root. Every fit is a trial and is entered into the trial log; the
asset's own settings are counted once, however often they are trained.
"""

import datetime as dt
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import click
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from forecast_assets.core.errors import BadInput, BadSetting, UserError
from forecast_assets.core.models.catalogue import EXPERIMENTS, MODELS
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.settings import Settings
from forecast_assets.resources import environment
from forecast_assets.resources.machine_errors import machine_error
from forecast_assets.resources.settings import (
    add_spec_defaults,
    check_group,
    check_setting,
    describe,
    no_such_setting,
    require_plain,
    validated,
)

GROUPS = ("model", "data", "horizon", "profile", "corrections", "verdict")
ABOUT = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i"}  # Hydra's flags that only show something

OWN = ("exp_id", "year", "fit", "family", "horizon")  # keys of conf/train.yaml that are no settings of a run


def train(config: DictConfig) -> float:
    """Train the network of ``config``; return the best validation pinball, which a Hydra sweeper can minimise."""
    from hydra.core.hydra_config import HydraConfig

    content: Any = OmegaConf.to_container(config, resolve=True)
    own = {key: content.pop(key) for key in OWN}
    experiment = experiment_of(own["exp_id"], own["family"])
    settings = validated(content)
    spec = with_fit(settings.network(experiment.key), own["fit"])
    settings = settings.model_copy(update={experiment.key: spec})
    folder = Path(HydraConfig.get().runtime.output_dir)
    trained = train_asset(experiment.key, settings, year=own["year"], folder=folder)
    click.echo(f"{experiment.key} {own['year']}: validation pinball {trained:.5f}; {folder}")
    return trained


def experiment_of(exp_id: Any, family: str | None) -> Model:
    """Return the network ``exp_id``. Raises BadSetting, with the nearest, where there is none or it has another family."""
    if exp_id not in EXPERIMENTS:
        raise BadSetting(f"exp_id: there is no {exp_id!r}; the nearest is {nearest_name(str(exp_id), EXPERIMENTS)}")
    found = EXPERIMENTS[exp_id]
    if family is not None and found.family != family:
        of_family = [name for name, experiment in EXPERIMENTS.items() if experiment.family == family]
        raise BadSetting(f"exp_id: {exp_id} is a {found.family}; model={family} has {', '.join(of_family)}")
    return found


def with_fit(spec: ModelSpec, fit: dict[str, Any]) -> ModelSpec:
    """Return ``spec`` with the settings of ``fit`` over it; raises BadSetting."""
    for name in fit:
        if name not in type(spec).model_fields:
            raise no_such_setting(f"fit.{name}", [f"fit.{known}" for known in type(spec).model_fields])
    try:
        return type(spec).model_validate(dict(spec) | fit)
    except ValidationError as error:
        raise BadSetting(describe(error)) from error


def train_asset(asset: str, settings: Settings, *, year: int, folder: Path) -> float:
    """Train ``asset``'s fold of ``year`` on the store's current tensors into ``folder``; the best validation pinball.

    Raises MissingArtefact where the tensors are not there yet, BadInput where they lack columns that the network needs.
    """
    from forecast_assets.assets.fold.fold_work import FoldInputs
    from forecast_assets.assets.fold.train_fold import train_fold
    from forecast_assets.assets.framework.output import SKIPPED, write_content
    from forecast_assets.assets.framework.stage import fold_key
    from forecast_assets.core.evaluation.trials import Trial
    from forecast_assets.resources.compute import ComputeResource
    from forecast_assets.resources.store_io import StoreResource
    from forecast_assets.resources.tracking import TrackingResource
    from forecast_assets.resources.trial_log import as_trial, trial_journal
    from forecast_assets.store.artefact_files import FIT_SETTINGS, TRAINING

    store = StoreResource()
    tensors = store.store().current("windowed_tensors")
    sections: dict[str, Any] = {
        asset: settings.network(asset),
        "calibration": settings.calibration,
        "folds": settings.folds,
        "windows": settings.windows,
    }
    own = settings.own_models if MODELS[asset].file else None
    if own is not None:
        sections["own_models"] = own
    key = fold_key(asset, year, specs=sections, parents=[tensors])
    log = logging.getLogger("forecast_assets.train")
    inputs = FoldInputs(
        windowed_tensors=tensors,
        folds=settings.folds,
        windows=settings.windows,
        year=year,
        hardware=ComputeResource().hardware(),
        engine=ComputeResource().engine(),
        checkpoints=folder / "checkpoints" / key[:16],
        tracking=TrackingResource(),
        log=log,
    )
    output = train_fold(asset, settings.network(asset), inputs, calibration=settings.calibration, own=own)
    if why := output.facts.get(SKIPPED):
        raise BadInput(str(why))
    folder.mkdir(parents=True, exist_ok=True)
    settings_used = {name: spec.model_dump(mode="json") for name, spec in sections.items()}
    write_content({"asset": asset, "year": year, "input_key": key, "settings": settings_used}, folder / FIT_SETTINGS)
    output.write(folder)
    training: Any = output.files[TRAINING]
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    trials: list[Trial] = [
        as_trial(asset, str(year), input_key=key, config=settings_used, fit=fit, when=now) for fit in training["fits"]
    ]
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # no longer needed
    trial_journal(store.root()).append(trial.as_record() for trial in trials)
    return float(min(fit["validation_pinball"] for fit in training["fits"]))


def checked(arguments: list[str]) -> list[str]:
    """Hydra's ``arguments`` with the profile of the environment and the sweep's settings before the user's own.

    Raises BadSetting, with the nearest name, for a key or a group's value that does not exist.
    """
    from forecast_assets.assets.framework.materialise import tuned_overrides
    from forecast_assets.resources.store_io import StoreResource

    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    given = {}
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        given[key] = value
        require_plain(key, value)  # arguments may come from a W&B server
        if key in GROUPS:
            check_group(key, value)
        elif key not in OWN and not key.startswith(("fit.", "hydra.")):
            check_setting(key, also=(*GROUPS, "exp_id", "year"))
    missing = [name for name in ("exp_id", "year") if name not in given]
    if missing and not ABOUT & set(arguments):
        raise BadSetting(f"{missing[0]} is missing; such as exp_id=B3 year=2025")
    tuned = [
        setting
        for setting in tuned_overrides(StoreResource().store())
        if not ("data" in given and setting.startswith("windows.lookback="))
    ]
    profile = [] if "profile" in given else [f"profile={environment.profile_name()}"]
    flags = [argument for argument in arguments if argument not in overrides]
    # The settings that ``fit`` takes depend on the network, so they are not in Hydra's config: ++ adds them.
    return [*flags, *profile, *tuned, *(f"++{o}" if o.startswith("fit.") else o for o in overrides)]


def _task(config: DictConfig) -> float:
    """One job: a user's mistake and an error of the machine are one sentence."""
    try:
        return train(config)
    except Exception as error:
        said = error if isinstance(error, UserError) else machine_error(error)
        if said is None:
            raise  # a bug keeps its traceback
        click.echo(f"forecast-assets: {said}", err=True)
        sys.exit(1)


def main() -> None:
    """Entry point of ``python -m forecast_assets.train``."""
    import hydra

    OmegaConf.register_resolver("data_root", environment.data_dir, replace=True)
    add_spec_defaults()
    try:
        sys.argv[1:] = checked(sys.argv[1:])
    except UserError as error:
        click.echo(f"forecast-assets: {error}", err=True)
        sys.exit(1)
    hydra.main(config_path="conf", config_name="train")(_task)()


if __name__ == "__main__":
    main()
