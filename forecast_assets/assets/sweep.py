"""The search for settings, on years before the first test year."""

import logging
import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from forecast_assets.assets.fold.candidates import why_skipped
from forecast_assets.assets.fold.forecast_files import fold_table
from forecast_assets.assets.framework.inputs import Checkpoints, DataRoot, FitEngine, Log, Tracking, TrainingHardware
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.parameters import Networks
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.core.specs import BacktestSpec, CalibrationSpec, FitSpec, FoldSpec, Spec, SweepSpec
from forecast_assets.resources.engine import Engine, LocalEngine
from forecast_assets.store.artefact_files import CHOICES, TABLE, TENSORS, TUNED_SETTINGS
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

    from forecast_assets.assets.tuning.search import Search
    from forecast_assets.core.training.inner import InnerYear
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.study import Study

FEASIBLE = CheckSpec("feasible", "some settings keep the 95 % band's coverage within its limits", blocking=False)

SEARCH = "search-"
"""Beginning of the name of a search's folder, which stands beside the sweep's checkpoints and outlives it."""

POLL_SECONDS = 2.0


@stage(group="settings", kinds={"optuna"}, checks=(FEASIBLE,), pool="gpu")
def sweep(
    windowed_tensors: Version,
    calendar_panel: Version,
    sweep_spec: SweepSpec,
    specs: Annotated[dict[str, FitSpec], Networks(CANDIDATES)],
    folds: FoldSpec,
    calibration: CalibrationSpec,
    backtest_spec: BacktestSpec,
    hardware: TrainingHardware,
    engine: FitEngine,
    checkpoints: Checkpoints,
    tracking: Tracking,
    data_root: DataRoot,
    log: Log,
) -> StageOutput:
    """Settings chosen once, by an inner walk-forward over the years before the first test year; weights are not kept.

    The network's knobs by Optuna: smallest absolute error of the 1-session median, where the 95 % band covers what it
    should. Then, on the forecasts of the settings found, the calibration's rate by pinball loss and the trading knobs by
    net Sharpe ratio: the median knows nothing of either. Every trial goes to the trial ledger.
    """
    from forecast_assets.assets.tuning.search import Search, Tensors
    from forecast_assets.core.training.inner import Budget, sample_of_tickers, usable_years

    if not sweep_spec.trials:
        return nothing_tried("no search was asked for (sweep.trials=0); the profile's settings stand")
    tensors = Tensors(windowed_tensors, TENSORS)
    panel = sample_of_tickers(tensors.load(), tickers=sweep_spec.max_tickers)
    years = usable_years(panel, sweep_spec.years, folds=folds, lookbacks=sweep_spec.lookback)
    reasons = {name: why_skipped(name, specs[name], panel, panel.ends(1)) for name in sweep_spec.models}
    for why in filter(None, reasons.values()):
        log.warning(f"sweep: not searched: {why}")
    sweep_spec = sweep_spec.model_copy(update={"models": tuple(name for name, why in reasons.items() if not why)})
    if not sweep_spec.models:
        return nothing_tried(f"no model can be searched: {'; '.join(filter(None, reasons.values()))}")
    key = search_key(windowed_tensors, sweep_spec, [*specs.values(), folds, calibration])
    given = Search(
        name=f"sweep-{key}",
        folder=checkpoints.with_name(f"{SEARCH}{key}"),
        tensors=tensors,
        spec=sweep_spec,
        fit_specs=specs,
        budget=Budget(years, folds, calibration, sweep_spec.seed),
        hardware=hardware,
        tracking={"mode": tracking.mode, "project": tracking.project, "folder": tracking.folder},
        data_root=data_root,
    )
    study = carry_out(given, engine=engine, log=log)
    trials = trial_table(study, given)
    facts = effort(trials)
    best = study.best()
    keep_best(given, best)
    if best is None:
        why = f"none of {facts['finished']} finished trials keeps coverage within its limits; the profile's settings stand"
        log.warning(f"sweep: {why}")
        return nothing_tried(why, trials=trials, facts=facts, plots=study_plots(study))
    chosen = Chosen(given, best, panel=panel, calendar_panel=calendar_panel, backtest=backtest_spec)
    calibrations, rate = chosen.calibration_rate()
    books, trading = chosen.trading(rate)
    settings = {**network_settings(study), "calibration.rate": rate, **trading}
    log.info(f"sweep: trial {best.number} of {len(trials)}: {', '.join(f'{k}={v}' for k, v in settings.items())}")
    return StageOutput(
        files={
            TABLE: trials,
            CHOICES: pl.concat([calibrations, books], how="diagonal"),
            TUNED_SETTINGS: {"settings": settings, "trial": best.number, "years": list(years)},
        },
        facts={**facts, "best_trial": best.number, "best_mae_1d": float(best.value or 0.0), **settings},
        plots=study_plots(study),
        checks={FEASIBLE.name: Check(True, f"{len(study.feasible())} of {facts['finished']} finished trials")},
        seeds=(sweep_spec.seed,),
    )


