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


def end_now() -> None:
    """End the process with the sentence, and with the cursor that a progress bar has hidden."""
    cursor = "\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{cursor}forecast-assets: {SENTENCE}\n".encode())
    os._exit(INTERRUPTED)


def _end(_number: int, _frame: FrameType | None) -> None:
    end_now()
