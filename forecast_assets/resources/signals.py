"""Whether Ctrl-C or SIGTERM has come, whoever handled it, and that a run ends then.

A handler raises wherever the main thread happens to be, and others lose what it raises: Dagster forgets a signal that comes
between the last step of a job and its end, Python drops an exception in a finaliser, SQLAlchemy prints one that comes while
a connection is closed. So Ctrl-C is taken by a thread that waits for it. The main thread is interrupted while a stage
computes, and asks in between; where neither ends the run, the thread does.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})
PATIENCE = 5.0  # seconds from Ctrl-C until the process is ended, wherever it is
TICK = 0.1  # seconds


class SignalRecord:
    """The signals that have come since ``watched`` began; nothing where it did not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: int | None = None
        self._stopped = self._interruptible = False
        self._patience = 0.0

    @contextmanager
    def watched(self, *, end: Callable[[], object]) -> Iterator[None]:
        """Record signals inside, and call ``end``, which ends the process, at the first Ctrl-C, or later: ``be_patient``.

        Raises KeyboardInterrupt at the end for a Ctrl-C that nobody asked about. On another thread than the main one, which
        gets no signals, there is nothing to record.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reader, writer = os.pipe()
        for one in (reader, writer):
            os.set_blocking(one, False)
        closing = threading.Event()
        watch = threading.Thread(target=self._watch, args=(closing, end), daemon=True)
        self._reader, self._stopped, self._patience = reader, False, 0.0
        mask = signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT}
        )  # threads and processes made from here on inherit it
        fd, hook = signal.set_wakeup_fd(writer, warn_on_full_buffer=False), sys.unraisablehook
        sys.unraisablehook = self._without_interrupts(hook)
        watch.start()
        try:
            yield
            if self.stopped():
                raise KeyboardInterrupt
        finally:
            closing.set()
            watch.join()
            while _pressed_within(0) is not None:
                pass  # pressed again: it is ending already
            sys.unraisablehook = hook
            signal.set_wakeup_fd(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._reader, self._stopped = None, False
            os.close(reader)
            os.close(writer)

    def be_patient(self, seconds: float = PATIENCE) -> None:
        """Leave it to the main thread to end, from here on, and end the process only where it has not after that long."""
        self._patience = seconds

    def stopped(self) -> bool:
        """Return whether a signal to stop has come. Stays true until ``watched`` ends."""
        while self._reader is not None and not self._stopped:
            try:
                numbers = os.read(self._reader, 512)
            except BlockingIOError:
                break
            self._stopped = not STOPPING.isdisjoint(numbers)
            if signal.SIGTERM in numbers:
                _say("SIGTERM came")
        return self._stopped

    @contextmanager
    def interruptible(self, error: type[BaseException]) -> Iterator[None]:
        """Let Ctrl-C interrupt the main thread inside, by the handler of the moment.

        Raises ``error`` where it came before.
        """
        with self._lock:
            self._interruptible = self._reader is not None and threading.current_thread() is threading.main_thread()
        try:
            if self.stopped():
                raise error
            yield
        finally:
            with self._lock:
                self._interruptible = False

    def _watch(self, closing: threading.Event, end: Callable[[], object]) -> None:
        """Wait for Ctrl-C, and see to it that the process ends."""
        pressed: float | None = None
        while not closing.is_set():
            if (came := _pressed_within(TICK)) is not None and pressed is None:
                pressed = time.monotonic()
                if came.si_code <= 0:  # by a process, not by the terminal
                    _say(f"SIGINT came from process {_named(came.si_pid)}")
                with self._lock:
                    self._stopped = True
                    if self._interruptible:
                        _thread.interrupt_main(signal.SIGINT)
            if pressed is not None and time.monotonic() - pressed >= self._patience and not closing.is_set():
                end()

    def _without_interrupts(
        self, hook: "Callable[[UnraisableHookArgs], object]"
    ) -> "Callable[[UnraisableHookArgs], None]":
        """Return a hook that does not print what a signal raised in a finaliser: that it came is on record."""

        def quiet(dropped: "UnraisableHookArgs") -> None:
            if not (self.stopped() and issubclass(dropped.exc_type, BaseException) and _is_interrupt(dropped.exc_type)):
                hook(dropped)

        return quiet


def _pressed_within(seconds: float) -> signal.struct_siginfo | None:
    """Wait for Ctrl-C; return None where it does not come.

    Where another signal interrupts it at the end of its time, Python's ``sigtimedwait`` returns what lay in memory by chance
    as if it were a signal (seen in 3.11): so its number decides.
    """
    came = signal.sigtimedwait({signal.SIGINT}, seconds)
    return came if came is not None and came.si_signo == signal.SIGINT else None


def _say(what: str) -> None:
    """Print it past the log, whose loggers a library may have switched off."""
    print(f"forecast-assets: {what}", file=sys.stderr, flush=True)


def _named(process: int) -> str:
    """Return the number of a process and, while it runs, its name."""
    try:
        return f"{process} ({Path(f'/proc/{process}/comm').read_text().strip()})"
    except OSError:
        return str(process)


def _is_interrupt(kind: type[BaseException]) -> bool:
    return not issubclass(kind, Exception) and kind.__name__ in (
        "KeyboardInterrupt",
        "DagsterExecutionInterruptedError",
    )


RECORD = SignalRecord()
"""Of this process: signals are the process's own."""
