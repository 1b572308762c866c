"""Fits of a fold on two simulated Ray nodes against two local processes, and the same with a node killed.

    python -m benchmarks.ray_cluster              about ten minutes on two cores
    python -m benchmarks.ray_cluster --samples 1000 --rounds 1    a trial run, printed and not recorded

Both train the same fits on the 40-ticker panel, one thread each, in alternate rounds. The local side is the best that one
does without a cluster: two processes that share the fits, as a sweep's workers do. On both sides the processes have started
and loaded the libraries before the clock runs; both open the panel while it does. Starting the cluster is reported
separately, and so is one local process, which is how a fold is trained without a cluster.
"""

import argparse
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors.torch import save

from forecast_assets.assets.fold.fold_work import Fitted, FoldWork
from forecast_assets.core.training.fit import Hardware
from forecast_assets.resources.engine import Needs, ProgressCallback, in_order
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.ray_engine import RayEngine
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.cluster import TwoNodes
from forecast_assets_tests.helpers.graph import PANEL, Graph
from forecast_assets_tests.helpers.paths import PANEL_40
from tools.results import record

MODEL, YEAR, LOOKBACK = "b3_tft_sector", 2024, 60
SLOTS, FITS, ROUNDS, SAMPLES = 2, 4, 2, 3_000
ONE_CORE = Needs(cpus=1)
LOCAL, RAY, ALONE = "two local processes", "ray, two nodes", "one local process"


@dataclasses.dataclass(frozen=True)
class OwnFolder:
    """The fits of a fold, with checkpoints in a folder of their own, so that no round resumes from another's."""

    work: FoldWork

    def __call__(self, seed: int, report: ProgressCallback) -> Fitted:
        return self.work(seed, report)


class Placed(OwnFolder):
    """As ``OwnFolder``; reports with each epoch which node it is on."""

    def __call__(self, seed: int, report: ProgressCallback) -> Fitted:
        import ray

        node = str(ray.get_runtime_context().get_node_id())
        return self.work(seed, lambda epoch: report((node, epoch)))


def fold_work(root: Path, *, samples: int) -> FoldWork:
    """Make the panel and return the full profile's network on the fold."""
    with Graph(root) as graph:
        graph.run(*PANEL, panel=PANEL_40)
        version = graph.version("windowed_tensors")
    settings = compose_settings("full", [])
    spec = settings.b3_tft_sector.model_copy(update={"samples_per_epoch": samples})
    hardware = Hardware(accelerator="cpu", precision="32-true")
    return FoldWork(MODEL, spec, YEAR, settings.folds, LOOKBACK, version, hardware, root / "checkpoints")


def digest(fits: list[Fitted]) -> str:
    """Hash all weights and forecasts, bit for bit, in the order of the seeds."""
    found = hashlib.sha256()
    for fitted in fits:
        found.update(save(fitted.fit.weights))
        found.update(fitted.quantiles.tobytes())
    return found.hexdigest()


def cpu_seconds(pids: list[int]) -> float:
    """Return user and system time so far of the processes and of those that they waited for."""
    return sum(sum(psutil.Process(pid).cpu_times()[:4]) for pid in pids if psutil.pid_exists(pid))


def ray_pids(nodes: TwoNodes) -> list[int]:
    """Return the ids of this process and of all that Ray runs: servers, agents, workers."""
    here = os.getpid()
    servers = [info.process.pid for node in nodes.nodes() for infos in node.all_processes.values() for info in infos]
    workers = {child.pid for pid in servers for child in psutil.Process(pid).children(recursive=True)}
    return sorted({here, *servers, *workers})


def load() -> None:
    """Load what a process needs before it can fit."""
    torch.set_num_threads(1)
    # A local process imports this module, and so both, as it starts; a Ray worker is sent what is in it, and would not.
    import forecast_assets.assets.networks
    import forecast_assets.core.training.fit  # noqa: F401


def warm_up(_: int, report: ProgressCallback) -> None:
    """Prepare a process on each node for fitting."""
    load()
    time.sleep(3.0)


def wait(_: int) -> None:
    """Keep one local process busy while the other one starts."""
    time.sleep(1.0)


@functools.cache
def opened(checkpoints: str) -> dict[str, FoldWork]:
    """Hold the work of a round, which a local process opens once, as a Ray worker does."""
    return {}


def fit_in_slot(work: FoldWork, seed: int) -> Fitted:
    """Fit in a local process."""
    mine = opened(str(work.checkpoints)).setdefault("work", work)
    return mine(seed, lambda _: True)


