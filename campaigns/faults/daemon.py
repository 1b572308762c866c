"""Trials on a real ``dagster dev``: its webserver, daemon, code server, run workers and steps, killed at random.

One server and one data root serve all trials; only what was killed is started again. Dagster retries a run whose worker
died; one that ended otherwise is launched once more, as the next night would be. A run that is in any other state for more
than five minutes breaks an invariant.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from campaigns.faults import invariants
from campaigns.faults.graph_parts import YEAR, lay_out, unfinished_runs
from campaigns.faults.steps import Outcome
from campaigns.faults.worker import variables
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.server import DagsterServer
from tools.results import ROOT

SETTLED_SECONDS = 300.0
ENDING_SECONDS = 20.0
TARGETS = {"worker": 18, "step": 18, "code server": 4, "webserver": 4, "tree": 6}
"""Targets of fifty kills; kills of the daemon are counted separately."""


@dataclass(frozen=True)
class Launch:
    """A job on some of its assets. ``seconds``: about how long it takes from launch to end."""

    job: str
    assets: tuple[str, ...]
    partition: str | None
    seconds: float


def launches(reference: Path) -> list[Launch]:
    night = Store(reference / "data" / "store").partitions("nightly_forecast")[-1]
    return [
        Launch("panel", ("raw_panel",), None, 8),
        Launch("panel", ("macro_series", "rejected_rows"), None, 8),
        Launch("walk_forward", ("b0_mlp", "baselines"), YEAR, 10),
        Launch("nightly", ("nightly_forecast", "target_positions"), night, 10),
    ]


class ServerUnderTest:
    """The server under test, with its copy of the finished store."""

    def __init__(self, reference: Path, root: Path) -> None:
        self.reference, self.root = reference, root
        self.server: DagsterServer | None = None
        lay_out(reference, root, shared=False)

    def up(self) -> DagsterServer:
        """Return the server, started unless it runs."""
        if self.server is None or self.server.processes[0].poll() is not None:
            self.down()
            os.environ.update(variables(self.root))
            self.server = DagsterServer(self.root, home="home")
            self.server.__enter__()
        return self.server

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """Return the data of a GraphQL answer; restart a server that has not answered for ``ENDING_SECONDS``."""
        until = time.monotonic() + ENDING_SECONDS
        while time.monotonic() < until:
            try:
                return self.up().ask(query, variables)
            except URLError:
                time.sleep(0.5)
        self.down()
        return self.up().ask(query, variables)

    def down(self) -> None:
        """Kill what is left of it."""
        if self.server is not None:
            _kill_group(self.server.processes[0].pid)
            self.server.processes[0].wait()
        self.server = None

    def remove(self, launch: Launch) -> None:
        for asset in launch.assets:
            shutil.rmtree(self.root / "data" / "store" / asset / (launch.partition or "all"))

    def launch(self, launch: Launch, *, in_process: bool = False) -> str:
        """Launch a run as the UI's Materialize does; return its id."""
        selector = {
            "repositoryLocationName": "forecast_assets",
            "repositoryName": "__repository__",
            "jobName": launch.job,
            "assetSelection": [{"path": [asset]} for asset in launch.assets],
        }
        tags = [{"key": "dagster/partition", "value": launch.partition}] if launch.partition else []
        config: dict[str, Any] = {"execution": {"config": {"in_process": {}}}} if in_process else {}
        query = """mutation($p: ExecutionParams!){launchRun(executionParams: $p){__typename
            ... on LaunchRunSuccess{run{runId}} ... on PythonError{message}
            ... on RunConfigValidationInvalid{errors{message}}}}"""
        parameters = {"selector": selector, "runConfigData": config, "executionMetadata": {"tags": tags}}
        until = time.monotonic() + SETTLED_SECONDS
        while "run" not in (answer := self.ask(query, {"p": parameters})["launchRun"]):
            assert time.monotonic() < until, answer
            time.sleep(1.0)  # a code server that the last trial killed is being started again
        run: str = answer["run"]["runId"]
        return run

    def settle(self, runs: list[str]) -> list[str]:
        """Wait until no run is unfinished; return sentences for those that are after five minutes."""
        self.up()
        until, calm = time.monotonic() + SETTLED_SECONDS, 0
        while time.monotonic() < until:
            busy = unfinished_runs(self.root / "home")
            calm = 0 if busy else calm + 1
            # A retry follows within the daemon's tick of five seconds.
            if calm > 14 or (calm and any(map(self.succeeded, runs))):
                return []
            time.sleep(0.5)
        return [f"after {SETTLED_SECONDS:.0f} s run {run}" for run in unfinished_runs(self.root / "home")]

    def succeeded(self, run: str) -> bool:
        """Return whether the run, or a retry of it, succeeded."""
        query = "{runsOrError(limit: 20){... on Runs{results{runId rootRunId status}}}}"
        runs = self.ask(query)["runsOrError"]["results"]
        return any(r["status"] == "SUCCESS" and run in (r["runId"], r["rootRunId"]) for r in runs)

    def processes(self, target: str) -> list[int]:
        """Return the process ids of ``target`` among the server's descendants."""
        assert self.server is not None
        tree = _tree(self.server.processes[0].pid)
        commands = {pid: _command(pid) for pid in tree}
        match target:
            case "webserver":
                return [pid for pid, command in commands.items() if "forecast_assets.webserver" in command]
            case "daemon":
                return [pid for pid, command in commands.items() if "dagster._daemon" in command]
            case "code server":
                return [
                    pid
                    for pid, command in commands.items()
                    if "dagster api grpc" in command or "code-server" in command
                ]
        spawned = [pid for pid, command in commands.items() if "multiprocessing.spawn" in command]
        steps = [pid for pid in spawned if tree[pid] in spawned]
        return steps if target == "step" else [pid for pid in spawned if pid not in steps]