def search_key(windowed_tensors: Version, spec: SweepSpec, specs: Sequence[Spec]) -> str:
    """What a search of networks is known by: its code, data and settings. What trades cost, and the knobs that are chosen
    after the search, are no part of it, so that another cost searches nothing again.
    """
    from forecast_assets.assets.framework.code_version import code_version

    searched = spec.model_dump(mode="json", exclude={"calibration_rate", "smoothing", "kelly_fraction"})
    parts = [
        code_version("forecast_assets.assets.tuning.search"),
        windowed_tensors.data_version,
        searched,
        [{type(each).__name__: each.model_dump(mode="json")} for each in specs],
    ]
    return sha256_text(canonical_json(parts))[:16]


def keep_best(given: "Search", best: "optuna.trial.FrozenTrial | None") -> None:
    """Leave the finished study and the best trial's forecasts for the next sweep that differs in trading only; the other
    trials' folders, and the searches before this one, go.
    """
    from forecast_assets.resources.study import folder_of
    from forecast_assets.store.artefact_files import TRIAL_FORECASTS

    kept = None if best is None else folder_of(best.params)
    for trial in given.folder.iterdir():
        if trial.is_dir() and trial.name != kept:
            shutil.rmtree(trial)
        elif trial.is_dir():
            for leftover in trial.iterdir():
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                elif leftover.name != TRIAL_FORECASTS:
                    leftover.unlink()
    for other in given.folder.parent.glob(f"{SEARCH}*"):
        if other != given.folder:
            shutil.rmtree(other)


def nothing_tried(
    why: str,
    *,
    trials: pl.DataFrame | None = None,
    facts: Mapping[str, Any] | None = None,
    plots: "Mapping[str, Figure] | None" = None,
) -> StageOutput:
    """A sweep that changes no setting, and says why."""
    return StageOutput(
        files={
            TABLE: trials if trials is not None else pl.DataFrame({"trial": pl.Series([], dtype=pl.Int64)}),
            TUNED_SETTINGS: {"settings": {}, "trial": None, "years": []},
        },
        facts={**(facts or {}), "outcome": why},
        plots=plots or {},
        checks={FEASIBLE.name: Check(trials is None, why)},
    )


def carry_out(given: "Search", *, engine: Engine, log: logging.Logger) -> "Study":
    """Try settings until all are tried, then the study: on the machines of ``engine``, or on this one in as many
    processes as asked for.

    Raises RuntimeError where a further process failed: what it left is tried again by the next run.
    """
    from forecast_assets.assets.tuning.search import Worker, search, search_in_process

    study = given.study()
    told = len(study.finished())
    if told:
        log.info(f"sweep: goes on after {told} of {study.trials} trials")
    if given.spec.workers == 1 or not isinstance(engine, LocalEngine):
        for _ in search(Worker(given), engine):
            told = tell(study, told, log=log)
        return study
    context = multiprocessing.get_context("spawn")  # torch's threads don't survive a fork
    processes = [
        context.Process(target=search_in_process, args=(given, os.getpid()), daemon=True)
        for _ in range(given.spec.workers)
    ]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        time.sleep(POLL_SECONDS)
        told = tell(study, told, log=log)
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise RuntimeError(f"sweep: {len(failed)} of {len(processes)} processes failed (exit codes {failed})")
    return study


