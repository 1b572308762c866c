"""File locks between processes of one machine, by ``flock``: they end with the process that holds them.

`flock` belongs to an open file, and the kernel closes the files of a dead process. No lock outlives kill -9, so nobody has
to guess from an age or a process id whether a lock is stale, as with lock files that are created and deleted. A forked
child that is still running keeps its parent's lock. Lock files are never removed: while one process waits for the removed
file, another could lock its successor.
"""

import fcntl
import logging
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock file `path` for the length of a block; wait, which is logged with `what`, while another has it."""
    descriptor = _locked(path, on_wait=lambda _: log.info("waiting for another writer of %s", what))
    try:
        yield
    finally:
        os.close(descriptor)


class Lock:
    """The lock file `path`, held until `release`, or until this object or the process is gone.

    For long work: where it has to wait, `on_wait` gets a sentence that names the process that holds the lock.
    """

    def __init__(self, path: Path, *, what: str, on_wait: Callable[[str], object]) -> None:
        def name_holder(descriptor: int) -> None:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "another"
            on_wait(f"{what}: process {holder} is at work on it; waiting until it is done or gone")

        descriptor = _locked(path, on_wait=name_holder)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)  # for the message alone: the lock is the file's
        except BaseException:
            os.close(descriptor)
            raise
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Free the lock; a second call does nothing."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _locked(path: Path, *, on_wait: Callable[[int], object]) -> int:
    """Lock the file `path` and return its descriptor; call `on_wait` with the descriptor before waiting for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def hold(folder: Path, *, owner: object) -> Callable[[], object]:
    """Mark `folder` as in use, until the returned function is called or `owner` or the process is gone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        raise
    return weakref.finalize(owner, os.close, descriptor)


def is_held(folder: Path) -> bool:
    """Whether a live process holds `folder`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
