"""Errors of the machine - a full disk, no memory, no permission - as one sentence, whichever library raises them.

Polars, Arrow, SQLite, safetensors and torch each have exceptions of their own for a full disk and for memory that ran out;
most hold no number, so these are known by what they say.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from forecast_assets.core.errors import OutOfMemory, Unwritable, UserError

FREE_SPACE = "free space or make the data folder writable, then run it again"
ANOTHER_PATH = "name another path, then run it again"
FREE_MEMORY = (
    "close other programs, take FORECAST_WORKERS=1, a smaller panel or profile, or raise the limit, then run it again"
)
_PATHS = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
_NUMBERS = _PATHS | {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.EMFILE, errno.ENFILE),
}
_NUMBER = re.compile(r"\[Errno (\d+)\]|\bos error (\d+)\b")
_TEXTS = {
    "No space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "PytorchStreamWriter failed writing": errno.ENOSPC,
    "unexpected pos": errno.ENOSPC,  # torch, where it finds less on the disk than it wrote
    " requested and ": errno.ENOSPC,  # numpy: "... requested and ... written"
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "Read-only file system": errno.EROFS,
    "readonly database": errno.EROFS,
    "Permission denied": errno.EACCES,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
    "Too many open files": errno.EMFILE,
}
_MEMORY_KINDS = ("MemoryError", "ArrowMemoryError", "OutOfMemoryError")
_MEMORY = re.compile(
    r"cannot allocate memory|can't allocate memory|not enough memory|unable to allocate|bad_alloc|out of memory|"
    r"allocation of \d+ bytes failed|malloc of size|can't start new thread|ended with exit code (-9|-6|137|134)\b",
    re.IGNORECASE,
)


def machine_error(error: BaseException) -> UserError | None:
    """Return what the user can do about ``error`` or what caused it, as an error to raise; None for any other error."""
    following: BaseException | None = error
    while following is not None:
        number = following.errno if isinstance(following, OSError) else None
        where = following.filename if isinstance(following, OSError) else None
        if (found := described(type(following).__name__, str(following), number=number, where=where)) is not None:
            return found
        following = following.__cause__
    return None


def described(kind: str, message: str, *, number: int | None = None, where: object = None) -> UserError | None:
    """Return the error of the machine that an exception of class ``kind`` with ``message`` means; None where it means none.

    ``number``: its errno, where it has one; ``where``: its file.
    """
    if kind in _MEMORY_KINDS or number == errno.ENOMEM or _MEMORY.search(message):
        return OutOfMemory(f"memory ran out; {FREE_MEMORY}")
    if number is None and (written := _NUMBER.search(message)):
        number = int(written[1] or written[2])
    if number is None:
        number = next((number for text, number in _TEXTS.items() if text in message), None)
    if number not in _NUMBERS:
        return None
    place = f" ({os.fsdecode(where)})" if isinstance(where, str | bytes | os.PathLike) else ""
    advice = ANOTHER_PATH if number in _PATHS else FREE_SPACE
    return Unwritable(f"the disk says: {os.strerror(number)}{place}; {advice}")


@contextmanager
def machine_errors_as_user_errors(what: str) -> Iterator[None]:
    """Raise errors of the machine as one sentence, about ``what`` could not be published; others pass unchanged."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        found = machine_error(error)
        if found is None:
            raise
        raise type(found)(f"{what}: nothing was published, {found}") from error
