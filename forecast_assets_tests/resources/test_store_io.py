"""Errors of a full or read-only disk as one sentence for users."""

import errno

import pytest

from forecast_assets.core.errors import Unwritable
from forecast_assets.resources.store_io import disk_errors_as_user_errors


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "No space left on device (/data/x)"),
        (errno.EROFS, "Read-only file system (/data/x)"),
        (errno.EACCES, "Permission denied (/data/x)"),
        (errno.EDQUOT, "Disk quota exceeded (/data/x)"),
    ],
)
def test_a_full_or_read_only_disk_is_one_sentence(number: int, reason: str) -> None:
    with pytest.raises(Unwritable) as caught, disk_errors_as_user_errors("b1_tft"):
        raise OSError(number, "whatever the library says", "/data/x")
    assert str(caught.value) == (
        f"b1_tft: nothing was published, the disk says: {reason}; "
        "free space or make the data folder writable, then run it again"
    )


def test_other_operating_system_errors_pass_unchanged() -> None:
    with pytest.raises(ConnectionResetError), disk_errors_as_user_errors("b1_tft"):
        raise ConnectionResetError(errno.ECONNRESET, "x")
