"""Replacing a file, all or nothing."""

import errno
import os
from pathlib import Path

import pytest

from forecast_assets.store.durable import file_sha256, is_temporary, replace_bytes, temporary_beside


def test_the_new_bytes_replace_the_old_ones(tmp_path: Path) -> None:
    replace_bytes(tmp_path / "f", b"old")
    replace_bytes(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_bytes_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    replace_bytes(tmp_path / "f", b"old")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        replace_bytes(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_temporary_is_known_by_its_name_and_lies_beside_its_file(tmp_path: Path) -> None:
    temporary = temporary_beside(tmp_path / "CURRENT")
    assert temporary.parent == tmp_path
    assert is_temporary(temporary.name)
    assert not any(is_temporary(name) for name in ("CURRENT", "f.tmp", ".f.tmp", ".f.0123abcd.tmp.parquet"))


def test_the_digest_of_a_file_is_the_usual_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
