"""One process's share of a sweep: it claims settings, walks them through the inner years, and tells what came out."""

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
from forecast_assets.core.specs import FitSpec, GraphSpec, SweepSpec
from forecast_assets.resources.engine import Engine, LocalEngine, Needs, ProgressCallback, fit_needs
from forecast_assets.resources.study import Claim, Study, orphaned
from forecast_assets.store.artefact_files import TRIAL_FORECASTS
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware
    from forecast_assets.core.training.inner import Budget, Candidate, InnerScore, Progress
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.tracking import Log, TrackingResource


WARM_UP_SHARE = 3
"""No trial is pruned in the first 1 / 3 of its epochs."""

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Tensors:
    """The file of a version, to be opened where it is read."""

    version: Version
    name: str

    @property
    def bytes(self) -> int:
        return self.version.manifest.files[self.name].bytes

    def load(self) -> "PanelTensors":
        from forecast_assets.core.windows.tensors import PanelTensors

        return PanelTensors.load(self.version.path(self.name))


@dataclass(frozen=True)
class Search:
    """What the processes of one sweep share; it can be sent to another process."""

    name: str
    folder: Path
    tensors: Tensors
    spec: SweepSpec
    fit_specs: Mapping[str, FitSpec]
    budget: "Budget"
    hardware: "Hardware"
    tracking: Mapping[str, str]
    data_root: str

    @property
    def space(self) -> dict[str, list[Any]]:
        """What is searched: the knobs of a network."""
        spec = self.spec
        return {
            "model": list(spec.models),
            "hidden": list(spec.hidden),
            "learning_rate": list(spec.learning_rate),
            "lookback": list(spec.lookback),
        }

    @property
    def steps(self) -> int:
        """Epochs of a trial that is not pruned."""
        return self.spec.epochs * len(self.budget.years)

    def panel(self) -> "PanelTensors":
        """The names that settings are tried on."""
        from forecast_assets.core.training.inner import sample_of_tickers

        return sample_of_tickers(self.tensors.load(), tickers=self.spec.max_tickers)

    def study(self) -> Study:
        """The study, opened by this process."""
        return Study(
            self.name,
            folder=self.folder,
            storage=self.spec.storage,
            space=self.space,
            trials=self.spec.trials,
            seed=self.spec.seed,
            # Steps count from 0, and a step is reported when its epoch is over.
            warm_up_steps=-(-self.steps // WARM_UP_SHARE) - 1,
        )

    def candidate(self, params: Mapping[str, Any]) -> "Candidate":
        """The settings of a trial: the profile's with the searched ones over them."""
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


def search(worker: "Worker", engine: Engine) -> Iterator[None]:
    """Try settings until as many as asked for are tried; yields whenever a trial came to an end."""
    while not worker.is_orphaned:
        yield from worker.run(engine)
        if not worker.study.running():
            return
        time.sleep(POLL_SECONDS)  # what another process is at may come back


def search_in_process(given: Search, parent: int) -> None:
    """Entry point of a further process."""
    import torch

    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    for _ in search(Worker(given, parent=parent), LocalEngine()):
        pass


class TrialInput(NamedTuple):
    """One trial's settings, and a folder for its checkpoints."""

    params: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class TrialOutcome:
    """What came of a trial: a score and the forecasts it stands on, or neither."""

    seconds: float
    score: "InnerScore | None" = None
    forecasts: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Raw quantiles of each inner year, (validation + test, 3, 7)."""
    error: str = ""
    """Why these settings have no score: they diverge. Empty for a trial that was pruned."""


@dataclass(frozen=True)
class TrialRunner:
    """The work on a trial, on any machine: its settings through the inner years. Says the progress after each epoch, and
    is answered whether to go on.
    """

    given: Search

    @cached_property
    def panel(self) -> "PanelTensors":
        return self.given.panel()

    @cached_property
    def graphed(self) -> "PanelTensors":
        """The panel with the graph of the networks that read one: no knob of it is searched, so there is one."""
        from forecast_assets.core.windows.graph import with_graph

        (spec,) = (spec for spec in self.given.fit_specs.values() if isinstance(spec, GraphSpec))
        return with_graph(self.panel, spec)

    def __getstate__(self) -> dict[str, Any]:
        return {"given": self.given}

    def needs(self) -> Needs:
        """What a trial takes of a machine."""
        return fit_needs(self.given.hardware, tensor_bytes=self.given.tensors.bytes)

    def __call__(self, tried: TrialInput, report: ProgressCallback) -> TrialOutcome:
        from forecast_assets.core.training.fit import Resumable
        from forecast_assets.core.training.inner import Pruned, inner_score, inner_walk_forward

        given, started = self.given, time.perf_counter()

        def report_step(progress: "Progress") -> None:
            if not report(progress):
                raise Pruned(f"at step {progress.step}")

        try:
            candidate = given.candidate(tried.params)
            years = inner_walk_forward(
                candidate,
                given.budget,
                panel=self.graphed if isinstance(candidate.spec, GraphSpec) else self.panel,
                hardware=given.hardware,
                report=report_step,
                checkpoint=Resumable(tried.folder, key=tried.folder.name),
            )
        except Pruned:
            return TrialOutcome(time.perf_counter() - started)
        except FloatingPointError as error:  # these settings diverge: an outcome, and none to try again
            return TrialOutcome(time.perf_counter() - started, error=str(error))
        score = inner_score(years, panel=self.panel, calibration=given.budget.calibration)
        forecasts = {year.fold.year: year.quantiles for year in years}
        return TrialOutcome(time.perf_counter() - started, score, forecasts)


@dataclass
class Worker:
    """One process that claims trials and hears them, wherever they are walked."""

    given: Search
    parent: int | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger(__name__))

    @cached_property
    def study(self) -> Study:
        return self.given.study()

    @cached_property
    def tracking(self) -> "TrackingResource":
        from forecast_assets.resources.tracking import TrackingResource

        return TrackingResource(**self.given.tracking)  # type: ignore[arg-type]

    def run(self, engine: Engine) -> Iterator[None]:
        """Try what there is to claim; yields whenever a trial came to an end. However it ends, study and ledger know."""
        walk, at_work, numbers = TrialRunner(self.given), dict[int, RunningTrial](), count()

        def begin() -> Iterator[TrialInput]:
            while not self.is_orphaned and (claim := self.study.claim()) is not None:
                at_work[next(numbers)] = trying = RunningTrial(self, claim)
                yield trying.tried

        def on_message(position: int, message: "Progress") -> bool:
            return at_work[position].on_message(message)

        try:
            for position, walked in engine.each(walk, begin(), needs=walk.needs(), on_message=on_message):
                at_work.pop(position).end(walked)
                yield
        except BaseException:
            for trying in at_work.values():
                trying.give_up()
            raise

    @property
    def is_orphaned(self) -> bool:
        """Whether the process whose end is this one's too is gone."""
        return self.parent is not None and orphaned(self.parent)


class RunningTrial:
    """A claimed trial while it is walked: what is reported of it, and what its end leaves behind."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self.worker, self.claim, self.given = worker, claim, worker.given
        self.candidate = self.given.candidate(claim.params)
        self.reached: dict[int, float] = {}
        self._answers: dict[int, bool] = {}
        self._stack = ExitStack()
        config = {**claim.params, "trial": claim.trial.number, **self.candidate.spec.model_dump(mode="json")}
        run = worker.tracking.run(
            name=f"sweep/{claim.trial.number}", group=self.given.name, config=config, log=worker.log
        )
        self.record: Log = self._stack.enter_context(run)

    @property
    def tried(self) -> TrialInput:
        return TrialInput(self.claim.params, self.claim.folder)

    def give_up(self) -> None:
        """Close what was opened, in the words of the error at hand. The trial is tried again by whoever finds it."""
        self._stack.__exit__(*sys.exc_info())

    def on_message(self, progress: "Progress") -> bool:
        """Whether the trial is to go on. A step that is told again, by a machine that began again, is answered again."""
        if progress.step not in self._answers:
            trial = self.claim.trial
            self.reached[progress.year] = progress.best
            trial.report(progress.value, progress.step)
            self.record({**progress.epoch, "year": progress.year, "value": progress.value})
            if self.worker.is_orphaned:
                raise SystemExit(1)
            self._answers[progress.step] = not trial.should_prune()
        return self._answers[progress.step]

    def end(self, walked: TrialOutcome) -> None:
        """Enter what came of the trial: ledger first, then the study."""
        from optuna.trial import TrialState

        trial, score = self.claim.trial, walked.score
        if walked.error:
            trial.set_user_attr("error", walked.error)
        elif score is None:
            self.record({"pruned": 1.0})
        trial.set_user_attr("seconds", walked.seconds)
        if score is not None:
            save_forecasts(self.claim.folder / TRIAL_FORECASTS, walked.forecasts)
            self._judge(score)
            self.record({"mae_1d": score.mae_1d, **scores_of(score)})
        self._enter(pruned=score is None)
        state = TrialState.PRUNED if score is None else TrialState.COMPLETE
        self.worker.study.optuna.tell(trial, None if score is None else score.mae_1d, state=state)
        self._stack.close()
        for year in self.given.budget.years:
            # What the checkpoints were kept for is done.
            shutil.rmtree(self.claim.folder / str(year), ignore_errors=True)

    def _judge(self, score: "InnerScore") -> None:
        spec = self.given.spec
        for name, value in scores_of(score).items():
            self.claim.trial.set_user_attr(name, value)
        for horizon, share in zip(HORIZONS, score.coverage_95, strict=True):
            off = max(spec.coverage_low - share, share - spec.coverage_high)
            self.claim.trial.set_constraint(f"coverage_95_{horizon}d", off)

    def _enter(self, *, pruned: bool) -> None:
        """Every fit that was begun goes to the trial ledger, before the study is told: a kill between the two counts it
        once all the same, since the settings are then tried again under the same ids.
        """
        from forecast_assets.core.evaluation.trials import Trial
        from forecast_assets.resources.trial_log import trial_journal

        candidate = self.candidate
        spec = sha256_text(canonical_json(candidate.spec.model_dump(mode="json") | {"lookback": candidate.lookback}))
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        last = max(self.reached, default=None)
        fits = [
            Trial(
                id=sha256_text(canonical_json([self.given.name, self.claim.folder.name, year]))[:32],
                kind="fit",
                model=candidate.model,
                spec=spec[:16],
                seed=self.given.budget.seed,
                fold=str(year),
                score=best,
                pruned=pruned and year == last,
                when=now,
            )
            for year, best in self.reached.items()
        ]
        trial_journal(self.given.data_root).append(fit.as_record() for fit in fits)


def scores_of(score: "InnerScore") -> dict[str, float]:
    """The scores of a trial by name."""
    named = {}
    for k, horizon in enumerate(HORIZONS):
        named[f"pinball_{horizon}d"] = score.pinball[k]
        named[f"coverage_95_{horizon}d"] = score.coverage_95[k]
    return named


def save_forecasts(path: Path, quantiles: Mapping[int, NDArray[np.float64]]) -> None:
    """Raw quantiles of each inner year, whole or not at all."""
    from safetensors.numpy import save

    from forecast_assets.store.durable import replace_bytes

    replace_bytes(path, save({str(year): np.ascontiguousarray(of) for year, of in quantiles.items()}))


def load_forecasts(path: Path) -> dict[int, NDArray[np.float64]]:
    """Year -> raw forecasts (validation + test, 3, 7) of a trial that ran to its end."""
    from safetensors.numpy import load_file

    return {int(year): quantiles for year, quantiles in load_file(path).items()}
