"""What the last fold of the whole reference panel takes: memory beside its tensors, and an epoch over every window.

    python -m benchmarks.fold --store data/store                          both; about a quarter of an hour on two cores
    python -m benchmarks.fold --store data/store --only fold_peak_vs_base_tensors
    python -m benchmarks.fold --store data/store --visits 50000           a trial of the epoch, printed and not recorded

Reads the ``windowed_tensors`` of a store that holds ``panel.parquet``. Each measurement is a process of its own.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks._result import record
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.specs import FoldSpec, TftSpec, WindowSpec
from forecast_assets.core.training.fit import Hardware, fit, predict
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.store import Store
from forecast_assets_tests.tensors import random_panel

YEAR = 2025
MODEL = "b3_tft_sector"
FIGURES = ("fold_peak_vs_base_tensors", "full_panel_epoch_minutes")
HARDWARE = Hardware(accelerator="cpu", precision="32-true")


def spec_of(**update: Any) -> TftSpec:
    """The full profile's network, one epoch of it."""
    spec: TftSpec = getattr(compose_settings("full", []), MODEL)
    return spec.model_copy(update={"fits": 1, "epochs": 1, **update})


def train_and_forecast(panel: PanelTensors, *, year: int, lookback: int, spec: TftSpec) -> None:
    """A fold from its tensors to its forecasts, one fit."""
    fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=lookback)
    stats = fit_stats(panel, fold)
    found = fit(MODEL, spec, panel=panel, fold=fold, stats=stats, lookback=lookback, seed=0, hardware=HARDWARE)
    predict(MODEL, spec, found.weights, panel=panel, ends=fold.decisions, stats=stats, lookback=lookback, device="cpu")


def memory(tensors: Path) -> dict[str, Any]:
    """Peak resident memory of the fold above a process that has trained on next to nothing, over the tensors' size."""
    tiny = random_panel(tickers=4, sessions=1_500)
    warm = spec_of(visits_per_epoch=512, observed=tiny.feature_names[:2], known=tiny.feature_names[2:3])
    train_and_forecast(tiny, year=int(last_year(tiny)), lookback=20, spec=warm)
    libraries = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    panel = PanelTensors.load(tensors)
    base = sum(
        value.nbytes
        for field in dataclasses.fields(panel)
        if isinstance(value := getattr(panel, field.name), torch.Tensor)
    )
    train_and_forecast(panel, year=YEAR, lookback=WindowSpec().lookback, spec=spec_of(visits_per_epoch=20_000))
    peak = high_water()
    return {
        "value": round((peak - libraries) / base, 4),
        "peak_gib": round(peak / 2**30, 3),
        "model_and_libraries_gib": round(libraries / 2**30, 3),
        "base_tensors_gib": round(base / 2**30, 3),
    }


def last_year(panel: PanelTensors) -> int:
    """The year of the panel's last session."""
    return 1970 + int(panel.date.max() / 365.2425)


def epoch(tensors: Path, *, visits: int | None) -> dict[str, Any]:
    """Minutes of one training epoch with as many visits as there are windows, validation at its end included."""
    panel = PanelTensors.load(tensors)
    lookback = WindowSpec().lookback
    fold = make_fold(panel, year=YEAR, spec=FoldSpec(), lookback=lookback)
    stats = fit_stats(panel, fold)
    wanted = visits or len(fold.train)
    spec = spec_of(visits_per_epoch=wanted)
    started = time.perf_counter()
    fit(MODEL, spec, panel=panel, fold=fold, stats=stats, lookback=lookback, seed=0, hardware=HARDWARE)
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


def resident() -> int:
    return _status("VmRSS")


def high_water() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    """Bytes, from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Measure in processes of their own and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES)
    parser.add_argument("--visits", type=int, help="of the epoch, instead of every window")
    parser.add_argument("--inside", choices=FIGURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tensors = Path(Store(options.store).current("windowed_tensors").path(TENSORS))
    if options.inside:
        inside = memory(tensors) if options.inside == FIGURES[0] else epoch(tensors, visits=options.visits)
        print(json.dumps(inside))
        return
    for name in options.only:
        command = [sys.executable, "-m", "benchmarks.fold", "--store", str(options.store), "--inside", name]
        command += ["--visits", str(options.visits)] if options.visits else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
        figure = json.loads(done.stdout.splitlines()[-1])
        print(name, json.dumps(figure), flush=True)
        if not options.visits:
            record("fold", {name: figure}, command="python -m benchmarks.fold --store data/store")


if __name__ == "__main__":
    main()
