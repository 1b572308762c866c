"""Whether Ctrl-C or SIGTERM has come, whoever handled it.

A handler can lose a signal: Dagster forgets one that comes between the last step of a job and its end, and Python drops an
exception that is raised while an object is finalised. So the interpreter itself keeps a record beside the handlers.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})


class SignalRecord:
    """The signals that have come since ``watched`` began; nothing where it did not."""

    def __init__(self) -> None:
        self._reader: int | None = None
        self._stopped = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Record signals inside; on another thread than the main one, which gets none, there is nothing to record."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._reader, self._stopped = reader, False
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._reader, self._stopped = None, False
            os.close(reader)
            os.close(writer)

    def stopped(self) -> bool:
        """Return whether a signal to stop has come. Stays true until ``watched`` ends."""
        while self._reader is not None and not self._stopped:
            try:
                numbers = os.read(self._reader, 512)
            except BlockingIOError:
                break
            self._stopped = not STOPPING.isdisjoint(numbers)
        return self._stopped


RECORD = SignalRecord()
"""Of this process: signals are the process's own."""
