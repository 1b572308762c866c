"""The progress of a run: a line per finished asset, and in a terminal a bar with an estimate."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import dagster as dg

if TYPE_CHECKING:  # the definitions load without it
    from rich.console import Console

STARTED, SUCCEEDED, FAILED = "STEP_START", "STEP_SUCCESS", "STEP_FAILURE"
MATERIALISED = "ASSET_MATERIALIZATION"
OBSERVED = "ASSET_OBSERVATION"  # of a step: it was skipped, so there is nothing that materialised

INTERRUPTED = dg.DagsterExecutionInterruptedError.__name__
"""What Dagster makes of Ctrl-C and SIGTERM while an asset is computed: a failed asset like any other."""


def is_interrupted(error: Any) -> bool:
    """Return whether an error of Dagster's, or what caused it, comes from a signal."""
    while error is not None and error.cls_name != INTERRUPTED:
        error = error.cause
    return error is not None


def _terminal() -> TextIO:
    """Return stderr; of a terminal a handle of its own.

    While a step runs, Dagster points stderr at a file, which knows no cursor: bar and lines would run into each other.
    """
    if not sys.stderr.isatty():
        return sys.stderr
    return os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")


def _console() -> "Console":
    from rich.console import Console

    return Console(file=_terminal(), highlight=False)


@dataclass
class RunProgress:
    """Counts the assets of a whole run, over its jobs; ``part`` is the job's partition."""

    steps: int
    console: "Console" = field(default_factory=_console)
    part: str = ""
    outcome: str = ""  # of the asset in progress, where it was not computed

    def __post_init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("starting", total=self.steps)
        self.done = 0

    def expect(self, steps: int) -> None:
        """Set how many assets are still to come, as far as it is known."""
        self.steps = self.done + steps
        self.bar.update(self.task, total=self.steps)

    def started(self, asset: str) -> None:
        self.bar.update(self.task, description=f"{self.part} {asset}".strip())

    def finished(self, asset: str, *, outcome: str) -> None:
        self.done += 1
        self.bar.advance(self.task)
        self.console.print(
            f"[{self.done:>2}/{self.steps}] {self.part:<10} {asset:<18} {outcome}", markup=False, soft_wrap=True
        )

    def note(self, message: str) -> None:
        self.console.print(f"        {message}", markup=False, soft_wrap=True)


_progress: ContextVar[RunProgress | None] = ContextVar("progress", default=None)


@contextmanager
def show_progress(progress: RunProgress) -> Iterator[RunProgress]:
    """Send the events of the runs started inside to ``progress``."""
    token = _progress.set(progress)
    try:
        with progress.bar:
            yield progress
    finally:
        _progress.reset(token)


class _EventLines(logging.Handler):
    """Prints Dagster's log records as lines: finished steps, and messages of stages and libraries at INFO and above."""

    def emit(self, record: logging.LogRecord) -> None:
        progress = _progress.get()
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        kind = event.event_type_value if event is not None else None
        asset = str(event.step_key) if event is not None else ""
        if progress is None:
            if record.levelno >= logging.INFO or kind in (STARTED, SUCCEEDED, FAILED):
                print(record.getMessage(), file=sys.stderr, flush=True)
        elif kind == STARTED:
            progress.outcome = ""
            progress.started(asset)
        elif event is not None and kind == MATERIALISED:
            computed = event.step_materialization_data.materialization.metadata.get("computed")
            progress.outcome = "unchanged" if computed is not None and not computed.value else ""
        elif event is not None and kind == OBSERVED:
            observed = event.asset_observation_data.asset_observation.asset_key.to_user_string()
            progress.outcome = "skipped" if observed == asset else progress.outcome
        elif event is not None and kind == SUCCEEDED:
            seconds = f"{event.step_success_data.duration_ms / 1000:.1f} s"
            progress.finished(asset, outcome=progress.outcome or seconds)
        elif event is not None and kind == FAILED:
            stopped = is_interrupted(event.step_failure_data.error)
            progress.finished(asset, outcome="stopped" if stopped else "failed")
        elif event is None and logging.INFO <= record.levelno < logging.ERROR:  # failures are printed at the end
            progress.note(meta.get("orig_message") or record.getMessage())


@dg.logger({}, description="Finished assets and their messages, without Dagster's own events.")
def console(_: dg.InitLoggerContext) -> logging.Logger:
    """Dagster logger definition."""
    logger = logging.Logger("forecast_assets", level=logging.DEBUG)
    logger.addHandler(_EventLines())
    return logger
