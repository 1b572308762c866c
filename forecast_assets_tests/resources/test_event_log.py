"""The event log that stays open gives what Dagster's own gives, also to other processes."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

from forecast_assets.resources.event_log import OpenEventLog

RUN, OTHER = "0f0e0d0c-0000-4000-8000-000000000001", "0f0e0d0c-0000-4000-8000-000000000002"


def entry(text: str, run: str = RUN) -> dg.EventLogEntry:
    return dg.EventLogEntry(
        error_info=None, level=20, user_message=text, run_id=run, timestamp=time.time(), dagster_event=None
    )


def texts(log: SqliteEventLogStorage, run: str = RUN) -> list[str]:
    return [record.event_log_entry.user_message for record in log.get_records_for_run(run).records]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[OpenEventLog]:
    made = OpenEventLog(str(tmp_path / "runs"))
    yield made
    made.dispose()


def test_events_are_read_by_itself_and_by_dagsters_own(log: OpenEventLog, tmp_path: Path) -> None:
    for run in (RUN, OTHER, RUN):
        log.store_event(entry("one", run))
    assert (texts(log), texts(log, OTHER)) == (["one", "one"], ["one"])
    own = SqliteEventLogStorage(str(tmp_path / "runs"))
    own.store_event(entry("of dagster"))
    assert texts(log) == texts(own) == ["one", "one", "of dagster"]


def test_only_the_index_and_the_last_run_stay_open(log: OpenEventLog) -> None:
    log.has_dynamic_partition("years", "2019")
    for run in (RUN, OTHER):
        log.store_event(entry("one", run))
    assert sorted(log._opened) == sorted([OTHER, INDEX_SHARD_NAME])
    log.dispose()
    assert log._opened == {}


def test_a_write_and_no_read_touches_the_file_that_the_ui_watches(log: OpenEventLog) -> None:
    log.store_event(entry("one"))
    path = log.path_for_shard(RUN)
    os.utime(path, (1, 1))
    assert texts(log) == ["one"]
    assert Path(path).stat().st_mtime == 1
    log.store_event(entry("two"))
    assert Path(path).stat().st_mtime > 1


def store_in_child(log: OpenEventLog) -> None:
    log.store_event(entry("of a child"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_opens_its_own(log: OpenEventLog) -> None:
    log.store_event(entry("one"))
    child = multiprocessing.get_context("fork").Process(target=store_in_child, args=(log,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    log.store_event(entry("two"))
    assert texts(log) == ["one", "of a child", "two"]


def test_what_is_written_after_a_database_was_replaced_is_in_the_new_one(log: OpenEventLog, tmp_path: Path) -> None:
    log.store_event(entry("one"))
    log.dispose()
    copied = tmp_path / "copy.db"
    shutil.copy(log.path_for_shard(RUN), copied)
    log.store_event(entry("lost with the old file"))
    copied.replace(log.path_for_shard(RUN))
    for beside in ("-wal", "-shm"):
        Path(log.path_for_shard(RUN) + beside).unlink(missing_ok=True)
    log.store_event(entry("two"))
    assert texts(SqliteEventLogStorage(str(tmp_path / "runs"))) == ["one", "two"]
