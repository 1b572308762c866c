"""The disk of a simulated deployment: real files, and calls that fail, kill the process or lose what was not flushed.

Every call of ``os`` that changes a disk is counted from the beginning of a step, and so are the reads of the store. A fault
strikes at one of them, before or after it has taken effect. A killed process changes nothing any more: until it is revived
each further call raises `Death` too, so that no clean-up runs that a real kill would have prevented.
"""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from forecast_assets.store.disk import LocalDisk

CHANGES = ("mkdir", "rmdir", "unlink", "rename", "replace", "link", "write", "fsync")
READS = ("read", "sizes", "sha256", "folders")
KINDS = ("full", "unreadable", "kill", "power")
"""A full disk, a read that fails, kill -9, and a power cut, which also loses what was not flushed."""


class Death(BaseException):
    """The process is killed; nothing may catch it."""


@dataclass(frozen=True)
class Fault:
    """Strikes at the ``at``-th change (or read) of a step, before it or, with ``late``, after it."""

    kind: str
    at: int
    late: bool
    number: int  # seed of what a power cut loses


class Disk:
    """What a process does to the files below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.touched: set[str] = set()  # paths that a step has changed
        self._fault: Fault | None = None
        self._watched = self._dead = False
        self._changes = self._reads = 0
        self._flushed: set[int] = set()  # inodes that were flushed or were there before
        self._folders: list[str] = []  # made in this step
        self._unsure: list[
            tuple[str, Callable[[], object]]
        ] = []  # folder that is not flushed since, and how it was before
        self._appended: dict[str, int] = {}  # file -> its size before what is not flushed

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch every call for the length of a block."""
        patches = [mock.patch.object(os, name, self._changing(name, getattr(os, name))) for name in CHANGES]
        patches += [mock.patch.object(LocalDisk, name, self._reading(getattr(LocalDisk, name))) for name in READS]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in reversed(patches):
                patch.stop()

    @contextmanager
    def step(self, fault: Fault | None) -> Iterator[None]:
        """Count calls from here on, and let ``fault`` strike. At the end all is flushed, unless the power was cut."""
        self._fault, self._watched, self._changes, self._reads = fault, True, 0, 0
        self.touched = set()
        try:
            yield
        finally:
            self._watched = False
            if self._dead and fault is not None and fault.kind == "power":
                self._lose(random.Random(fault.number))
            self._dead, self._fault = False, None
            self._flushed, self._folders, self._unsure, self._appended = set(), [], [], {}

    def count_again(self) -> None:
        """Count the calls of the step from here on: what follows the act of somebody else is where races are lost."""
        self._changes = self._reads = 0

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Leave out what somebody else does, such as the vendor of prices."""
        before, self._watched = self._watched, False
        try:
            yield
        finally:
            self._watched = before

    def _changing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not self._watched:
                return real(*arguments, **options)
            if self._dead:
                raise Death
            number, self._changes = self._changes, self._changes + 1
            fault = self._fault
            struck = fault is not None and number == fault.at and fault.kind != "unreadable"
            if struck and fault is not None and not fault.late:
                self._strike(fault)
            unsure = self._note(name, arguments, options)
            result = real(*arguments, **options)
            if unsure is not None:
                self._unsure.append(unsure)
            if name == "mkdir":
                self._folders.append(os.fspath(arguments[0]))
            if struck and fault is not None:
                self._strike(fault)
            return result

        return call

    def _reading(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self._watched:
                if self._dead:
                    raise Death
                number, self._reads = self._reads, self._reads + 1
                fault = self._fault
                if fault is not None and fault.kind == "unreadable" and number == fault.at:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **options)

        return call

    def _strike(self, fault: Fault) -> None:
        if fault.kind == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._dead = True
        raise Death

    def _note(
        self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[str, Callable[[], object]] | None:
        """Note what a call is about to change; return its folder and how a power cut would undo it, if it would."""
        if name in ("write", "fsync"):
            path = os.readlink(f"/proc/self/fd/{arguments[0]}")
            if name == "fsync":
                self._flushed.add(os.fstat(arguments[0]).st_ino)
                self._unsure = [(folder, undo) for folder, undo in self._unsure if folder != path]
                self._appended.pop(path, None)
            else:
                self.touched.add(path)
                self._appended.setdefault(path, os.fstat(arguments[0]).st_size)
            return None
        paths = [os.fspath(each) for each in arguments if isinstance(each, str | os.PathLike)]
        if (descriptor := options.get("dir_fd")) is not None:
            paths = [f"{os.readlink(f'/proc/self/fd/{descriptor}')}/{paths[0]}"]
        self.touched.update(paths)
        if name == "link":
            self._flushed.add(os.stat(paths[0]).st_ino)
        elif name in ("rename", "replace"):
            return os.path.dirname(paths[1]), _undo(*paths)
        elif name == "mkdir":
            return os.path.dirname(paths[0]), lambda: shutil.rmtree(paths[0], ignore_errors=True)
        return None

    def _lose(self, rng: random.Random) -> None:
        """Undo some of what no flush of its folder made durable, and cut off files that were not flushed."""
        for _, undo in reversed(self._unsure):
            if rng.random() < 0.5:
                undo()
        for folder in self._folders:
            for path in sorted(Path(folder).glob("*")) if os.path.isdir(folder) else []:
                if path.is_file() and path.stat().st_ino not in self._flushed:
                    os.truncate(path, rng.randint(0, path.stat().st_size))
        for name, size in sorted(self._appended.items()):
            if os.path.isfile(name):
                os.truncate(name, rng.randint(size, os.path.getsize(name)))


def _undo(source: str, target: str) -> Callable[[], object]:
    """Return what puts the target of a rename back as it is now."""
    if os.path.isdir(source):
        return lambda: os.rename(target, source) if os.path.isdir(target) else None
    before = Path(target).read_bytes() if os.path.isfile(target) else None

    def undo() -> None:
        if before is not None:
            Path(target).write_bytes(before)
        else:
            Path(target).unlink(missing_ok=True)

    return undo