def tell(study: "Study", told: int, *, log: logging.Logger) -> int:
    """Log the trials that came to an end since ``told`` had; returns how many have."""
    finished = sorted(
        study.finished(), key=lambda trial: trial.datetime_complete.timestamp() if trial.datetime_complete else math.inf
    )
    for k, trial in enumerate(finished[told:], start=told + 1):
        outcome = f"MAE {trial.value:.6f}" if trial.state.name == "COMPLETE" else "pruned"
        log.info(f"sweep: {k} of {study.trials} trials: {', '.join(map(str, trial.params.values()))}: {outcome}")
    return len(finished)


def trial_table(study: "Study", given: "Search") -> pl.DataFrame:
    """One row per trial that came to an end."""
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            **trial.params,
            "mae_1d": trial.value if trial.state.name == "COMPLETE" else None,
            "feasible": trial.state.name == "COMPLETE" and all(v <= 0 for v in trial.constraints.values()),
            "steps": len(trial.intermediate_values),
            "all_steps": given.steps,
            **{k: v for k, v in trial.user_attrs.items() if k.startswith(("pinball", "coverage"))},
            "seconds": trial.user_attrs.get("seconds"),
            "error": trial.user_attrs.get("error"),
        }
        for trial in study.finished()
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def effort(trials: pl.DataFrame) -> dict[str, Any]:
    """How much was tried, and what pruning saved: the share of all trials' epochs that were not run."""
    run, whole = int(trials["steps"].sum()), int(trials["all_steps"].sum())
    return {
        "trials": trials.height,
        "finished": trials.filter(pl.col("state") == "complete").height,
        "pruned": trials.filter(pl.col("state") == "pruned").height,
        "share_of_epochs_pruned": round(1 - run / whole, 4),
        "trial_seconds": round(float(trials["seconds"].sum()), 1),
    }


def network_settings(study: "Study") -> dict[str, Any]:
    """Knob -> value for every family that has a feasible trial: that of its best, on the best trial's lookback."""
    best = study.best()
    assert best is not None
    found: dict[str, Any] = {"windows.lookback": best.params["lookback"]}
    for family in sorted({trial.params["model"] for trial in study.feasible()}):
        of_family = [trial for trial in study.feasible() if trial.params["model"] == family]
        winner = min(of_family, key=lambda trial: (trial.value, trial.number))
        found |= {f"{family}.{knob}": winner.params[knob] for knob in ("hidden", "learning_rate")}
    return found


def study_plots(study: "Study") -> "dict[str, Figure]":
    """Optuna's plots: the best value so far, what mattered, and how settings lie together."""
    import warnings

    import matplotlib.pyplot as plt
    from optuna import visualization
    from optuna.exceptions import ExperimentalWarning

    complete = [trial for trial in study.finished() if trial.state.name == "COMPLETE"]
    draw: dict[str, Any] = {"history": visualization.matplotlib.plot_optimization_history}
    if len({trial.value for trial in complete}) > 1:  # importance of what made no difference is not defined
        draw["importance"] = visualization.matplotlib.plot_param_importances
        draw["parallel"] = visualization.matplotlib.plot_parallel_coordinate
    figures = {}
    if not complete:
        return {}
    with warnings.catch_warnings(), plt.rc_context():  # Optuna sets a style for the whole process
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Attempting to set identical")  # the axis of a knob with one value
        for name, plot in draw.items():
            figure = plot(study.optuna)
            figure = figure.figure
            figure.set_size_inches(9, 5)
            figure.tight_layout()
            plt.close(figure)
            figures[name] = figure
    return figures


