"""Two processes that want the same artefact: one makes it, the other waits and takes it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forecast_assets.assets.framework.materialise import require_same_parents
from forecast_assets.core.errors import BadInput
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.store.store import Store
from forecast_assets_tests.assets.framework.gated import ASSET
from forecast_assets_tests.helpers.graph import PANEL, Graph
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.published import publish


def wait_until(condition: Callable[[], bool], *, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_step_that_outlives_its_killed_run_is_waited_for_and_its_result_is_taken(tmp_path: Path) -> None:
    at_work, log = tmp_path / "at_work", tmp_path / "log"
    environment = {**os.environ, "FORECAST_DATA_DIR": str(tmp_path), "FORECAST_PROFILE": "smoke"}

    def run(name: str) -> "subprocess.Popen[bytes]":
        (tmp_path / name).mkdir()
        command = [sys.executable, "-m", "forecast_assets_tests.assets.framework.gated", str(tmp_path / name)]
        with log.open("ab") as output:
            return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=output, stderr=output)

    first = run("first")
    try:
        wait_until(at_work.exists)
        step = int(at_work.read_text())
        first.kill()
        first.wait()
        assert step != first.pid
        os.kill(step, 0)  # the orphan still works
        retry = run("retry")
        waiting = f"{ASSET}: process {step} is at work on it; waiting until it is done or gone"
        wait_until(lambda: waiting in log.read_text())
    finally:
        (tmp_path / "gate").touch()
    assert retry.wait(timeout=240) == 0
    assert at_work.read_text() == f"{step}\n"  # by the orphan alone
    assert len(Store(tmp_path / "store").versions(ASSET)) == 1


def test_when_the_holder_of_the_lock_dies_the_next_one_gets_it(tmp_path: Path) -> None:
    from forecast_assets.store.locks import Lock

    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "one.lock")], cwd=PROJECT, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    messages: list[str] = []

    def on_wait(sentence: str) -> None:
        messages.append(sentence)
        holder.send_signal(signal.SIGKILL)

    with Lock(tmp_path / "one.lock", what="the GPU", on_wait=on_wait):
        assert messages == [f"the GPU: process {holder.pid} is at work on it; waiting until it is done or gone"]
    holder.wait()
    holder.stdout.close()


HOLD = """
import sys, time
from pathlib import Path
from forecast_assets.store.locks import Lock
lock = Lock(Path(sys.argv[1]), what="x", on_wait=print)
print("held", flush=True)
time.sleep(60)
"""


def test_a_year_is_not_made_from_two_panels(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = (publish(store, {"f": text}, asset="windowed_tensors") for text in ("old", "new"))
    fit = publish(store, {"f": "w"}, asset="b1_tft", partition="2019", parents={"windowed_tensors": old.data_version})
    parents = {"b1_tft": fit, "windowed_tensors": old}
    require_same_parents("ensemble/2019", "2019", parents, {v.label: v.data_version for v in parents.values()})
    sentence = (
        "ensemble/2019: b1_tft/2019 was made from another windowed_tensors than the current one, which came in between; "
        "run b1_tft/2019 again first"
    )
    parents["windowed_tensors"] = new
    with pytest.raises(BadInput) as error:
        require_same_parents("ensemble/2019", "2019", parents, {v.label: v.data_version for v in parents.values()})
    assert str(error.value) == sentence


def test_a_panel_that_arrives_in_between_stops_the_year(empty_graph: Graph) -> None:
    assert empty_graph.run(*PANEL, as_of="2019-06-28").failures == []
    assert empty_graph.run("b1_tft", years=["2019"], as_of="2019-06-28").failures == []
    assert empty_graph.run(*PANEL).failures == []
    outcome = empty_graph.run(*CANDIDATES[1:], "ensemble", years=["2019"])
    assert [(failure.asset, failure.user_mistake) for failure in outcome.failures] == [("ensemble", True)]
    assert outcome.failures[0].message.startswith("ensemble/2019: b1_tft/2019 was made from another windowed_tensors ")
    assert empty_graph.store.partitions("ensemble") == []
