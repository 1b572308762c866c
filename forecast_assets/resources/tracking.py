"""Experiment tracking with Weights & Biases: every fit is a run, offline by default.

Tracking never stops training: an error is logged once, and the run continues offline, or untracked where that fails too.
Offline runs are stored under the data root; ``wandb sync`` uploads them later.
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

Log = Callable[[Mapping[str, float]], None]  # takes the metrics of one epoch

INIT_SECONDS = 15  # how long an unreachable server may delay the first fit; W&B's default is 90


class TrackingResource(dg.ConfigurableResource):
    """Mode, project and folder of the tracked runs."""

    mode: Literal["", "offline", "online", "disabled"] = Field(default="", description="empty: WANDB_MODE, or offline")
    project: str = Field(default="forecast_assets", description="project of W&B that fits are tracked in")
    folder: str = Field(default="", description="of offline runs; empty: WANDB_DIR, or the data root where it is local")

    _given_up: bool = PrivateAttr(default=False)  # after a failure online, later fits do not wait again
    _warned: bool = PrivateAttr(default=False)

    @contextmanager
    def run(self, *, name: str, group: str, config: Mapping[str, Any], log: logging.Logger) -> Iterator[Log]:
        """Track one run; yield the function that logs its metrics. ``config`` is sent unchanged: settings, never secrets."""
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
        for chosen in ["offline"] if mode == "offline" or self._given_up else ["online", "offline"]:
            run = self._guarded(partial(self._init, chosen, name, group, config), log)
            if run is not None:
                return run
            self._given_up = True
        return None

    def _init(self, mode: str, name: str, group: str, config: Mapping[str, Any]) -> Any:
        import wandb

        if self.folder:
            environment.require_inside(self.folder, setting="tracking.folder")
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
        """Return the action's result; None where tracking failed, which is logged once."""
        try:
            return action()
        # W&B raises its own errors, OSError for a folder it can't write, ValueError for a setting it can't read, and
        # whatever its service's connection raises. None of them may stop training.
        except Exception as error:
            if not self._warned:
                first = str(error).strip().split("\n")[0]
                log.warning(
                    f"W&B: {type(error).__name__}: {first[:300]} Training continues without it, offline if possible."
                )
                self._warned = True
            return None
