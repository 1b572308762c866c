"""A store on a local disk: files in place, hard links between versions, file locks."""

import errno
import os
import shutil
import time
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from forecast_assets.store import locks
from forecast_assets.store.durable import file_sha256, fsync, is_temporary, replace_bytes, temporary_beside
from forecast_assets.store.manifest import Entry
from forecast_assets.store.names import DAMAGED, MANIFEST, VERSION_ID, is_name
from forecast_assets.store.place import read_pointer

_CANT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS, errno.ENOENT}

CLOCK_STEP = 2.0  # seconds: the coarsest time stamps of the file systems in use
HASHED_AGAIN = 60.0  # seconds after which every file is read again, whatever its stamp says


@dataclass
class _Hashed:
    """Digests of a minute: the steps of a run check the same parents one after the other."""

    since: float
    digests: dict[Hashable, str]


_hashed = _Hashed(time.monotonic(), {})


class LocalDisk:
    """See `Place`. A version is written in its own folder; readers ignore it until it has a manifest."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def __str__(self) -> str:
        return str(self._root)

    def read(self, key: str) -> bytes:
        return self._path(key).read_bytes()

    def replace(self, key: str, data: bytes) -> None:
        replace_bytes(self._path(key), data)

    def create(self, key: str, data: bytes) -> bool:
        if self._path(key).exists():  # the caller holds the lock of the folder
            return False
        self.replace(key, data)
        return True

    def note(self, key: str, data: bytes) -> None:
        self._path(key).write_bytes(data)

    def folders(self, key: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(key) if entry.is_dir() and is_name(entry.name))

    def sizes(self, key: str) -> dict[str, int]:
        return {entry.name: entry.stat().st_size for entry in self._entries(key) if entry.is_file()}

    def size(self, key: str) -> int:
        return self._path(key).stat().st_size

    def sha256(self, key: str) -> str:
        return file_sha256(self._path(key))

    def identity(self, key: str) -> Hashable:
        stat = self._path(key).stat()
        stamp = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        # A clock's step may hide a second change, so a file that has just changed is like no other, even itself.
        return stamp if time.time() - stat.st_ctime > CLOCK_STEP else (*stamp, time.monotonic_ns())

    def digests(self) -> dict[Hashable, str]:
        if time.monotonic() - _hashed.since > HASHED_AGAIN:
            _hashed.since, _hashed.digests = time.monotonic(), {}
        return _hashed.digests

    def local(self, key: str, *, entry: Entry) -> Path:
        return self._path(key)

    def forget_stale_copy(self, key: str, *, entry: Entry) -> None:
        """Nothing to do: there are no copies."""

    def exclusive(self, key: str, *, what: str) -> AbstractContextManager[None]:
        return locks.exclusive(self._path(f".locks/{key}.lock"), what=what)

    def lock_file(self, key: str) -> Path:
        return self._path(f".work/{key}.lock")

    def set_aside(self, key: str, name: str) -> None:
        os.rename(self._path(f"{key}/{name}"), self._path(f"{key}/{DAMAGED}{name}"))
        fsync(self._path(key))

    def remove(self, key: str) -> None:
        (self._path(key) / MANIFEST).unlink(missing_ok=True)
        fsync(self._path(key))
        shutil.rmtree(self._path(key))

    def workspace(self, key: str) -> Path:
        path = self._path(key)
        path.mkdir(parents=True)
        return path

    def settle(self, workspace: Path, key: str, *, files: dict[str, Entry], twins: dict[str, str]) -> None:
        for name, entry in files.items():
            twin = twins.get(entry.sha256)
            if twin is None or not self._share(workspace / name, self._path(twin), sha256=entry.sha256):
                fsync(workspace / name)
        # A file survives a power cut only if every folder above it is flushed too.
        folder = workspace
        while folder != self._root.parent:
            fsync(folder)
            folder = folder.parent

    def tidy(self, key: str) -> list[str]:
        if not self._path(key).is_dir():
            return []
        with self.exclusive(key, what=f"{key} (tidying)"):
            return self._sweep_folder(key, before=float("inf"))  # of any age: a folder that nobody holds is abandoned

    def sweep(self, *, older_than_seconds: float) -> list[str]:
        before = time.time() - older_than_seconds
        removed = self._sweep_temporaries("", before=before)
        for asset in self.folders(""):
            for partition in self.folders(asset):
                key = f"{asset}/{partition}"
                with self.exclusive(key, what=f"{key} (sweep)"):  # no version is begun or published meanwhile
                    removed += self._sweep_folder(key, before=before)
        return removed

    def _sweep_folder(self, key: str, *, before: float) -> list[str]:
        removed = []
        current = (read_pointer(self, key) or "").strip()
        for name in self.folders(key):
            path = self._path(f"{key}/{name}")
            # A current version without manifest is damage to be examined, not an abandoned one.
            if VERSION_ID.fullmatch(name) is None or name == current or (path / MANIFEST).exists():
                continue
            last_touched = max(below.stat().st_mtime for below in (path, *path.rglob("*")))
            if last_touched <= before and not locks.is_held(path):
                shutil.rmtree(path)
                removed.append(f"{key}/{name}")
        return removed + self._sweep_temporaries(key, before=before)

    def _sweep_temporaries(self, key: str, *, before: float) -> list[str]:
        removed = []
        for entry in self._entries(key):
            if is_temporary(entry.name) and entry.stat().st_mtime <= before:
                os.unlink(entry.path)
                removed.append(f"{key}/{entry.name}".lstrip("/"))
        return removed

    def _share(self, path: Path, twin: Path, *, sha256: str) -> bool:
        """Replace `path` by a hard link to `twin`, if that still holds the same bytes: damage must not spread."""
        temporary = temporary_beside(path)
        try:
            if file_sha256(twin) != sha256:
                return False
            os.link(twin, temporary)
        except OSError as error:
            if error.errno in _CANT_LINK:
                return False  # this disk has no links, or the twin is gone: the version keeps its own file
            raise
        try:
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _path(self, key: str) -> Path:
        return self._root / key

    def _entries(self, key: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self._root}/{key}") as entries:  # a Path takes longer to make than a folder to list
                yield from sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return