def run(
    folder: Path,
    counts: dict[str, int],
    *,
    seed: int,
    done: set[tuple[str, int]],
    note: Callable[..., None],
    shard: int,
    shards: int,
) -> None:
    """Run the trials of ``counts`` that are not ``done``; ``note`` records each one."""
    waiting = [trial for k, trial in enumerate(_plan(counts)) if trial not in done and k % shards == shard]
    if not waiting:
        return
    root = folder / f"daemon-{shard}"
    tested = ServerUnderTest(folder / "reference", root)
    try:
        for kind, number in waiting:
            started = time.perf_counter()
            log = tested.root / "server.log"
            read = log.stat().st_size if log.exists() else 0
            outcome = _trial(tested, kind, number, random.Random(f"{seed}/{kind}/{number}"))
            outcome.printed = invariants.own_tracebacks(log.read_bytes()[read:].decode(errors="replace"))
            note(folder, kind, number, outcome, seconds=time.perf_counter() - started)
            if outcome.broken:
                tested.down()
                os.rename(tested.root, folder / f"broken-{kind}-{number}")
                tested = ServerUnderTest(folder / "reference", root)
    finally:
        tested.down()


def _plan(counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    """All trials, the kinds mixed."""
    trials = [(kind, number) for kind, count in counts.items() for number in range(count)]
    yield from sorted(trials, key=lambda trial: (trial[1] / counts[trial[0]], trial[0]))


def _target(number: int) -> str:
    """The target of a trial, in the proportions of TARGETS."""
    places = [((k + 0.5) / count, target) for target, count in TARGETS.items() for k in range(count)]
    return sorted(places)[number % len(places)][1]


def _trial(tested: ServerUnderTest, kind: str, number: int, rng: random.Random) -> Outcome:
    launch = rng.choice(launches(tested.reference))
    broken: list[str] = []
    tested.up()
    if kind == "daemon_double":
        return _race(tested, launch, number)
    tested.remove(launch)
    target = "daemon" if kind == "daemon_killed" else _target(number)
    before = {*tested.processes("worker"), *tested.processes("step")}  # of the last run, about to end
    runs = [tested.launch(launch, in_process=target != "step" and rng.random() < 0.8)]
    after = rng.uniform(0, launch.seconds)
    how, broken = _kill(tested, target, after, before)
    broken = [*broken, *invariants.store_problems(tested.root)]
    broken += tested.settle(runs)
    if not any(tested.succeeded(run) for run in runs):
        how += ", launched again"
        again = tested.launch(launch)
        broken += tested.settle([again])
        broken += [] if tested.succeeded(again) else [f"the run after it, {again}, did not succeed"]
    return Outcome(launch.job, how, [*broken, *_violations(tested, launch)])


def _violations(tested: ServerUnderTest, *launches: Launch) -> list[str]:
    """Check all invariants, and that nothing was made twice."""
    broken = invariants.after_rerun(tested.root, tested.reference)
    store = Store(tested.root / "data" / "store")
    for launch in launches:
        for asset in launch.assets:
            made = len(store.versions(asset, launch.partition))
            broken += [f"{asset} was made {made} times: two steps ran at once"] if made > 1 else []
    return broken


def _race(tested: ServerUnderTest, launch: Launch, number: int) -> Outcome:
    """Launch two runs of one job at once; every third time under two daemons, every third a backfill and the nightly."""
    night, year = launches(tested.reference)[-1], Launch("backfill", ("baselines",), YEAR, 10)
    if number % 3 == 2:
        for made in (night, year):
            tested.remove(made)
        assert tested.server is not None
        tested.server.backfill(list(year.assets), [YEAR])
        run = tested.launch(night)
        store = Store(tested.root / "data" / "store")
        tested.server.wait("the backfill", lambda: store.has("baselines", YEAR), seconds=SETTLED_SECONDS)
        broken = tested.settle([run])
        return Outcome("backfill, nightly", "at the same time", [*broken, *_violations(tested, night, year)])
    tested.remove(launch)
    with _second_daemon(tested) if number % 3 == 1 else nullcontext():
        runs = [tested.launch(launch), tested.launch(launch)]
        broken = tested.settle(runs)
    broken += [] if all(map(tested.succeeded, runs)) else ["one of the two did not succeed"]
    how = "two runs at once" + (" under two daemons" if number % 3 == 1 else "")
    return Outcome(launch.job, how, [*broken, *_violations(tested, launch)])


@contextmanager
def _second_daemon(tested: ServerUnderTest) -> Iterator[None]:
    """Run another daemon on the same Dagster home."""
    with (tested.root / "second_daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
            cwd=ROOT,
            env=os.environ | variables(tested.root),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        time.sleep(10)
        yield
        assert process.poll() is None, "the second daemon ended by itself"
    finally:
        _kill_group(process.pid)
        process.wait()


def _kill(tested: ServerUnderTest, target: str, after: float, before: set[int]) -> tuple[str, list[str]]:
    """Send SIGKILL to a process of the kind ``target`` once ``after`` seconds have passed and there is one."""
    assert tested.server is not None
    time.sleep(after if target not in ("worker", "step") else 0)
    if target == "tree":
        for pid in [*_tree(tested.server.processes[0].pid), tested.server.processes[0].pid]:
            _kill_one(pid)
        return f"whole tree after {after:.1f} s", []
    until = time.monotonic() + 60
    while not (found := [pid for pid in tested.processes(target) if pid not in before]):
        if time.monotonic() > until:
            return f"no {target} to kill", [f"no {target} was seen within 60 s"]
        time.sleep(0.05)
    if target in ("worker", "step"):
        time.sleep(after / 4)
    _kill_one(found[0])
    if target in ("daemon", "webserver"):  # the server ends with it, or has to be ended
        with suppress(subprocess.TimeoutExpired):
            tested.server.processes[0].wait(timeout=5)
        tested.down()
    return f"{target} after {after:.1f} s", []


def _kill_one(pid: int) -> None:
    with suppress(ProcessLookupError):  # it had ended by itself
        os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    for process in [*_tree(pid), pid]:
        _kill_one(process)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # orphans that are no longer in the tree


def _tree(root: int) -> dict[int, int]:
    """Descendants of a process, each with its parent."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[0] != "Z":
                parents[int(folder.name)] = int(fields[1])
    found: dict[int, int] = {}
    wave = {root}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave and pid not in found}
        found |= {pid: parents[pid] for pid in wave}
    return found


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
