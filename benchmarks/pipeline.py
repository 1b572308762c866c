"""Time of the everyday commands: loading the definitions, ``make all`` twice, ``make test``.

    python -m benchmarks.pipeline                                           everything
    python -m benchmarks.pipeline --only definitions_import_vs_dagster      one figure, merged into the file

Runs on two cores at most, after installation.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tools.results import ROOT, record

CORES = 2
IMPORT_ROUNDS = 7
RIVAL_MODELS = ("g0_lightgbm",)  # trained by the run; rivals' files are named by their cards

Figures = dict[str, dict[str, Any]]


def measure_imports() -> Figures:
    """Time importing the definitions against importing Dagster alone, each in its own process, interleaved."""
    seconds: dict[str, list[float]] = {"dagster": [], "forecast_assets.definitions": []}
    for module in seconds:
        _import_seconds(module)  # byte-compiles and warms the disk cache
    for _ in range(IMPORT_ROUNDS):
        for module, samples in seconds.items():
            samples.append(_import_seconds(module))
    ours, theirs = median(seconds["forecast_assets.definitions"]), median(seconds["dagster"])
    details = {"definitions_seconds": round(ours, 3), "dagster_seconds": round(theirs, 3), "rounds": IMPORT_ROUNDS}
    return {"definitions_import_vs_dagster": {"value": round(ours / theirs, 3), **details}}


def measure_demo() -> Figures:
    """Time ``make all`` on the demo panel in a fresh data root, then again with nothing changed.

    Beside other load the wall time says little, so the processors' time of the first run and the load before it are kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "dagster_home")
        home.mkdir()
        shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
        environment = {"FORECAST_DATA_DIR": str(Path(folder, "data"))}
        (load, *_), before = os.getloadavg(), _cpu_seconds()
        first = _make("all", f"DAGSTER_HOME={home}", environment=environment)
        details = {"cpu_minutes": round((_cpu_seconds() - before) / 60, 2), "load_before": round(load, 1)}
        metrics = json.loads(Path(folder, "data", "reports", "latest", "metrics.json").read_text(encoding="utf-8"))
        models = {row["model"] for row in metrics["forecasts"]}
        rivals = [card["rival"] for card in metrics["rivals"]] + [name for name in RIVAL_MODELS if name in models]
        second = _make("all", f"DAGSTER_HOME={home}", environment=environment)
    minutes = {"value": round(first / 60, 2), **details}
    return {
        "demo_run_minutes": minutes,
        "demo_minutes_with_rivals": {**minutes, "rivals": rivals},
        "unchanged_rerun_seconds": {"value": round(second, 1)},
    }


def measure_tests() -> Figures:
    """Time ``make test``: lint, contracts, types and the suite."""
    return {"test_suite_minutes": {"value": round(_make("test") / 60, 2)}}


MEASUREMENTS: dict[str, Callable[[], Figures]] = {
    "definitions_import_vs_dagster": measure_imports,
    "demo_run_minutes": measure_demo,
    "demo_minutes_with_rivals": measure_demo,
    "unchanged_rerun_seconds": measure_demo,
    "test_suite_minutes": measure_tests,
}
"""Figure -> what measures it. The three figures of the demo come from one pair of runs."""


def _import_seconds(module: str) -> float:
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # an installed package is
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=compiled, capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def _cpu_seconds() -> float:
    """Return the processors' time, user and system, of all processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _make(*arguments: str, environment: dict[str, str] | None = None) -> float:
    """Wall seconds of one ``make``, without the caller's settings."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("FORECAST_", "MAKE", "MFLAGS"))}
    start = time.perf_counter()
    subprocess.run(["make", *arguments], cwd=ROOT, env=inherited | (environment or {}), check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure the figures asked for, and merge them into ``benchmarks/results/pipeline.json``."""
    parser = argparse.ArgumentParser(description="Time the everyday commands.")
    parser.add_argument("--only", metavar="FIGURE", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    only = parser.parse_args().only

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    _make(".venv/.installed")
    for measure in dict.fromkeys(MEASUREMENTS[figure] for figure in only):
        path = record("pipeline", measure(), command=" ".join(["python -m benchmarks.pipeline", *sys.argv[1:]]))
        print(f"{path.relative_to(ROOT)} updated")


if __name__ == "__main__":
    main()
