"""One process's share of a sweep: it claims settings, walks them through the inner years, and tells what came out."""

import datetime as dt
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import FitSpec, SweepSpec
from forecast_assets.resources.study import Claim, Study, orphaned
from forecast_assets.store.keys import canonical_json, sha256_text

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware
    from forecast_assets.core.training.inner import Budget, Candidate, InnerScore, InnerYear, Progress
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.tracking import Log, TrackingResource

FORECASTS = "forecasts.safetensors"
"""In a trial's folder: its raw forecasts of each inner year, for what is chosen afterwards."""

WARM_UP_SHARE = 3
"""No trial is pruned in the first 1 / 3 of its epochs."""

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Search:
    """What the processes of one sweep share; it can be sent to another process."""

    name: str
    folder: Path
    tensors: Path
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
        from forecast_assets.core.windows.tensors import PanelTensors

        return sample_of_tickers(PanelTensors.load(self.tensors), tickers=self.spec.max_tickers)

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
            "visits_per_epoch": self.spec.visits_per_epoch,
            "fits": 1,
        }
        return Candidate(params["model"], type(spec).model_validate(dict(spec) | searched), lookback=params["lookback"])


def search(given: Search, *, parent: int | None = None) -> None:
    """Try settings until as many as asked for are tried. ``parent``: the process whose end is this one's too."""
    worker = Worker(given, parent=parent)
    while parent is None or not orphaned(parent):
        claim = worker.study.claim()
        if claim is not None:
            worker.run(claim)
        elif worker.study.running():
            time.sleep(POLL_SECONDS)  # what another process is at may come back
        else:
            return


def search_in_process(given: Search, parent: int) -> None:
    """Entry point of a further process."""
    import torch

    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    search(given, parent=parent)


@dataclass
class Worker:
    """One process at work on a search."""

    given: Search
    parent: int | None = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger(__name__))

    @cached_property
    def study(self) -> Study:
        return self.given.study()

    @cached_property
    def panel(self) -> "PanelTensors":
        return self.given.panel()

    @cached_property
    def tracking(self) -> "TrackingResource":
        from forecast_assets.resources.tracking import TrackingResource

        return TrackingResource(**self.given.tracking)  # type: ignore[arg-type]

    def run(self, claim: Claim) -> None:
        """Walk one trial's settings through the inner years. However it ends, the study and the ledger know."""
        from optuna.trial import TrialState

        from forecast_assets.core.training.fit import Resumable
        from forecast_assets.core.training.inner import Pruned, inner_score, inner_walk_forward

        trial, given = claim.trial, self.given
        candidate, reached = given.candidate(claim.params), {}
        started = time.perf_counter()
        with self._tracked(claim, candidate) as record:

            def report(progress: "Progress") -> None:
                reached[progress.year] = progress.best
                trial.report(progress.value, progress.step)
                record({**progress.epoch, "year": progress.year, "value": progress.value})
                if self.parent is not None and orphaned(self.parent):
                    raise SystemExit(1)
                if trial.should_prune():
                    raise Pruned(f"trial {trial.number} at step {progress.step}")

            checkpoint = Resumable(claim.folder, key=claim.folder.name)
            state, score = TrialState.PRUNED, None
            try:
                years = inner_walk_forward(
                    candidate,
                    given.budget,
                    panel=self.panel,
                    hardware=given.hardware,
                    report=report,
                    checkpoint=checkpoint,
                )
                score = inner_score(years, panel=self.panel, calibration=given.budget.calibration)
                save_forecasts(claim.folder / FORECASTS, years)
                state = TrialState.COMPLETE
            except Pruned:
                record({"pruned": 1.0})
            except FloatingPointError as error:  # these settings diverge: an outcome, and none to try again
                trial.set_user_attr("error", str(error))
            trial.set_user_attr("seconds", time.perf_counter() - started)
            if score is not None:
                self._judge(claim, score)
                record({"mae_1d": score.mae_1d, **scores_of(score)})
            self._enter(claim, candidate, reached, pruned=state == TrialState.PRUNED)
            self.study.optuna.tell(trial, None if score is None else score.mae_1d, state=state)
        for year in given.budget.years:
            shutil.rmtree(claim.folder / str(year), ignore_errors=True)  # what the checkpoints were kept for is done

    def _judge(self, claim: Claim, score: "InnerScore") -> None:
        spec = self.given.spec
        for name, value in scores_of(score).items():
            claim.trial.set_user_attr(name, value)
        for horizon, share in zip(HORIZONS, score.coverage_95, strict=True):
            off = max(spec.coverage_low - share, share - spec.coverage_high)
            claim.trial.set_constraint(f"coverage_95_{horizon}d", off)

    def _enter(self, claim: Claim, candidate: "Candidate", reached: Mapping[int, float], *, pruned: bool) -> None:
        """Every fit that was begun goes to the trial ledger, before the study is told: a kill between the two counts it
        once all the same, since the settings are then tried again under the same ids.
        """
        from forecast_assets.core.evaluation.trials import Trial
        from forecast_assets.resources.trial_ledger import trial_journal

        spec = sha256_text(canonical_json(candidate.spec.model_dump(mode="json") | {"lookback": candidate.lookback}))
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        last = max(reached, default=None)
        fits = [
            Trial(
                id=sha256_text(canonical_json([self.given.name, claim.folder.name, year]))[:32],
                kind="fit",
                model=candidate.model,
                spec=spec[:16],
                seed=self.given.budget.seed,
                fold=str(year),
                score=best,
                pruned=pruned and year == last,
                when=now,
            )
            for year, best in reached.items()
        ]
        trial_journal(self.given.data_root).append(fit.as_record() for fit in fits)

    @contextmanager
    def _tracked(self, claim: Claim, candidate: "Candidate") -> Iterator["Log"]:
        config = {**claim.params, "trial": claim.trial.number, **candidate.spec.model_dump(mode="json")}
        name = f"sweep/{claim.trial.number}"
        with self.tracking.run(name=name, group=self.given.name, config=config, log=self.log) as record:
            yield record


def scores_of(score: "InnerScore") -> dict[str, float]:
    """The scores of a trial by name."""
    named = {}
    for k, horizon in enumerate(HORIZONS):
        named[f"pinball_{horizon}d"] = score.pinball[k]
        named[f"coverage_95_{horizon}d"] = score.coverage_95[k]
    return named


def save_forecasts(path: Path, years: "list[InnerYear]") -> None:
    """Raw quantiles of each inner year, whole or not at all."""
    import torch
    from safetensors.torch import save

    from forecast_assets.store.durable import replace_bytes

    tensors = {str(year.fold.year): torch.from_numpy(year.quantiles) for year in years}
    replace_bytes(path, save(tensors))


def load_forecasts(path: Path) -> dict[int, NDArray[np.float64]]:
    """Year -> raw forecasts (validation + test, 3, 7) of a trial that ran to its end."""
    from safetensors.numpy import load_file

    return {int(year): quantiles for year, quantiles in load_file(path).items()}
