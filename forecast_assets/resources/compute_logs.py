"""Dagster's capture of a step's stdout and stderr, whose helper processes Ctrl-C does not reach.

Dagster mirrors the captured files to the terminal by a ``tail`` and a Python process that watches over it, in the terminal's
own process group: Ctrl-C would end both, the second with a traceback, before the run itself has said that it stopped.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from dagster import StringSource
from dagster._config import UserConfigSchema
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData


class QuietComputeLogs(LocalComputeLogManager):
    """Keeps the files where Dagster does by default, below ``home``."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(str(Path(config_value["home"], "storage")), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Capture a step's output. The helpers inherit the blocked signal; one that comes meanwhile is delivered after."""
        with ExitStack() as stack:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                context = stack.enter_context(super().capture_logs(log_key))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield context
