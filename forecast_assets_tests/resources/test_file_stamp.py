"""A file that is replaced or written to between its digest and its reading is noticed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forecast_assets.core.errors import ChangedMeanwhile
from forecast_assets.resources.file_stamp import FileStamp, require_unchanged


def replaced_and_back(path: Path) -> None:
    """Another file stands there for a moment, and then the same one again."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.write_text("other")
    path.unlink()
    aside.rename(path)


def copied_back_with_its_time(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copy2(path, copy)
    path.write_text("other")
    shutil.copy2(copy, path)


def written_to(path: Path) -> None:
    stat = path.stat()
    path.write_text(path.read_text().upper())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced_and_back, copied_back_with_its_time, written_to, Path.unlink])
def test_what_happens_to_a_file_after_its_stamp_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("a,b")
    stamp = FileStamp.of(path)
    require_unchanged([stamp])
    path.read_text()
    require_unchanged([stamp])
    change(path)
    with pytest.raises(ChangedMeanwhile, match=r"prices\.csv: the file changed while it was read"):
        require_unchanged([stamp])


def test_a_link_that_leads_elsewhere_for_a_moment_is_noticed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "prices.csv"
    link.symlink_to(tmp_path / "a")
    stamp = FileStamp.of(link)
    for name in ("b", "a"):
        link.unlink()
        link.symlink_to(tmp_path / name)
    assert link.read_text() == "a"
    assert stamp.has_changed()
