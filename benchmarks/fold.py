"""Cost of the last fold of the whole reference panel: memory beside its tensors, and an epoch over every window.

    python -m benchmarks.fold --store data/store                          both; about a quarter of an hour on two cores
    python -m benchmarks.fold --store data/store --only fold_peak_vs_base_tensors
    python -m benchmarks.fold --store data/store --samples 50000           a trial of the epoch, printed and not recorded

Reads the ``windowed_tensors`` of a store that holds ``panel.parquet``. Each measurement is a process of its own.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from forecast_assets.core.models.catalogue import TftSpec
from forecast_assets.core.specs import FoldSpec, WindowSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.fits import predict
from tools.results import record

YEAR = 2025
MODEL = "b3_tft_sector"
SMALL_ROWS = 60_000
"""About sixteen tickers."""

PARTS = ("small", "whole", "epoch")
FIGURES = ("fold_peak_vs_base_tensors", "full_panel_epoch_minutes")
HARDWARE = Hardware(accelerator="cpu", precision="32-true")


def spec_of(**update: Any) -> TftSpec:
    """Return the full profile's settings of the network, for one epoch."""
    spec: TftSpec = getattr(compose_settings("full", []), MODEL)
    return spec.model_copy(update={"fits": 1, "epochs": 1, **update})


def train_and_forecast(panel: PanelTensors, *, year: int, lookback: int, spec: TftSpec) -> None:
    """Make one fit of a fold, from its tensors to its forecasts."""
    fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=lookback)
    stats = fit_stats(panel, fold)
    found = FoldTrainer(MODEL, spec, panel, fold, stats, lookback, HARDWARE).fit(0)
    predict(MODEL, spec, found.weights, panel=panel, ends=fold.origins, stats=stats, lookback=lookback, device="cpu")


def fold_bytes(tensors: Path, *, rows: int | None = None) -> dict[str, int]:
    """Measure the peak memory of a fold on the panel's first ``rows`` rows (None: all), and the size of its tensors.

    The rest of the process, libraries and network, takes the same memory for any ``rows``.
    """
    panel = PanelTensors.load(tensors)
    if rows is not None:
        first: dict[str, Any] = {k: of[:rows].clone() for k, of in vars(panel).items() if isinstance(of, torch.Tensor)}
        panel = dataclasses.replace(panel, **first)
    base = sum(value.nbytes for value in vars(panel).values() if isinstance(value, torch.Tensor))
    train_and_forecast(panel, year=YEAR, lookback=WindowSpec().lookback, spec=spec_of(samples_per_epoch=20_000))
    return {"peak": high_water(), "base": base}


def memory(small: dict[str, int], whole: dict[str, int]) -> dict[str, Any]:
    """Return the peak of the whole panel's fold less that of model and libraries, over the tensors' size."""
    model = small["peak"] - small["base"]
    return {
        "value": round((whole["peak"] - model) / whole["base"], 4),
        "peak_gib": round(whole["peak"] / 2**30, 3),
        "model_and_libraries_gib": round(model / 2**30, 3),
        "base_tensors_gib": round(whole["base"] / 2**30, 3),
    }


def epoch(tensors: Path, *, samples: int | None) -> dict[str, Any]:
    """Measure one training epoch with as many samples as there are windows, with its validation, in minutes."""
    panel = PanelTensors.load(tensors)
    lookback = WindowSpec().lookback
    fold = make_fold(panel, year=YEAR, spec=FoldSpec(), lookback=lookback)
    stats = fit_stats(panel, fold)
    wanted = samples or len(fold.train)
    spec = spec_of(samples_per_epoch=wanted)
    started = time.perf_counter()
    FoldTrainer(MODEL, spec, panel, fold, stats, lookback, HARDWARE).fit(0)
    minutes = (time.perf_counter() - started) / 60
    return {
        "value": round(minutes, 2),
        "windows": wanted,
        "windows_per_second": round(wanted / minutes / 60),
        "model": MODEL,
        "hidden": spec.hidden,
        "lookback": lookback,
        "threads": torch.get_num_threads(),
    }


def high_water() -> int:
    """Return the peak resident memory of this process in bytes."""
    return _status("VmHWM")


def _status(name: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Measure in processes of their own and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES)
    parser.add_argument("--samples", type=int, help="of the epoch, instead of every window")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tensors = Path(Store(options.store).current("windowed_tensors").path(TENSORS))
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "small": lambda: fold_bytes(tensors, rows=SMALL_ROWS),
        "whole": lambda: fold_bytes(tensors),
        "epoch": lambda: epoch(tensors, samples=options.samples),
    }
    if options.inside:
        print(json.dumps(parts[options.inside]()))
        return

    def alone(part: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.fold", "--store", str(options.store), "--inside", part]
        command += ["--samples", str(options.samples)] if options.samples else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    for name in options.only:
        figure = memory(alone("small"), alone("whole")) if name == FIGURES[0] else alone("epoch")
        print(name, json.dumps(figure), flush=True)
        if not options.samples:
            record("fold", {name: figure}, command="python -m benchmarks.fold --store data/store")


if __name__ == "__main__":
    main()
