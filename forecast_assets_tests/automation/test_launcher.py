"""Whether the process of a run is still there."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus

from forecast_assets.automation.launcher import WatchedRunLauncher, is_worker
from forecast_assets.cli.materialise import prepare_home


@dg.job
def nothing() -> None:
    """A job without a step."""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """One from the settings that the project ships."""
    prepare_home(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as made:
        yield made


def test_a_run_whose_process_was_killed_is_found_out_and_one_at_work_is_not(instance: dg.DagsterInstance) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, WatchedRunLauncher)
    assert launcher.supports_check_run_worker_health
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING  # no process has begun it yet
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    assert worker.pid is not None
    began = f"Started process for run (pid: {worker.pid})."  # as Dagster's code server says it
    instance.report_engine_event(began, run, EngineEventData.in_process(worker.pid))
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    os.kill(worker.pid, signal.SIGKILL)
    while not _is_zombie(worker.pid):  # dead, and not yet waited for
        time.sleep(0.01)
    gone = launcher.check_run_worker_health(run)
    worker.join()
    assert (gone.status, gone.status) == (WorkerStatus.FAILED, launcher.check_run_worker_health(run).status)
    assert f"process {worker.pid}, which began it at " in str(gone)


def test_another_kind_of_process_with_its_number_is_not_the_worker() -> None:
    assert not is_worker(os.getpid())
    assert not is_worker(2**22)


def _is_zombie(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
