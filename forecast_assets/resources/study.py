"""An Optuna study shared by several processes, any of which may be killed.

A trial belongs to the process that holds a lock on its folder. However that process ends, the kernel frees the lock; the
trial then counts as failed, and its settings are queued again, to resume from the last finished epoch of each fit. Equal
settings run once. The next settings depend on the seed and the trials so far, not on which process asks.
"""

import itertools
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast_assets.core.errors import BadSetting
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.locks import exclusive, hold, is_held

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

OWNER = "owner"  # user attribute of a trial: the folder that its process locks
HEARTBEAT_SECONDS = 60  # of a trial in a database shared between machines, whose locks can't be seen from here

Space = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Claim:
    """One trial, held by this process for as long as the object lives."""

    trial: "optuna.Trial"
    params: dict[str, Any]
    folder: Path  # of its checkpoints; another trial of the same settings gets the same


class Study:
    """The study ``name`` in ``storage``; ``folder`` (local) holds locks and checkpoints, and the database by default.

    No trial is pruned before step ``warm_up_steps``.
    """

    def __init__(
        self, name: str, *, folder: Path, storage: str, space: Space, trials: int, seed: int, warm_up_steps: int
    ) -> None:
        from optuna.pruners import MedianPruner

        self.space, self.seed = {key: list(values) for key, values in space.items()}, seed
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.trials = min(trials, math.prod(len(values) for values in self.space.values()))
        self.is_shared = "://" in storage and not storage.startswith("sqlite")
        self.optuna = _open(name, folder=folder, storage=storage)
        self.optuna.pruner = MedianPruner(n_warmup_steps=warm_up_steps)

    def claim(self) -> Claim | None:
        """Claim the next trial; None where the requested number has finished or is running."""
        with exclusive(self.folder / "ask.lock", what="the study"):
            self._reclaim()
            taken = [trial.params for trial in self._trials("COMPLETE", "PRUNED", "RUNNING")]
            if len(taken) >= self.trials:
                return None
            trial, params = self._ask(taken)
            folder = self.folder / folder_of(params)
            folder.mkdir(exist_ok=True)
            claim = Claim(trial, params, folder)
            hold(folder, owner=claim)
            trial.set_user_attr(OWNER, folder.name)
            return claim

    def finished(self) -> list["optuna.trial.FrozenTrial"]:
        """Return the finished trials, pruned ones included, in the order they began."""
        return self._trials("COMPLETE", "PRUNED")

    def running(self) -> int:
        """Return the number of running trials."""
        return len(self._trials("RUNNING"))

    def feasible(self) -> list["optuna.trial.FrozenTrial"]:
        """Return the completed trials that violate no constraint."""
        return [trial for trial in self._trials("COMPLETE") if all(v <= 0 for v in trial.constraints.values())]

    def _trials(self, *states: str) -> list["optuna.trial.FrozenTrial"]:
        from optuna.trial import TrialState

        return self.optuna.get_trials(deepcopy=False, states=tuple(TrialState[name] for name in states))

    def _ask(self, taken: list[dict[str, Any]]) -> tuple["optuna.Trial", dict[str, Any]]:
        import numpy as np
        import optuna

        number = len(taken)  # without the trials of killed processes
        # A new sampler for every trial: a study resumed after a kill draws the same settings.
        self.optuna.sampler = optuna.samplers.TPESampler(seed=self.seed + number, multivariate=True)
        trial, params = self._suggested()
        if params not in taken:
            return trial, params
        # The sampler may repeat settings; running them again would add no information.
        self.optuna.tell(trial, state=optuna.trial.TrialState.FAIL)
        every = (dict(zip(self.space, values, strict=True)) for values in itertools.product(*self.space.values()))
        remaining = [params for params in every if params not in taken]
        self.optuna.enqueue_trial(remaining[int(np.random.default_rng(self.seed + number).integers(len(remaining)))])
        return self._suggested()

    def _suggested(self) -> tuple["optuna.Trial", dict[str, Any]]:
        trial = self.optuna.ask()
        return trial, {name: trial.suggest_categorical(name, values) for name, values in self.space.items()}

    def _reclaim(self) -> None:
        """Fail the trials whose process is gone, and queue their settings first."""
        from optuna.trial import TrialState

        for trial in self._trials("RUNNING"):
            folder = self.folder / trial.user_attrs[OWNER] if OWNER in trial.user_attrs else None
            if self.is_shared and (folder is None or not folder.exists()):
                continue  # another machine's: its heartbeat decides
            if folder is not None and is_held(folder):
                continue
            log.info("sweep: the process of trial %d is gone; its settings run again", trial.number)
            self.optuna.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                self.optuna.enqueue_trial(trial.params)


def _open(name: str, *, folder: Path, storage: str) -> "optuna.Study":
    import optuna
    from optuna.storages import JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = storage or f"sqlite:///{folder / 'study.db'}"
    try:
        if "://" not in url:
            backend = JournalFileBackend(url, lock_obj=JournalFileOpenLock(url))
            opened: optuna.storages.BaseStorage = JournalStorage(backend)
        elif url.startswith("sqlite"):
            opened = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        else:
            retry = RetryHeartbeatStaleTrialCallback()
            opened = RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS, heartbeat_stale_trial_callback=retry)
        return optuna.create_study(study_name=name, storage=opened, direction="minimize", load_if_exists=True)
    # SQLAlchemy and the drivers raise their own errors for a server that is not there or a URL they can't read.
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        where = url.partition("@")[2] or url  # never a password
        raise BadSetting(f"sweep.storage: {where} can't be opened ({type(error).__name__}: {first[:200]})") from error


def folder_of(params: Mapping[str, Any]) -> str:
    """Return the name of the folder of a trial's settings, below the study's."""
    return sha256_text(canonical_json(dict(params)))[:16]


def orphaned(parent: int) -> bool:
    """Whether the process ``parent`` that started this one is gone."""
    return os.getppid() != parent
