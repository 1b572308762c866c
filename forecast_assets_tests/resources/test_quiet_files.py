"""Files that are still being written are waited for, then left out or refused."""

import datetime as dt
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forecast_assets.core.errors import ChangedMeanwhile
from forecast_assets.core.specs import DemoSpec
from forecast_assets.resources import quiet_files
from forecast_assets.resources.quiet_files import wait_until_quiet
from forecast_assets.resources.source import PanelSource
from forecast_assets_tests.helpers.arriving import arrive
from forecast_assets_tests.helpers.builders import csv, panel_spec
from forecast_assets_tests.helpers.graph import environment

OLD = time.time() - 3600


def written_long_ago(path: Path) -> Path:
    csv(path, "2024-04-08,AAPL,T,100,100,1000")
    os.utime(path, (OLD, OLD))
    return path


@contextmanager
def being_copied(path: Path, *, seconds: float) -> Iterator[None]:
    """Append a row every 20 ms, for so long."""
    csv(path, "2024-04-08,MSFT,T,100,100,1000")

    def copy() -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with path.open("a") as file:
                file.write("2024-04-09,MSFT,T,100,100,1000\n")
            time.sleep(0.02)

    thread = threading.Thread(target=copy)
    thread.start()
    yield
    thread.join()


def names(folder: Path, root: Path, *, quiet_seconds: float) -> tuple[list[str], list[tuple[str, str]]]:
    with environment(FORECAST_PANEL=folder):
        found = PanelSource().input_files(DemoSpec(), panel_spec(), data_root=str(root), quiet_seconds=quiet_seconds)
    return [file.name for file in found.files], list(found.left_out)


def test_a_file_that_is_being_copied_is_read_once_it_is_quiet(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    written_long_ago(folder / "a.csv")
    began = time.monotonic()
    with being_copied(folder / "b.csv", seconds=0.3):
        assert names(folder, tmp_path, quiet_seconds=0.2)[0] == ["a.csv", "b.csv"]
        assert time.monotonic() - began >= 0.4
    assert wait_until_quiet(folder, seconds=0.2) == []


def test_a_new_file_that_never_gets_quiet_is_left_out_and_a_known_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet_files, "LIMIT_SECONDS", 0.3)
    folder = tmp_path / "raw"
    folder.mkdir()
    written_long_ago(folder / "a.csv")
    with being_copied(folder / "b.csv", seconds=0.8):
        read, left_out = names(folder, tmp_path, quiet_seconds=0.2)
        assert read == ["a.csv"]
        assert left_out == [("b.csv", "still being written")]
    arrive(str(tmp_path), folder, dt.datetime(2024, 4, 10, tzinfo=dt.UTC))
    with (
        being_copied(folder / "b.csv", seconds=0.5),
        pytest.raises(
            ChangedMeanwhile, match=r"b\.csv: the file is still being written, and is read once it was quiet"
        ),
    ):
        names(folder, tmp_path, quiet_seconds=0.2)


def test_a_marker_makes_a_file_complete_at_once_and_is_no_file_of_prices(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", "2024-04-08,AAPL,T,100,100,1000")
    (tmp_path / "a.csv.done").touch()
    began = time.monotonic()
    read, left_out = names(tmp_path, tmp_path / "root", quiet_seconds=30)
    assert time.monotonic() - began < 5
    assert read == ["a.csv"]
    assert left_out == [("a.csv.done", "the marker of a complete file")]


def test_files_that_need_a_marker_are_left_out_without_it(tmp_path: Path) -> None:
    written_long_ago(tmp_path / "a.csv")
    written_long_ago(tmp_path / "b.csv")
    (tmp_path / "panel.yaml").write_text("files: {b.csv: {done: true}}\n")
    reason = "not complete: there is no b.csv.done beside it yet"
    assert names(tmp_path, tmp_path / "root", quiet_seconds=1) == (["a.csv"], [("b.csv", reason)])
    (tmp_path / "b.csv.done").touch()
    assert names(tmp_path, tmp_path / "root", quiet_seconds=1)[0] == ["a.csv", "b.csv"]


def test_a_file_dated_ahead_is_not_waited_for(tmp_path: Path) -> None:
    ahead = time.time() + 3600
    os.utime(csv(tmp_path / "a.csv", "2024-04-08,AAPL,T,100,100,1000"), (ahead, ahead))
    assert wait_until_quiet(tmp_path, seconds=30) == []
