"""Killed writers, concurrent writers, full disks: readers always see a complete version."""

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, fields, publish, write

REPOSITORY = Path(__file__).parents[2]


def writer(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "forecast_assets_tests.store.crashing", *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def assert_sound(store: Store) -> None:
    store.current("panel", "2019").check()
    assert store.verify() == []


def test_ten_writers_killed_at_random_leave_a_whole_current_version(disk_store: Store, tmp_path: Path) -> None:
    generator = random.Random(20190101)
    for _ in range(10):
        with writer("publish", tmp_path / "store", 10**6) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "0\n"  # the lock of the writer killed before did not outlive it
            time.sleep(generator.uniform(0, 0.1))
            process.kill()
        assert_sound(disk_store)
    kept = disk_store.versions("panel", "2019")
    disk_store.sweep(older_than_seconds=0)
    folders = [path.name for path in (tmp_path / "store/panel/2019").iterdir()]
    assert sorted(folders) == sorted([version.id for version in kept] + ["CURRENT"])
    assert_sound(disk_store)


def test_a_writer_killed_at_any_durable_step_leaves_a_whole_current_version(disk_store: Store, tmp_path: Path) -> None:
    with writer("die", tmp_path / "store") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert int(output) > 20
    disk_store.sweep(older_than_seconds=0)
    assert not list((tmp_path / "store").rglob("*.tmp"))
    assert all((path / "manifest.json").exists() for path in (tmp_path / "store/panel/2019").glob("*-*"))
    assert_sound(disk_store)


def test_two_processes_that_publish_at_once_both_succeed(disk_store: Store, tmp_path: Path) -> None:
    publish(disk_store, {"f": "1"}, partition="2019")
    with writer("publish", tmp_path / "store", 20) as one, writer("publish", tmp_path / "store", 20) as other:
        reads = 0
        while one.poll() is None or other.poll() is None:
            disk_store.current("panel", "2019").check()
            reads += 1
    assert (one.returncode, other.returncode) == (0, 0)
    assert reads > 10
    assert len(disk_store.versions("panel", "2019")) == 41
    assert disk_store.sweep(older_than_seconds=0) == []
    assert_sound(disk_store)


def test_a_disk_that_fills_up_at_any_step_changes_nothing_or_everything(
    disk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(disk_store, {"same": "1", "f": "0"}, partition="2019", key=KEY_A)
    failures = 0
    while True:
        before = disk_store.current("panel", "2019")
        with monkeypatch.context() as patch, disk_store.stage("panel", "2019", input_key=KEY_B) as staging:
            write(staging.path, {"same": "1", "f": str(failures)})
            fail_at(failures, patch)
            try:
                disk_store.commit(staging, fields())
                break
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        failures += 1
        assert_sound(disk_store)
        assert (
            disk_store.current("panel", "2019") == before or staging.version == disk_store.current("panel", "2019").id
        )
        assert disk_store.sweep(older_than_seconds=0) == []  # the discarded staging left nothing
    assert failures > 10
    assert disk_store.current("panel", "2019").input_key == KEY_B


def test_a_commit_that_failed_before_its_manifest_can_be_repeated(
    disk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(disk_store, {"same": "1", "f": "0"}, partition="2019", key=KEY_A)
    for step in range(9):  # link, replace, fsync: 1 file, 4 folders, 1 manifest; replace
        with disk_store.stage("panel", "2019", input_key=KEY_B) as staging:
            write(staging.path, {"same": "1", "f": str(step)})
            with monkeypatch.context() as patch:
                fail_at(step, patch)
                with pytest.raises(OSError, match="No space left"):
                    disk_store.commit(staging, fields())
            assert disk_store.commit(staging, fields()) == disk_store.current("panel", "2019")
        assert_sound(disk_store)


def fail_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """The disk is full at the n-th durable step from now."""
    passed = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed == step + 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        return call

    for name in ("fsync", "link", "replace"):
        patch.setattr(os, name, failing(getattr(os, name)))
