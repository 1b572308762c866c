"""Run a search: its key, its processes, and which of its files are kept."""

import logging
import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from forecast_assets.core.specs import Spec, SweepSpec
from forecast_assets.resources.engine import Engine
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.worker_engine import WorkerEngine
from forecast_assets.store.artefact_files import TRIAL_FORECASTS
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    import optuna

    from forecast_assets.assets.tuning.search import Search
    from forecast_assets.resources.study import Study

SEARCH = "search-"
"""Beginning of the name of a search's folder, which is next to the sweep's checkpoints and is kept after it."""

POLL_SECONDS = 2.0


def search_key(windowed_tensors: Version, spec: SweepSpec, specs: Sequence[Spec]) -> str:
    """Return the key of a search: its code, data and settings. Trading costs and the settings that are
    chosen after the search are no part of it, so that another cost repeats no search.
    """
    from forecast_assets.assets.framework.code_version import code_version

    searched = spec.model_dump(mode="json", exclude={"calibration_rate", "smoothing", "kelly_fraction"})
    settings = [{type(each).__name__: each.model_dump(mode="json")} for each in specs]
    code = code_version("forecast_assets.assets.tuning.search")
    return sha256_text(canonical_json([code, windowed_tensors.data_version, searched, settings]))[:16]


def keep_best(search: "Search", best: "optuna.trial.FrozenTrial | None") -> None:
    """Keep the finished study and the best trial's forecasts for a later sweep that differs in trading only; delete the
    other trials' folders and earlier searches.
    """
    from forecast_assets.resources.study import folder_of

    kept = None if best is None else folder_of(best.params)
    for trial in search.folder.iterdir():
        if trial.is_dir() and trial.name != kept:
            shutil.rmtree(trial)
        elif trial.is_dir():
            for leftover in trial.iterdir():
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                elif leftover.name != TRIAL_FORECASTS:
                    leftover.unlink()
    for other in search.folder.parent.glob(f"{SEARCH}*"):
        if other != search.folder:
            shutil.rmtree(other)


def carry_out(search: "Search", *, engine: Engine, log: logging.Logger) -> "Study":
    """Run all trials, on the machines of ``engine`` or in as many processes here as asked for, and return the study.

    Raises RuntimeError where a further process failed: the next run repeats the trials that it left unfinished.
    """
    from forecast_assets.assets.tuning.search import Worker, run_in_process, run_trials

    study = search.study()
    logged = len(study.finished())
    if logged:
        log.info(f"sweep: continues after {logged} of {study.trials} trials")
    # Trials depend on which others have ended, so how many run at the same time is the search's own setting.
    here = isinstance(engine, LocalEngine | WorkerEngine)
    if search.spec.workers == 1 or not here:
        for _ in run_trials(Worker(search), LocalEngine() if here else engine):
            logged = log_finished(study, logged, log=log)
        return study
    context = multiprocessing.get_context("spawn")  # torch's threads don't survive a fork
    processes = [
        context.Process(target=run_in_process, args=(search, os.getpid()), daemon=True)
        for _ in range(search.spec.workers)
    ]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        time.sleep(POLL_SECONDS)
        logged = log_finished(study, logged, log=log)
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise RuntimeError(f"sweep: {len(failed)} of {len(processes)} processes failed (exit codes {failed})")
    return study


def log_finished(study: "Study", logged: int, *, log: logging.Logger) -> int:
    """Log the trials that ended beyond the first ``logged``; return how many have ended."""
    finished = sorted(
        study.finished(), key=lambda trial: trial.datetime_complete.timestamp() if trial.datetime_complete else math.inf
    )
    for k, trial in enumerate(finished[logged:], start=logged + 1):
        outcome = f"loss {trial.value:.6f}" if trial.state.name == "COMPLETE" else "pruned"
        log.info(f"sweep: {k} of {study.trials} trials: {', '.join(map(str, trial.params.values()))}: {outcome}")
    return len(finished)
