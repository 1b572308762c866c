"""Durable file writes: on the disk when the call returns, and never half-written after a crash."""

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upath import UPath

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def temporary_beside(path: Path) -> Path:
    """Return a new hidden name in the same folder, hence on the same disk, that `is_temporary` recognises."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def is_temporary(name: str) -> bool:
    """Whether this is a name from `temporary_beside`, left by a crash."""
    return _TEMPORARY.fullmatch(name) is not None


def fsync(path: Path) -> None:
    """Flush one file, or the entries of one folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write `path` atomically: any reader, now or after a crash, finds the old bytes or the new ones."""
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def replace_file(folder: "UPath", name: str, data: bytes) -> "UPath":
    """Write a file of a folder, which is made, whole or not at all, locally or on an object store; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.protocol in ("", "file"):
        replace_bytes(Path(folder.path) / name, data)
    else:  # one PUT is whole or nothing
        (folder / name).write_bytes(data)
    return folder / name


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
