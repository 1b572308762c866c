"""The run launcher: Dagster's default one, which can also check that a run's process is alive.

The default launcher starts a run's worker below the code server, which notices when it dies. Where both die, nobody does,
and the run stays "started" for good. Named in dagster.yaml, this one lets run monitoring ask.
"""

import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster import _check as check
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._serdes import ConfigurableClassData

WORKER = "multiprocessing.spawn"  # in the command line of every process that the code server starts for a run


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts runs as `DefaultRunLauncher` does, on the machine of the code server, where the daemon runs too."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Check the process that executes the run; a run that no process has begun yet counts as running."""
        instance = check.inst(self._instance, dg.DagsterInstance)
        for record in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = record.dagster_event
            if event is None or not (event.message or "").startswith("Started process for run"):
                continue
            pid = int(str(event.engine_event_data.metadata["pid"].value))
            if is_worker(pid):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            began = dt.datetime.fromtimestamp(record.timestamp, dt.UTC).isoformat(timespec="seconds")
            return CheckRunHealthResult(WorkerStatus.FAILED, f"process {pid}, which began it at {began}, is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def is_worker(pid: int) -> bool:
    """Return whether process ``pid`` lives and is a worker: of this run or, if its number was reused, of another one.

    No time is compared: a clock that was set must not end a healthy run.
    """
    folder = Path("/proc") / str(pid)
    if not Path("/proc/self").exists():  # not Linux
        return _exists(pid)
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X") and WORKER in (folder / "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
