"""Storage behind a store: the few operations in which a disk and an object store differ.

Keys are paths below the root of the store, with forward slashes; their parts are checked by `names`. A missing file
raises FileNotFoundError, a missing folder counts as empty.
"""

from collections.abc import Hashable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from forecast_assets.store.manifest import Entry
from forecast_assets.store.names import CURRENT


class Place(Protocol):
    """The root of a store, on a disk (`LocalDisk`) or behind fsspec (`ObjectStore`)."""

    def __str__(self) -> str:
        """Return the root as messages show it."""

    def read(self, key: str) -> bytes:
        """Read a small file."""

    def replace(self, key: str, data: bytes) -> None:
        """Write a small file, all or nothing, durable on return."""

    def create(self, key: str, data: bytes) -> bool:
        """Write a small file as `replace` does, unless there is one: return whether it was written."""

    def note(self, key: str, data: bytes) -> None:
        """Write a few bytes whose loss, or a part of which, does no harm: a reader need but see that they are others."""

    def folders(self, key: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""

    def sizes(self, key: str) -> dict[str, int]:
        """Return name and size in bytes of every file in a folder."""

    def size(self, key: str) -> int:
        """Return the size of one file in bytes."""

    def sha256(self, key: str) -> str:
        """Hash a file as it is now."""

    def identity(self, key: str) -> Hashable:
        """Return a value that is equal for keys that share one file, so that it is hashed only once."""

    def digests(self) -> dict[Hashable, str]:
        """Return identity -> sha256 of files that need not be hashed again yet; those that are go in."""

    def local(self, key: str, *, entry: Entry) -> Path:
        """Return a local path of the file. Raises CorruptArtefact where a new copy differs from `entry`."""

    def forget_stale_copy(self, key: str, *, entry: Entry) -> None:
        """Delete a local copy whose bytes are not (or no longer) those of `entry`."""

    def exclusive(self, key: str, *, what: str) -> AbstractContextManager[None]:
        """Lock this folder for one writer, as far as the place has locks."""

    def lock_file(self, key: str) -> Path:
        """Return the local lock file for long work on `key`; on an object store it binds this machine only."""

    def set_aside(self, key: str, name: str) -> None:
        """Hide the version `name` in the folder `key` from all readers without deleting it."""

    def remove(self, key: str) -> None:
        """Remove the version `key`, its manifest first: if killed in between, a sweep removes the rest."""

    def workspace(self, key: str) -> Path:
        """Create an empty local folder for writing the version `key`."""

    def settle(self, workspace: Path, key: str, *, files: dict[str, Entry], twins: dict[str, str]) -> None:
        """Make the files of a workspace durable at `key`; `twins` maps a sha256 to the key of a file that has it."""

    def tidy(self, key: str) -> list[str]:
        """Remove what killed writers left in one folder, where the place can tell them from slow ones."""

    def sweep(self, *, older_than_seconds: float) -> list[str]:
        """Remove what killed writers left; return what was removed."""


def read_pointer(place: Place, key: str) -> str | None:
    """Return the version id in ``CURRENT`` of the folder `key`; None where there is no such file."""
    try:
        return place.read(f"{key}/{CURRENT}").decode(errors="replace").removesuffix("\n")
    except FileNotFoundError:
        return None
