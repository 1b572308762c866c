"""Ctrl-C in a command: its exit code, its sentence, and what happens while modules are imported."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # exit code, as of a program that the signal itself ended
SENTENCE = "stopped by a signal; run it again to continue"


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process while modules are imported: some of them swallow the exception, and the run would go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"forecast-assets: {SENTENCE}\n".encode())
    os._exit(INTERRUPTED)
