"""A version being written: a local folder that no reader sees until it is committed."""

import shutil
import stat
from pathlib import Path
from typing import Self

from forecast_assets.store import locks
from forecast_assets.store.durable import file_sha256
from forecast_assets.store.manifest import Entry, content_digest
from forecast_assets.store.names import MANIFEST, checked_file, label


class Staging:
    """Write plain files into `path`, then hand this to `Store.commit`; made by `Store.stage`.

    As a context manager it discards itself on exit unless it was committed.
    """

    def __init__(self, path: Path, *, asset: str, partition: str | None, input_key: str, version: str) -> None:
        self.path = path
        self.asset = asset
        self.partition = partition
        self.input_key = input_key
        self.version = version
        self._sealed: dict[str, tuple[Entry, int]] | None = None
        self._release = locks.hold(path, owner=self)  # so that a sweep does not take it for an abandoned one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def seal(self) -> str:
        """Hash the files and return the data version: a digest of names and bytes alone. It may be called again.

        Raises ValueError where there is no file, something other than plain files, or a file written after the first
        call; BadInput for a name the store doesn't accept.
        """
        found = {path.name: self._entry(path) for path in sorted(self.path.iterdir())}
        if not found:
            raise ValueError(f"{self._label}: nothing was written to {self.path}, so there is nothing to publish.")
        if self._sealed is not None and {name: entry for name, (entry, _) in found.items()} != self.files:
            raise ValueError(f"{self._label}: a file in {self.path} was written after the version had been sealed.")
        self._sealed = found
        return content_digest(self.files)

    @property
    def files(self) -> dict[str, Entry]:
        """Return the sealed files. Raises ValueError before `seal`."""
        if self._sealed is None:
            raise ValueError(f"{self._label}: not sealed yet.")
        return {name: entry for name, (entry, _) in self._sealed.items()}

    def discard(self) -> None:
        """Remove the folder and all in it, unless the version is committed; a second call does nothing."""
        if self.path.is_dir() and not (self.path / MANIFEST).exists():
            shutil.rmtree(self.path)
        self._release()

    def _readable(self, path: Path, mode: int) -> None:
        """Give a file the mode that its folder was made with: who reads one file of a version reads them all.

        Some libraries write through a temporary file, which nobody else may read.
        """
        wanted = stat.S_IMODE(self.path.stat().st_mode) & 0o666
        if stat.S_IMODE(mode) != wanted:
            path.chmod(wanted)

    def _entry(self, path: Path) -> tuple[Entry, int]:
        """Return digest and modification time of a file; hash it again only where time or size changed."""
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{self._label}: {path.name} is not a plain file; a version holds plain files only.")
        self._readable(path, found.st_mode)
        sealed = (self._sealed or {}).get(checked_file(path.name))
        if sealed is not None and (sealed[0].bytes, sealed[1]) == (found.st_size, found.st_mtime_ns):
            return sealed
        return Entry(sha256=file_sha256(path), bytes=found.st_size), found.st_mtime_ns

    @property
    def _label(self) -> str:
        return label(self.asset, self.partition)
