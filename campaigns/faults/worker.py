"""Run `forecast-assets` as a forked process: imports take seven of the eight seconds of a start.

`warm_up` imports what the graph needs and what starts no Python thread (each child imports polars and the project itself);
the process that forks does nothing else. A child is a session leader with its own log, environment and file descriptors:
for signals, locks and the disk it is like a process started by a shell.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANGS_AFTER_SECONDS = 300.0
"""Longer than any part takes on a busy machine."""

ENDS_WITHIN_SECONDS = 5.0
"""Those that it started notice its end by themselves."""


def warm_up() -> None:
    """Import the heavy libraries once, for all children."""
    import dagster
    import lightning
    import matplotlib.pyplot
    import optuna
    import pandas
    import pyarrow.parquet
    import safetensors.torch
    import scipy.stats
    import torch

    modules: list[Any] = [dagster, lightning, matplotlib, optuna, pandas, pyarrow, safetensors, scipy, torch]
    assert all(modules)
    assert threading.active_count() == 1, "a fork would leave the other threads behind"


def variables(root: Path) -> dict[str, str]:
    """Return the environment of a trial whose data and Dagster home lie below ``root``."""
    return {
        "DAGSTER_HOME": str(root / "home"),
        "FORECAST_DATA_DIR": str(root / "data"),
        "FORECAST_PROFILE": "smoke",
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
    }


@dataclass
class Worker:
    """A running command; ``returncode`` as in subprocess, None while it runs."""

    pid: int
    log: Path
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = HANGS_AFTER_SECONDS) -> int | None:
        """Return the exit code; None where it hangs and was killed."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if self.returncode is None:
            self.signal(signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.returncode = -signal.SIGKILL
            return None
        return self.returncode

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def survivors(self) -> list[int]:
        """Return the processes of its session that still run ``ENDS_WITHIN_SECONDS`` after it, or before that none."""
        until = time.monotonic() + ENDS_WITHIN_SECONDS
        while (found := self._running()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def _running(self) -> list[int]:
        """Return its session's processes, except those that copy its output, which end by themselves."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == self.pid:
                continue
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.pid and fields[0] != "Z" and not _is_log_copier(folder):
                found.append(int(folder.name))
        return found


def as_command(action: Callable[[], object]) -> Callable[[], object]:
    """Return the action as a command of the project, which says errors of the machine in a sentence."""
    import click

    from forecast_assets.cli.common import user_command

    named = click.command("work")(user_command(lambda: action()))
    return lambda: named.main([], obj={"debug": False})


def _is_log_copier(folder: Path) -> bool:
    try:
        command = (folder / "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return "watch_orphans" in command or command.startswith("tail\0")


def start(arguments: Sequence[str], *, root: Path, log: str, before: Callable[[], None] | None = None) -> Worker:
    """Fork ``forecast-assets arguments``; ``before`` runs in the child first."""

    def command() -> None:
        from forecast_assets.cli.app import cli

        cli(list(arguments), prog_name="forecast-assets")

    return fork(command, root=root, log=log, before=before)


def fork(action: Callable[[], object], *, root: Path, log: str, before: Callable[[], None] | None = None) -> Worker:
    """Run ``action`` in a child of its own; exit code 70 where it raises."""
    path = root / f"{log}.log"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Worker(pid, path)
    code: Any = 70
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent may ignore it
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for standard in (1, 2):
            os.dup2(descriptor, standard)
        os.chdir(root)
        os.environ.update(variables(root))
        if before is not None:
            before()
        action()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))
