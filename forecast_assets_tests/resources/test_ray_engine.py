"""The Ray engine on two simulated nodes: results, errors of tasks, and the loss of a node."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import polars as pl
import pytest

from forecast_assets.core.errors import BadInput, BadSetting, OutOfTime
from forecast_assets.resources.engine import Engine, Needs, in_order
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.ray_engine import RayEngine
from forecast_assets_tests.helpers.cluster import TwoNodes
from forecast_assets_tests.helpers.graph import PANEL, Graph, environment
from forecast_assets_tests.helpers.s3 import local_s3
from forecast_assets_tests.resources.tasks import failing, hangs_if_odd, slow_first, squared, until_stopped

ONE_CORE = Needs(cpus=1)
WIDE = ["sweep.coverage_low=0.0", "sweep.coverage_high=1.0"]


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    """A local S3, in the environment that the nodes are started with, as a cluster's machines have theirs."""
    with local_s3() as found, environment(**found):
        yield


@pytest.fixture(scope="module")
def nodes(s3: None) -> Iterator[TwoNodes]:
    with TwoNodes() as started:
        yield started


def test_tasks_run_on_both_nodes_and_come_back_in_order(nodes: TwoNodes) -> None:
    engine = RayEngine(nodes.address)
    messages: dict[int, list[int]] = {}
    places = list(
        in_order(
            engine,
            slow_first,
            range(4),
            needs=ONE_CORE,
            on_message=lambda k, pid: messages.setdefault(k, []).append(pid),
        )
    )
    assert len(set(places)) == 2
    assert sorted(messages) == [0, 1, 2, 3]
    assert [len(sent) for sent in messages.values()] == [1] * 4
    assert os.getpid() not in {sent[0] for sent in messages.values()}


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_a_task_is_answered_and_the_next_one_asked_for_when_there_is_room(nodes: TwoNodes, kind: str) -> None:
    engine: Engine = LocalEngine() if kind == "local" else RayEngine(nodes.address)
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(5):
            asked.append(task)
            yield task

    found = {}
    for position, result in engine.each(
        squared, tasks(), needs=ONE_CORE, on_message=lambda k, message: message[0] != 3
    ):
        found[position] = result
        assert len(asked) <= len(found) + 2  # two cores, and nothing is asked for ahead of them
    assert found == {0: 0, 1: 1, 2: 4, 3: -1, 4: 16}


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_an_error_of_a_task_is_the_same_error(nodes: TwoNodes, kind: str) -> None:
    engine: Engine = LocalEngine() if kind == "local" else RayEngine(nodes.address)
    with pytest.raises(BadInput) as caught:
        list(engine.each(failing, [7], needs=ONE_CORE, on_message=lambda *_: None))
    assert type(caught.value) is BadInput
    assert str(caught.value) == "task 7 has no rows; give it some"


def test_a_task_that_hangs_is_killed_when_its_time_is_over(nodes: TwoNodes) -> None:
    pids: dict[int, int] = {}
    done = RayEngine(nodes.address).each(hangs_if_odd, range(2), needs=Needs(seconds=2), on_message=pids.__setitem__)
    with pytest.raises(OutOfTime, match="task 2 took longer than 2 s and was stopped"):
        list(done)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pids[1]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pids[1]}").exists()


def test_a_node_that_dies_costs_its_own_task_which_begins_again_elsewhere(nodes: TwoNodes) -> None:
    engine = RayEngine(nodes.address)
    messages: dict[int, list[str]] = {0: [], 1: []}
    lost = nodes.second_id
    killed = False

    def on_message(position: int, node: str) -> bool:
        nonlocal killed
        messages[position].append(node)
        if all(messages.values()) and not killed:
            nodes.kill_second()
            nodes.add_second()
            killed = True
        return killed

    results = list(in_order(engine, until_stopped, range(2), needs=ONE_CORE, on_message=on_message))
    assert [task for task, _ in results] == [0, 1]
    assert lost not in {node for _, node in results}
    (begun_again,) = [position for position, places in messages.items() if lost in places]
    assert len(set(messages[begun_again])) == 2
    assert len(set(messages[1 - begun_again])) == 1


def test_no_cluster_at_the_address_is_one_sentence(nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def unreachable(**_: object) -> None:
        raise ConnectionError("Failed to connect to GCS\nat length")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", unreachable)
    with pytest.raises(
        BadSetting, match=r"^RAY_ADDRESS: no Ray cluster answers at nowhere:1 \(Failed to connect to GCS\)$"
    ):
        list(RayEngine("nowhere:1").each(squared, [1], needs=ONE_CORE, on_message=lambda *_: None))


def test_a_fold_and_a_sweep_from_s3_on_two_nodes_equal_local_ones_bit_for_bit(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    boto3.client("s3").create_bucket(Bucket="panels")
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with (
        Graph(tmp_path / "here") as here,
        Graph(tmp_path / "there", data="s3://panels/data") as there,
    ):
        assert here.run(*PANEL, "sweep", "b2_tft_ticker", years=["2019"], overrides=WIDE).failures == []
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        with monkeypatch.context() as patch:
            patch.setattr(LocalEngine, "each", None)  # nothing is trained in this process
            with environment(FORECAST_ENGINE="ray"):
                assert there.run(*PANEL, "sweep", "b2_tft_ticker", years=["2019"], overrides=WIDE).failures == []
        assert (
            tmp_path / ".cache/forecast_assets/raw/demo_panel.csv"
        ).is_file()  # no folder called "s3:" where we stand
        for graph in (here, there):
            assert graph.table("sweep").height == 2
        timeless = pl.exclude("seconds")
        assert here.table("sweep").select(timeless).equals(there.table("sweep").select(timeless))
        local, remote = (graph.version("b2_tft_ticker", "2019").manifest.files for graph in (here, there))
        same = [name for name in local if name != "training.json" and not name.startswith("plot-training")]
        assert {"weights-0.safetensors", "weights-1.safetensors", "fits.parquet", "table.parquet"} <= set(same)
        assert {name: remote[name].sha256 for name in same} == {name: local[name].sha256 for name in same}
        curves = [
            [without_time(epoch) for epoch in graph.version("b2_tft_ticker", "2019").json("training.json")["curve"]]
            for graph in (here, there)
        ]
        assert curves[0] == curves[1]
        assert len(curves[0]) == 2


def without_time(epoch: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in epoch.items() if name != "seconds"}
