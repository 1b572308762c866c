"""Whether a file is the one that was digested when it has been read: it may be replaced, or still be written, in between."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forecast_assets.core.errors import ChangedMeanwhile


@dataclass(frozen=True)
class FileStamp:
    """What tells a file from another one, and from itself once it was written to, renamed or linked anew.

    Taken before the file is digested and compared when it has been read, it shows a replacement even where the first file
    is back by then: that moves its time of change, which nobody can set.
    """

    path: Path
    identity: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, path: Path) -> "FileStamp":
        """Return the stamp of a file as it is now. Raises FileNotFoundError."""
        return cls(path, _identity(path))

    def has_changed(self) -> bool:
        """Return whether the path holds anything else by now."""
        try:
            return _identity(self.path) != self.identity
        except OSError:
            return True


def require_unchanged(stamps: Iterable[FileStamp]) -> None:
    """Raise ChangedMeanwhile for the first file that has changed since its stamp was taken."""
    for stamp in stamps:
        if stamp.has_changed():
            raise ChangedMeanwhile(
                f"{stamp.path}: the file changed while it was read, so nothing was made from it; run it again once the file "
                "is complete"
            )


def _identity(path: Path) -> tuple[tuple[int, ...], ...]:
    """Return the identity of a file, and of the link that may lead to it."""
    fields = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    return tuple(tuple(getattr(found, name) for name in fields) for found in (os.stat(path), os.lstat(path)))
