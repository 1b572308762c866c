"""The sweep: settings chosen on the years before the first test year."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from forecast_assets.assets.fold.candidates import why_skipped
from forecast_assets.assets.framework.inputs import (
    Checkpoints,
    DataRoot,
    FirstTestYear,
    FitEngine,
    Log,
    Tracking,
    TrainingHardware,
)
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.parameters import Networks
from forecast_assets.assets.framework.stage import stage
from forecast_assets.assets.tuning.carry_out import SEARCH, carry_out, keep_best, search_key
from forecast_assets.assets.tuning.results import cheapest, effort, network_settings, study_plots, trial_table
from forecast_assets.assets.tuning.selection import Selection
from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.core.models.catalogue import MODELS, SEARCHED, FitSpec
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.specs import BacktestSpec, CalibrationSpec, FoldSpec, SweepSpec
from forecast_assets.store.artefact_files import CHOICES, TABLE, TENSORS, TUNED_SETTINGS
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from forecast_assets.core.windows.tensors import PanelTensors


FEASIBLE = CheckSpec("feasible", "some settings keep the 95 % band's coverage within its limits", blocking=False)


@stage(
    group="settings", kinds={"optuna"}, checks=(FEASIBLE,), pool="gpu", models=SEARCHED, read_by_others=TUNED_SETTINGS
)
def sweep(
    windowed_tensors: Version,
    calendar_panel: Version,
    sweep_spec: SweepSpec,
    specs: Annotated[dict[str, FitSpec], Networks(SEARCHED)],
    folds: FoldSpec,
    calibration: CalibrationSpec,
    backtest_spec: BacktestSpec,
    first_test_year: FirstTestYear,
    hardware: TrainingHardware,
    engine: FitEngine,
    checkpoints: Checkpoints,
    tracking: Tracking,
    data_root: DataRoot,
    log: Log,
) -> StageOutput:
    """Settings chosen once, by an inner walk-forward over the years before the first test year; weights are not kept.

    The networks' by Optuna: of the trials within ``sweep.tolerance`` of the smallest calibrated pinball loss (geometric
    mean over the horizons), subject to coverage, the cheapest. Then, on its forecasts, the calibration's rate by pinball
    loss and the trading settings by net Sharpe ratio. No row of a test year is read, nor a label that ends in one.
    """
    from forecast_assets.assets.tuning.search import Search, panel_to_search
    from forecast_assets.core.training.inner import Budget
    from forecast_assets.core.windows.tensors import PanelTensors

    if not sweep_spec.trials:
        return unchanged_settings("no search was asked for (sweep.trials=0); the profile's settings stand")
    if first_test_year is None:
        return unchanged_settings("the panel is too short for a test year; the profile's settings stand")
    sweep_spec, folds = _before(first_test_year, sweep_spec, folds)
    panel = panel_to_search(PanelTensors.load(windowed_tensors.path(TENSORS)), sweep_spec, folds=folds)
    years, why = _years_with_history(panel, sweep_spec, folds)
    if why:
        log.warning(why)
        return unchanged_settings(why)
    reasons = {name: _why_not_searched(name, specs, panel) for name in sweep_spec.models}
    for why in filter(None, reasons.values()):
        log.warning(f"sweep: not searched: {why}")
    sweep_spec = sweep_spec.model_copy(update={"models": tuple(name for name, why in reasons.items() if not why)})
    if not sweep_spec.models:
        return unchanged_settings(f"no model can be searched: {'; '.join(filter(None, reasons.values()))}")
    key = search_key(windowed_tensors, sweep_spec, [*specs.values(), folds, calibration])
    search = Search(
        name=f"sweep-{key}",
        folder=checkpoints.with_name(f"{SEARCH}{key}"),
        windowed_tensors=windowed_tensors,
        spec=sweep_spec,
        fit_specs=specs,
        budget=Budget(years, folds, calibration, sweep_spec.seed),
        hardware=hardware,
        tracking={"mode": tracking.mode, "project": tracking.project, "folder": tracking.folder},
        data_root=data_root,
    )
    study = carry_out(search, engine=engine, log=log)
    trials = trial_table(study, search)
    facts = effort(trials)
    feasible = study.feasible()
    best = cheapest(feasible, tolerance=sweep_spec.tolerance) if feasible else None
    keep_best(search, best)
    if best is None:
        why = f"none of {facts['finished']} finished trials keeps coverage within its limits; the profile's settings stand"
        log.warning(f"sweep: {why}")
        return unchanged_settings(why, trials=trials, facts=facts, plots=study_plots(study))
    selection = Selection(search, best, panel=panel, calendar_panel=calendar_panel, backtest=backtest_spec)
    calibrations, rate = selection.calibration_rate()
    books, trading = selection.trading(rate)
    settings = {**network_settings(feasible, tolerance=sweep_spec.tolerance), "calibration.rate": rate, **trading}
    log.info(f"sweep: trial {best.number} of {len(trials)}: {', '.join(f'{k}={v}' for k, v in settings.items())}")
    return StageOutput(
        files={
            TABLE: trials,
            CHOICES: pl.concat([calibrations, books], how="diagonal"),
            TUNED_SETTINGS: {"settings": settings, "trial": best.number, "years": list(years)},
        },
        facts={**facts, "best_trial": best.number, "best_loss": float(best.value or 0.0), **settings},
        plots=study_plots(study),
        checks={FEASIBLE.name: Check(True, f"{len(feasible)} of {facts['finished']} finished trials")},
        seeds=(sweep_spec.seed,),
    )


def _why_not_searched(name: str, specs: Mapping[str, FitSpec], panel: "PanelTensors") -> str | None:
    """Return why the settings of model ``name`` are not searched; None where they are. Raises BadSetting for no model."""
    if name not in MODELS:
        raise BadSetting(f"sweep.models: there is no model {name!r}; the nearest is {nearest_name(name, SEARCHED)}")
    if name not in specs:
        return f"{name}: {MODELS[name].why_not_searched}"
    return why_skipped(name, specs[name], panel, panel.ends(1))


def _before(first_test_year: int, spec: SweepSpec, folds: FoldSpec) -> tuple[SweepSpec, FoldSpec]:
    """Return the settings of a search on the years before the panel's own first test year."""
    from forecast_assets.core.windows.folds import years_to_search

    years = years_to_search(spec.years, first_test_year=first_test_year, spec=folds)
    own = {"first_test_year": first_test_year}
    return spec.model_copy(update={"years": years}), folds.model_copy(update=own)


def _years_with_history(panel: "PanelTensors", spec: SweepSpec, folds: FoldSpec) -> tuple[tuple[int, ...], str]:
    """Return the inner years that suffice, or why there is none."""
    from forecast_assets.core.training.inner import usable_years

    try:
        return usable_years(panel, spec.years, folds=folds, lookbacks=spec.lookback), ""
    except BadInput as error:
        return (), f"{error}; the profile's settings stand"


def unchanged_settings(
    why: str,
    *,
    trials: pl.DataFrame | None = None,
    facts: Mapping[str, Any] | None = None,
    plots: "Mapping[str, Figure] | None" = None,
) -> StageOutput:
    """Return a sweep that changes no setting, with the reason."""
    return StageOutput(
        files={
            TABLE: trials if trials is not None else pl.DataFrame({"trial": pl.Series([], dtype=pl.Int64)}),
            TUNED_SETTINGS: {"settings": {}, "trial": None, "years": []},
        },
        facts={**(facts or {}), "outcome": why},
        plots=plots or {},
        checks={FEASIBLE.name: Check(trials is None, why)},
    )
