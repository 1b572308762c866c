"""Bytes that are on the disk when a call returns, and whole or absent whenever the power goes."""

import hashlib
import os
import re
import secrets
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def temporary_beside(path: Path) -> Path:
    """A new hidden name in the same folder, hence on the same disk; `is_temporary` knows it again."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a crashed `replace_bytes` (or any other user of `temporary_beside`) left a file of this name."""
    return _TEMPORARY.fullmatch(name) is not None


def fsync(path: Path) -> None:
    """Flush one file, or the entries of one folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write `path` so that any reader, now or after a crash, finds the old bytes or the new ones, nothing between."""
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


def file_sha256(path: Path) -> str:
    """sha256 of the bytes of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
