"""Claim the trials of a search, run each through the inner years, and record the results; in one process of several."""

import datetime as dt
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.catalogue import FitSpec
from forecast_assets.core.specs import FoldSpec, SweepSpec
from forecast_assets.resources import environment
from forecast_assets.resources.engine import Engine, Needs, ProgressCallback, fit_needs
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.study import Claim, Study, orphaned
from forecast_assets.store.artefact_files import TENSORS, TRIAL_FORECASTS
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware
    from forecast_assets.core.training.inner import Budget, Candidate, InnerScore, Progress
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.tracking import Log, TrackingResource


WARM_UP_SHARE = 3  # no trial is pruned in the first 1 / 3 of its epochs

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Search:
    """A search for settings, as all its processes share it; it can be sent to another process."""

    name: str
    folder: Path
    windowed_tensors: Version
    spec: SweepSpec
    fit_specs: Mapping[str, FitSpec]
    budget: "Budget"
    hardware: "Hardware"
    tracking: Mapping[str, str]
    data_root: str

    @property
    def space(self) -> dict[str, list[Any]]:
        """The search space: setting -> values."""
        searched = {name: list(getattr(self.spec, name)) for name in ("hidden", "learning_rate", "lookback")}
        return {"model": list(self.spec.models), **searched}

    @property
    def steps(self) -> int:
        """Epochs of a trial that is not pruned."""
        return self.spec.epochs * len(self.budget.years)

    def panel(self) -> "PanelTensors":
        """Return the panel that trials are run on: some tickers, without the test years."""
        from forecast_assets.core.windows.tensors import PanelTensors

        whole = PanelTensors.load(self.windowed_tensors.path(TENSORS))
        return panel_to_search(whole, self.spec, folds=self.budget.folds)

    def study(self) -> Study:
        """Open the study in this process. Raises BadSetting for a file outside of what was declared where it was started."""
        storage = self.spec.storage
        if storage and (storage.startswith("sqlite") or "://" not in storage):
            environment.require_inside(storage.partition("///")[2] or storage, setting="sweep.storage")
        return Study(
            self.name,
            folder=self.folder,
            storage=storage,
            space=self.space,
            trials=self.spec.trials,
            seed=self.spec.seed,
            # Steps count from 0, and a step is reported when its epoch is over.
            warm_up_steps=-(-self.steps // WARM_UP_SHARE) - 1,
        )

    def candidate(self, params: Mapping[str, Any]) -> "Candidate":
        """Return the settings of a trial: the profile's with the searched ones over them."""
        from forecast_assets.core.training.inner import Candidate

        spec = self.fit_specs[params["model"]]
        searched = {
            "hidden": params["hidden"],
            "learning_rate": params["learning_rate"],
            "epochs": self.spec.epochs,
            "patience": self.spec.epochs,
            "samples_per_epoch": self.spec.samples_per_epoch,
            "fits": 1,
        }
        return Candidate(params["model"], type(spec).model_validate(dict(spec) | searched), lookback=params["lookback"])


def panel_to_search(whole: "PanelTensors", spec: SweepSpec, *, folds: FoldSpec) -> "PanelTensors":
    """Return the part of the ``whole`` panel that a search by ``spec`` may read."""
    from forecast_assets.core.training.inner import search_panel

    return search_panel(whole, folds=folds, years=spec.years, lookback=max(spec.lookback), tickers=spec.max_tickers)


def run_trials(worker: "Worker", engine: Engine) -> Iterator[None]:
    """Run trials until all are done; yields whenever one has ended."""
    while not worker.is_orphaned:
        yield from worker.run(engine)
        if not worker.study.running():
            return
        time.sleep(POLL_SECONDS)  # another process may give its trial back


def run_in_process(search: Search, parent: int) -> None:
    """Entry point of a further process."""
    import torch

    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    for _ in run_trials(Worker(search, parent=parent), LocalEngine()):
        pass


class TrialInput(NamedTuple):
    """One trial's settings, and the folder of its checkpoints."""

    params: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class TrialOutcome:
    """The outcome of a trial: its score and the forecasts behind it, or neither."""

    seconds: float
    score: "InnerScore | None" = None
    forecasts: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Raw quantiles of each inner year, (validation + test, 3, 7)."""
    error: str = ""  # why there is no score: training diverged. Empty for a trial that was pruned.


@dataclass(frozen=True)
class TrialRunner:
    """Runs a trial through the inner years, on any machine. Reports each epoch; the answer says whether to continue."""

    search: Search

    @cached_property
    def panel(self) -> "PanelTensors":
        return self.search.panel()

    @cached_property
    def graphed(self) -> "PanelTensors":
        """The panel with the graph of the networks that read one: no setting of it is searched, so there is one."""
        from forecast_assets.core.windows.graph import with_graph

        (graph,) = {spec.reads.graph for spec in self.search.fit_specs.values()} - {None}
        assert graph is not None
        return with_graph(self.panel, graph)

    def panel_for(self, candidate: "Candidate") -> "PanelTensors":
        """Return the panel that ``candidate`` reads."""
        return self.graphed if candidate.spec.reads.graph else self.panel

    def __getstate__(self) -> dict[str, Any]:
        return {"search": self.search}

    def needs(self) -> Needs:
        """Return the resources that a trial takes."""
        tensors = self.search.windowed_tensors.manifest.files[TENSORS]
        return fit_needs(self.search.hardware, tensor_bytes=tensors.bytes)

    def __call__(self, given: TrialInput, report: ProgressCallback) -> TrialOutcome:
        from forecast_assets.core.training.fit import Resumable
        from forecast_assets.core.training.inner import Pruned, inner_score, inner_walk_forward

        search, started = self.search, time.perf_counter()
        candidate = search.candidate(given.params)

        def report_step(progress: "Progress") -> None:
            if not report(progress):
                raise Pruned(f"at step {progress.step}")

        try:
            years = inner_walk_forward(
                candidate,
                search.budget,
                panel=self.panel_for(candidate),
                hardware=search.hardware,
                report=report_step,
                checkpoint=Resumable(given.folder, key=given.folder.name),
            )
        except Pruned:
            return TrialOutcome(time.perf_counter() - started)
        except FloatingPointError as error:  # training diverges: a result, and no reason to repeat it
            return TrialOutcome(time.perf_counter() - started, error=str(error))
        score = inner_score(years, panel=self.panel, calibration=search.budget.calibration)
        forecasts = {year.fold.year: year.quantiles for year in years}
        return TrialOutcome(time.perf_counter() - started, score, forecasts)


@dataclass
class Worker:
    """One process that claims trials and follows them, wherever they run."""

    search: Search
    parent: int | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger(__name__))

    @cached_property
    def study(self) -> Study:
        return self.search.study()

    @cached_property
    def tracking(self) -> "TrackingResource":
        from forecast_assets.resources.tracking import TrackingResource

        return TrackingResource(**self.search.tracking)  # type: ignore[arg-type]

    def run(self, engine: Engine) -> Iterator[None]:
        """Run the trials that can be claimed; yields whenever one has ended, which study and trial log then hold."""
        runner, running, numbers = TrialRunner(self.search), dict[int, RunningTrial](), count()

        def begin() -> Iterator[TrialInput]:
            while not self.is_orphaned and (claim := self.study.claim()) is not None:
                running[next(numbers)] = RunningTrial(self, claim)
                yield TrialInput(claim.params, claim.folder)

        try:
            outcomes = engine.each(
                runner, begin(), needs=runner.needs(), on_message=lambda k, message: running[k].on_message(message)
            )
            for position, outcome in outcomes:
                running.pop(position).end(outcome)
                yield
        except BaseException:
            for trial in running.values():
                trial.give_up()
            raise

    @property
    def is_orphaned(self) -> bool:
        """Whether the process whose end is this one's too is gone."""
        return self.parent is not None and orphaned(self.parent)


class RunningTrial:
    """A claimed trial while it runs: tracks its epochs, prunes it, and records its result at the end."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self.worker, self.claim, self.search = worker, claim, worker.search
        self.candidate = self.search.candidate(claim.params)
        self.reached: dict[int, float] = {}
        self._answers: dict[int, bool] = {}
        self._stack = ExitStack()
        config = {**claim.params, "trial": claim.trial.number, **self.candidate.spec.model_dump(mode="json")}
        run = worker.tracking.run(
            name=f"sweep/{claim.trial.number}", group=self.search.name, config=config, log=worker.log
        )
        self.record: Log = self._stack.enter_context(run)

    def give_up(self) -> None:
        """Close the tracked run with the error at hand. Another process will run the trial again."""
        self._stack.__exit__(*sys.exc_info())

    def on_message(self, progress: "Progress") -> bool:
        """Whether the trial is to continue. A step that is reported again, after a restart, gets the same answer."""
        if progress.step not in self._answers:
            trial = self.claim.trial
            self.reached[progress.year] = progress.best
            trial.report(progress.value, progress.step)
            self.record({**progress.epoch, "year": progress.year, "value": progress.value})
            if self.worker.is_orphaned:
                raise SystemExit(1)
            self._answers[progress.step] = not trial.should_prune()
        return self._answers[progress.step]

    def end(self, outcome: TrialOutcome) -> None:
        """Enter the outcome: into the trial log first, then into the study."""
        from optuna.trial import TrialState

        trial, score, spec = self.claim.trial, outcome.score, self.search.spec
        if outcome.error:
            trial.set_user_attr("error", outcome.error)
        elif score is None:
            self.record({"pruned": 1.0})
        trial.set_user_attr("seconds", outcome.seconds)
        if score is not None:
            save_forecasts(self.claim.folder / TRIAL_FORECASTS, outcome.forecasts)
            named: dict[str, float] = {}
            for horizon, pinball, share in zip(HORIZONS, score.pinball, score.coverage_95, strict=True):
                named |= {f"pinball_{horizon}d": pinball, f"coverage_95_{horizon}d": share}
                outside = max(spec.coverage_low - share, share - spec.coverage_high)
                trial.set_constraint(f"coverage_95_{horizon}d", outside)
            for name, value in named.items():
                trial.set_user_attr(name, value)
            self.record({"loss": score.loss, **named})
        self._enter(pruned=score is None)
        state = TrialState.PRUNED if score is None else TrialState.COMPLETE
        self.worker.study.optuna.tell(trial, None if score is None else score.loss, state=state)
        self._stack.close()
        for year in self.search.budget.years:
            shutil.rmtree(self.claim.folder / str(year), ignore_errors=True)  # its checkpoints, no longer needed

    def _enter(self, *, pruned: bool) -> None:
        """Enter every fit that was begun into the trial log, before the study has the result: after a kill between the two
        the trial runs again under the same ids, so it is counted once.
        """
        from forecast_assets.core.evaluation.trials import Trial
        from forecast_assets.resources.trial_log import trial_journal

        candidate = self.candidate
        spec = sha256_text(canonical_json(candidate.spec.model_dump(mode="json") | {"lookback": candidate.lookback}))
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        last = max(self.reached, default=None)
        fits = [
            Trial(
                id=sha256_text(canonical_json([self.search.name, self.claim.folder.name, year]))[:32],
                kind="fit",
                model=candidate.model,
                spec=spec[:16],
                seed=self.search.budget.seed,
                fold=str(year),
                score=best,
                pruned=pruned and year == last,
                when=now,
            )
            for year, best in self.reached.items()
        ]
        trial_journal(self.search.data_root).append(fit.as_record() for fit in fits)


def save_forecasts(path: Path, quantiles: Mapping[int, NDArray[np.float64]]) -> None:
    """Write the raw quantiles of each inner year, whole or not at all."""
    from safetensors.numpy import save

    from forecast_assets.store.durable import replace_bytes

    replace_bytes(path, save({str(year): np.ascontiguousarray(of) for year, of in quantiles.items()}))


def load_forecasts(path: Path) -> dict[int, NDArray[np.float64]]:
    """Return year -> raw forecasts (validation + test, H, Q) of a completed trial."""
    from safetensors.numpy import load_file

    return {int(year): quantiles for year, quantiles in load_file(path).items()}
