"""Locks that die with their process.

`flock` belongs to an open file, and the kernel closes the files of a process that is gone, however it went: a lock
can't outlive kill -9, and no age or process id has to be guessed. (A forked child that is still at work keeps its
parent's lock.) Lock files themselves are never removed: a waiter could hold the removed one while a newcomer locks its
successor.
"""

import fcntl
import logging
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock file `path` alone, waiting as long as another process or thread has it; `what` is for the log."""
    descriptor = _locked(path, busy=lambda _: log.info("waiting for another writer of %s", what))
    try:
        yield
    finally:
        os.close(descriptor)


class Turn:
    """The lock file `path`, held alone until `release`, or until this object or the process is gone.

    For work that lasts: whoever has to wait is told, through `told`, which process is at it.
    """

    def __init__(self, path: Path, *, what: str, told: Callable[[str], object]) -> None:
        def busy(descriptor: int) -> None:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "another"
            told(f"{what}: process {holder} is at work on it; waiting until it is done or gone")

        descriptor = _locked(path, busy=busy)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)  # for the message alone: the lock is the file's
        except BaseException:
            os.close(descriptor)
            raise
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Let the next one in; a second call does nothing."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _locked(path: Path, *, busy: Callable[[int], object]) -> int:
    """Descriptor of the lock file `path`, held alone; `busy` hears of the descriptor where it has to be waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def hold(folder: Path, *, owner: object) -> Callable[[], object]:
    """Mark `folder` as being worked in, until the returned function is called or `owner` or the process is gone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        raise
    return weakref.finalize(owner, os.close, descriptor)


def is_held(folder: Path) -> bool:
    """Whether some live process holds `folder`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
