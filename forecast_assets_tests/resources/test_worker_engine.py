"""Worker processes: results, order, answers, errors, limits of time, the end of a process, and what is kept of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_assets.core.errors import BadInput, BadSetting, OutOfTime
from forecast_assets.resources import worker_engine
from forecast_assets.resources.compute import ComputeResource
from forecast_assets.resources.engine import Engine, Needs, in_order
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.worker_engine import WorkerEngine, free_bytes
from forecast_assets_tests.helpers.graph import PANEL, Graph, environment
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.resources.tasks import failing, hangs_if_odd, own_error, process_of, squared, until_told

ONE_CORE = Needs(cpus=1)


@pytest.fixture(scope="module", autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    while worker_engine._idle:
        worker_engine._idle.pop().end()


def test_two_processes_take_tasks_as_they_have_room_and_results_come_in_order() -> None:
    seen: dict[int, int] = {}
    engine = WorkerEngine(2)

    def on_message(position: int, pid: int) -> bool:
        seen[position] = pid
        return len(seen) >= 2  # the first two tasks wait for each other

    found = list(in_order(engine, until_told, range(4), needs=ONE_CORE, on_message=on_message))
    assert found == [0, 1, 2, 3]
    assert seen[0] != seen[1]
    assert len(set(seen.values())) == 2
    assert os.getpid() not in seen.values()


def test_a_task_is_answered_and_the_next_one_asked_for_when_there_is_room() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(5):
            asked.append(task)
            yield task

    found = {}
    engine = WorkerEngine(2)
    for position, result in engine.each(
        squared, tasks(), needs=ONE_CORE, on_message=lambda k, message: message[0] != 3
    ):
        found[position] = result
        assert len(asked) <= len(found) + 2
    assert found == {0: 0, 1: 1, 2: 4, 3: -1, 4: 16}


def test_processes_are_used_again_and_memory_bounds_their_number() -> None:
    first, second = (
        [pid for _, pid in WorkerEngine(2).each(process_of, range(2), needs=needs, on_message=lambda *_: None)]
        for needs in (ONE_CORE, Needs(memory_bytes=free_bytes() // 2 * 3))
    )
    assert second[0] == second[1]
    assert second[0] in [*first, *(worker.process.pid for worker in worker_engine._idle)]


def test_an_error_of_a_task_is_the_same_error_with_its_trace() -> None:
    with pytest.raises(BadInput) as caught:
        list(WorkerEngine(2).each(failing, [7, 8], needs=ONE_CORE, on_message=lambda *_: None))
    assert type(caught.value) is BadInput
    assert str(caught.value) in ("task 7 has no rows; give it some", "task 8 has no rows; give it some")
    assert "tasks.py" in caught.value.__notes__[0]


def test_an_error_that_cannot_be_sent_is_told_with_its_name_and_message() -> None:
    with pytest.raises(RuntimeError, match="OwnError: 3 is odd"):
        list(WorkerEngine(2).each(own_error, [3], needs=ONE_CORE, on_message=lambda *_: None))


def test_a_killed_process_is_a_sentence_with_its_exit_code_and_ends_the_others() -> None:
    pids: set[int] = set()

    def on_message(_: int, pid: int) -> bool:
        pids.add(pid)
        if len(pids) == 2:
            os.kill(pid, signal.SIGKILL)
        return False

    with pytest.raises(RuntimeError, match="exit code -9; where that is -9, memory may have run out"):
        list(WorkerEngine(2).each(until_told, range(2), needs=ONE_CORE, on_message=on_message))
    assert not any(map(alive, pids))


def test_workers_end_with_their_parent_even_in_a_long_computation(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "from forecast_assets.resources.engine import Needs\n"
        "from forecast_assets.resources.worker_engine import WorkerEngine\n"
        "from forecast_assets_tests.resources.tasks import report_and_sleep\n"
        "if __name__ == '__main__':\n"
        "    tell = lambda _, pid: print(pid, flush=True)\n"
        "    list(WorkerEngine(1).each(report_and_sleep, [60], needs=Needs(), on_message=tell))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


@pytest.mark.parametrize("engine", [LocalEngine(), WorkerEngine(2)])
def test_a_task_that_hangs_is_killed_when_its_time_is_over(engine: Engine) -> None:
    pids: dict[int, int] = {}
    done = engine.each(hangs_if_odd, range(2), needs=Needs(seconds=1), on_message=pids.__setitem__)
    assert next(done) == (0, 0)  # the other's result is there all the same
    with pytest.raises(OutOfTime, match="task 2 took longer than 1 s and was stopped") as caught:
        next(done)
    assert caught.value.position == 1
    assert not alive(pids[1])


def test_there_are_as_many_workers_as_cores_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ComputeResource(device="cpu").engine(), LocalEngine)  # the tests ask for one
    monkeypatch.delenv("FORECAST_WORKERS")
    for cores, workers in (({0}, 1), ({0, 1}, 2), (set(range(8)), 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        assert ComputeResource(device="cpu").workers() == workers
    assert ComputeResource(device="cpu", threads=4).workers() == 2
    assert ComputeResource(device="cpu", threads=0).workers() == 1
    monkeypatch.setenv("FORECAST_WORKERS", "3")
    engine = ComputeResource(device="cpu").engine()
    assert isinstance(engine, WorkerEngine)
    assert engine.workers == 3


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_one_sentence(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_WORKERS", given)
    with pytest.raises(BadSetting, match=r"^FORECAST_WORKERS: .* is no number of processes; write 1, 2, \.\.\.$"):
        ComputeResource(device="cpu").engine()


def alive(pid: int) -> bool:
    """Return whether a process runs: neither gone nor a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_fits_of_a_fold_in_two_processes_equal_those_in_order_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = (*PANEL, "sweep", "b6_graph")
    manifests = []
    for workers in ("1", "2"):
        folder = tmp_path / workers
        folder.mkdir()
        if workers == "2":
            monkeypatch.setattr(LocalEngine, "each", None)  # nothing is trained in this process
        with Graph(folder) as graph, environment(FORECAST_WORKERS=workers):
            assert graph.run(*stages, years=["2019"], overrides=["sweep.trials=0"]).failures == []
            manifests.append(graph.version("b6_graph", "2019").manifest.files)
    in_order, parallel = manifests
    assert {"weights-0.safetensors", "weights-1.safetensors", "fits.parquet", "training.json"} <= set(in_order)
    assert {name: file.sha256 for name, file in parallel.items()} == {
        name: file.sha256 for name, file in in_order.items()
    }
