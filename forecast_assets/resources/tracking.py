"""Experiment tracking with Weights & Biases: every fit is a run, offline unless the user says otherwise.

Tracking serves training and never stands in its way: what goes wrong here is said once, and the run goes on offline, or
untracked where even that fails. Offline runs lie under the data root; ``wandb sync`` sends them later.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field, PrivateAttr

from forecast_assets.resources import environment

Log = Callable[[Mapping[str, float]], None]
"""Takes the metrics of one epoch."""

INIT_SECONDS = 15
"""How long an unreachable server may hold up the first fit; W&B's own default is 90."""


class TrackingResource(dg.ConfigurableResource):
    """Where the curves of fits go."""

    mode: Literal["", "offline", "online", "disabled"] = Field(default="", description="empty: WANDB_MODE, or offline")
    project: str = "forecast_assets"
    folder: str = Field(default="", description="of offline runs; empty: WANDB_DIR, or the data root where it is local")

    _given_up: bool = PrivateAttr(default=False)  # after a failure online, the fits that follow do not wait again
    _told: bool = PrivateAttr(default=False)

    @contextmanager
    def run(self, *, name: str, group: str, config: Mapping[str, Any], log: logging.Logger) -> Iterator[Log]:
        """One tracked run; yields what takes its metrics. ``config`` goes to W&B as it is: settings, never secrets."""
        run = self._start(name=name, group=group, config=config, log=log)

        def record(metrics: Mapping[str, float]) -> None:
            if run is not None:
                self._guarded(lambda: run.log(dict(metrics)), log)

        try:
            yield record
        except BaseException:
            if run is not None:
                self._guarded(lambda: run.finish(exit_code=1), log)
            raise
        if run is not None:
            self._guarded(run.finish, log)

    def _start(self, *, name: str, group: str, config: Mapping[str, Any], log: logging.Logger) -> Any:
        mode = self.mode or environment.wandb_mode()
        if mode == "disabled":
            return None
        modes = ["offline"] if mode == "offline" or self._given_up else ["online", "offline"]
        for chosen in modes:
            run = self._guarded(partial(self._init, chosen, name, group, config), log)
            if run is not None:
                return run
            self._given_up = True
        return None

    def _init(self, mode: str, name: str, group: str, config: Mapping[str, Any]) -> Any:
        import wandb

        folder = Path(self.folder or environment.wandb_dir() or Path(tempfile.gettempdir(), "forecast_assets"))
        folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=self.project,
            name=name,
            group=group,
            config=dict(config),
            dir=str(folder),
            mode=mode,  # type: ignore[arg-type]
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", init_timeout=INIT_SECONDS, login_timeout=INIT_SECONDS),
        )

    def _guarded(self, action: Callable[[], Any], log: logging.Logger) -> Any:
        """The action's result; None where tracking failed, which is said once."""
        try:
            return action()
        # W&B raises its own errors, OSError for a folder it can't write, ValueError for a setting it can't read, and
        # whatever its service's connection raises. None of them is worth a night's training.
        except Exception as error:
            if not self._told:
                first = str(error).strip().split("\n")[0]
                log.warning(
                    f"W&B: {type(error).__name__}: {first[:300]} Training goes on without it, offline if it can."
                )
                self._told = True
            return None