def measure(root: Path, *, samples: int, rounds: int) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield figures: interleaved rounds of both, the same fits with a node killed, the same in one process."""
    work, seeds = fold_work(root, samples=samples), range(FITS)
    names = iter(range(1_000))
    hashes = set[str]()
    taken: dict[str, list[dict[str, float]]] = {LOCAL: [], RAY: [], ALONE: []}

    def fresh() -> FoldWork:
        return dataclasses.replace(work, checkpoints=root / f"round-{next(names)}")

    def timed(name: str, run: Callable[[FoldWork], list[Fitted]], pids: Callable[[], list[int]]) -> None:
        before, started = cpu_seconds(pids()), time.perf_counter()
        fits = run(fresh())
        taken[name].append(
            {"wall": round(time.perf_counter() - started, 2), "cpu": round(cpu_seconds(pids()) - before, 2)}
        )
        hashes.add(digest(fits))
        print(name, taken[name][-1], flush=True)

    started = time.perf_counter()
    with TwoNodes() as nodes:
        engine = RayEngine(nodes.address)
        list(in_order(engine, warm_up, range(SLOTS), needs=ONE_CORE, on_message=lambda *_: None))
        startup = time.perf_counter() - started
        with multiprocessing.get_context("spawn").Pool(SLOTS, initializer=load) as pool:
            pool.map(wait, range(SLOTS), chunksize=1)
            slots = [os.getpid(), *(process.pid for process in multiprocessing.active_children() if process.pid)]

            def on_ray(work: FoldWork) -> list[Fitted]:
                return list(in_order(engine, OwnFolder(work), seeds, needs=ONE_CORE, on_message=lambda *_: True))

            def in_slots(work: FoldWork) -> list[Fitted]:
                return pool.map(functools.partial(fit_in_slot, work), seeds, chunksize=1)

            for _ in range(rounds):
                timed(LOCAL, in_slots, lambda: slots)
                timed(RAY, on_ray, lambda: ray_pids(nodes))
        yield {"ray_overhead": overhead(taken, startup=startup, differ=len(hashes) - 1)}
        fits, killed = with_a_node_killed(nodes, engine, fresh(), seeds)
        yield {"ray_node_kill_result_differs": {"value": int({digest(fits)} != hashes), "fits": FITS, **killed}}

    def alone(work: FoldWork) -> list[Fitted]:
        return list(in_order(LocalEngine(), OwnFolder(work), seeds, needs=ONE_CORE, on_message=lambda *_: True))

    timed(ALONE, alone, lambda: [os.getpid()])
    faster = statistics.median(row["wall"] for row in taken[RAY])
    yield {"ray_speed_up": {"value": round(taken[ALONE][0]["wall"] / faster, 3), "one_process": taken[ALONE][0]}}


def overhead(taken: dict[str, list[dict[str, float]]], *, startup: float, differ: int) -> dict[str, Any]:
    """Compare Ray's time with that of as many local processes."""
    median = {
        name: {kind: statistics.median(row[kind] for row in rows) for kind in ("wall", "cpu")}
        for name, rows in taken.items()
        if rows
    }
    return {
        "value": round(median[RAY]["wall"] / median[LOCAL]["wall"] - 1, 4),
        "cpu_value": round(median[RAY]["cpu"] / median[LOCAL]["cpu"] - 1, 4),
        "cores_each": SLOTS,
        "fits": FITS,
        "seconds": {name: taken[name] for name in median},
        "startup_seconds": round(startup, 1),
        "results_differ": differ,
        "model": MODEL,
        "load_average": round(os.getloadavg()[2], 1),
    }


def with_a_node_killed(
    nodes: TwoNodes, engine: RayEngine, work: FoldWork, seeds: range
) -> tuple[list[Fitted], dict[str, int]]:
    """Run the fits, kill the second node when it reports its first epoch, and add another in its place."""
    lost, where = nodes.second_id, dict[int, set[str]]()

    def on_message(position: int, message: tuple[str, Any]) -> bool:
        node, _ = message
        if node == lost and not any(lost in places for places in where.values()):
            nodes.kill_second()
            nodes.add_second()
        where.setdefault(position, set()).add(node)
        return True

    fits = list(in_order(engine, Placed(work), seeds, needs=ONE_CORE, on_message=on_message))
    return fits, {"begun_again": sum(lost in nodes and len(nodes) > 1 for nodes in where.values())}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if not PANEL_40.exists():
        raise SystemExit(f"{PANEL_40} does not exist: the reference panel is needed")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        for measured in measure(Path(root), samples=options.samples, rounds=options.rounds):
            print(json.dumps(measured, indent=2), flush=True)
            if (options.samples, options.rounds) == (SAMPLES, ROUNDS):
                record("ray_cluster", measured, command="python -m benchmarks.ray_cluster")


if __name__ == "__main__":
    main()
