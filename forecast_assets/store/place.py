"""Where a store lies: the few operations in which a disk and an object store differ.

Keys are paths below the root of the store, with forward slashes; their parts have been through `names`. A file that
isn't there is a FileNotFoundError, a folder that isn't there is an empty one.
"""

from collections.abc import Hashable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from forecast_assets.store.manifest import Entry


class Place(Protocol):
    """One root, on a disk (`LocalDisk`) or behind fsspec (`ObjectStore`)."""

    def __str__(self) -> str:
        """The root, as messages show it."""
        ...

    def read(self, key: str) -> bytes:
        """All bytes of a small file."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Write a small file, all or nothing, durable on return."""
        ...

    def folders(self, key: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        ...

    def sizes(self, key: str) -> dict[str, int]:
        """Name and bytes of every file in a folder."""
        ...

    def size(self, key: str) -> int:
        """Bytes of one file."""
        ...

    def sha256(self, key: str) -> str:
        """Digest of a file's bytes as they are now."""
        ...

    def identity(self, key: str) -> Hashable:
        """Equal for two keys that share their bytes, so that shared files need be read only once."""
        ...

    def local(self, key: str, *, entry: Entry) -> Path:
        """A local path of the file; CorruptArtefact where a copy had to be made and it differs from `entry`."""
        ...

    def forget_stale_copy(self, key: str, *, entry: Entry) -> None:
        """Drop a local copy whose bytes are not those of `entry` (any more)."""
        ...

    def exclusive(self, key: str, *, what: str) -> AbstractContextManager[None]:
        """One writer at a time in this folder, as far as the place can promise that."""
        ...

    def lock_file(self, key: str) -> Path:
        """A local lock file for work on `key` that lasts; on an object store it binds the processes of this machine."""
        ...

    def set_aside(self, key: str, name: str) -> None:
        """Take the version `name` out of the folder `key` without destroying it: nothing that reads the store sees it."""
        ...

    def remove(self, key: str) -> None:
        """Remove the version `key`, its manifest first: killed in between, it is litter for a sweep."""
        ...

    def workspace(self, key: str) -> Path:
        """A new, empty local folder in which the version `key` is written."""
        ...

    def settle(self, workspace: Path, key: str, *, files: dict[str, Entry], twins: dict[str, str]) -> None:
        """Make the files of a workspace durable at `key`; `twins` maps a sha256 to the key of a file that has it."""
        ...

    def tidy(self, key: str) -> list[str]:
        """Remove what dead writers left in one folder, as far as the place can tell a dead one from a slow one."""
        ...

    def sweep(self, *, older_than_seconds: float) -> list[str]:
        """Remove what dead writers left behind; returns what was removed."""
        ...