@dataclass(frozen=True)
class Chosen:
    """The settings that the search found, and what is chosen on their forecasts."""

    given: "Search"
    best: "optuna.trial.FrozenTrial"
    panel: "PanelTensors"
    calendar_panel: Version
    backtest: BacktestSpec

    def years(self) -> "list[InnerYear]":
        """The best trial's raw forecasts."""
        from forecast_assets.assets.tuning.search import load_forecasts, save_forecasts
        from forecast_assets.core.training.inner import inner_walk_forward, inner_years
        from forecast_assets.resources.study import folder_of
        from forecast_assets.store.artefact_files import TRIAL_FORECASTS

        stored = self.given.folder / folder_of(self.best.params) / TRIAL_FORECASTS
        if not stored.exists():  # another machine ran the trial: the same settings and seed give the same forecasts
            years = inner_walk_forward(
                self.given.candidate(self.best.params),
                self.given.budget,
                panel=self.panel,
                hardware=self.given.hardware,
                report=lambda _: None,
            )
            stored.parent.mkdir(exist_ok=True)
            save_forecasts(stored, {year.fold.year: year.quantiles for year in years})
        raw = load_forecasts(stored)
        return inner_years(raw, panel=self.panel, folds=self.given.budget.folds, lookback=self.best.params["lookback"])

    def calibration_rate(self) -> tuple[pl.DataFrame, float]:
        """The rate with the smallest calibrated pinball loss, relative to the first rate's at each horizon."""
        from forecast_assets.core.training.inner import inner_score

        scores: dict[float, float] = {}
        first: tuple[float, ...] | None = None
        for rate in self.given.spec.calibration_rate:
            spec = self.given.budget.calibration.model_copy(update={"rate": rate, "enabled": True})
            pinball = inner_score(self.years(), panel=self.panel, calibration=spec).pinball
            first = first or pinball
            scores[rate] = sum(p / f for p, f in zip(pinball, first, strict=True)) / len(first)
        table = pl.DataFrame([{"knob": "calibration.rate", "rate": r, "score": s} for r, s in scores.items()])
        return table, min(scores, key=lambda rate: scores[rate])

    def trading(self, rate: float) -> tuple[pl.DataFrame, dict[str, Any]]:
        """The trading knobs with the largest net Sharpe ratio over the inner years, one book a year from cash."""
        from forecast_assets.core.backtest.simulate import simulate
        from forecast_assets.core.training.calibrate import calibrate_fold

        spec = self.given.spec
        calibration = self.given.budget.calibration.model_copy(update={"rate": rate, "enabled": True})
        years = self.years()
        last = max(year.fold.year for year in years)
        quotes = pl.scan_parquet(self.calendar_panel.path(TABLE)).filter(pl.col("date").dt.year() <= last).collect()
        tables = []
        for year in years:
            online = calibrate_fold(year.quantiles, panel=self.panel, fold=year.fold, spec=calibration)
            tables.append(fold_table(self.panel, year.fold, online.quantiles, model="sweep"))
        rows: list[dict[str, Any]] = []
        for smoothing in spec.smoothing:
            for kelly in spec.kelly_fraction:
                rules = self.backtest.model_copy(update={"smoothing": smoothing, "kelly_fraction": kelly})
                column = HORIZONS.index(rules.horizon_sessions)
                net = pl.concat(
                    simulate(
                        table,
                        quotes,
                        year=year.fold.year,
                        spec=rules,
                        unconditional_mean=year.unconditional_mean[column],
                    ).daily["net_return"]
                    for table, year in zip(tables, years, strict=True)
                )
                deviation = float(net.std() or 0.0)  # type: ignore[arg-type]
                sharpe = float(net.mean() or 0.0) / deviation if deviation > 0 else float("-inf")  # type: ignore[arg-type]
                rows.append({"knob": "trading", "smoothing": smoothing, "kelly_fraction": kelly, "score": sharpe})
        self._enter_looks(rows, years=[year.fold.year for year in years])
        best = max(rows, key=lambda row: row["score"])
        chosen = {f"backtest.{knob}": best[knob] for knob in ("smoothing", "kelly_fraction")}
        return pl.DataFrame(rows), chosen

    def _enter_looks(self, rows: list[dict[str, Any]], *, years: list[int]) -> None:
        """Every simulated inner year goes to the trial ledger."""
        import datetime as dt

        from forecast_assets.core.evaluation.trials import Trial
        from forecast_assets.resources.trial_log import trial_journal

        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        looks = []
        for row in rows:
            tried = {**self.backtest.model_dump(mode="json"), **{k: v for k, v in row.items() if k != "score"}}
            rules = sha256_text(canonical_json(tried))
            for year in years:
                looks.append(
                    Trial(
                        id=sha256_text(canonical_json([self.given.name, rules, year]))[:32],
                        kind="look",
                        model="sweep",
                        spec=rules[:16],
                        seed=None,
                        fold=str(year),
                        score=None,
                        pruned=False,
                        when=now,
                    )
                )
        trial_journal(self.given.data_root).append(look.as_record() for look in looks)
