"""A disk that takes no more, told in a sentence."""

import errno

import pytest

from forecast_assets.core.errors import Unwritable
from forecast_assets.resources.store_io import disk_errors_as_user_errors


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device (/data/x)"),
        (errno.EROFS, "Read-only file system (/data/x)"),
        (errno.EACCES, "Permission denied (/data/x)"),
        (errno.EDQUOT, "Disk quota exceeded (/data/x)"),
    ],
)
def test_a_disk_that_takes_no_more_is_one_sentence(number: int, said: str) -> None:
    with pytest.raises(Unwritable) as told, disk_errors_as_user_errors("b1_tft"):
        raise OSError(number, "whatever the library says", "/data/x")
    assert str(told.value) == (
        f"b1_tft: nothing was published, the disk says: {said}; "
        "free space or make the data folder writable, then run it again"
    )


def test_another_error_of_the_system_is_no_matter_of_the_disk() -> None:
    with pytest.raises(ConnectionResetError), disk_errors_as_user_errors("b1_tft"):
        raise ConnectionResetError(errno.ECONNRESET, "x")
