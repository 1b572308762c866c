"""Accuracy of training on contiguous blocks of windows against random windows, at equal samples.

    python -m benchmarks.layout                                        the experiment, about 20 minutes on one core
    python -m benchmarks.layout --samples 2000 --epochs 2 --seeds 1     a trial; records nothing

The windows of a block overlap, so a step trains on fewer distinct ones; the closer their ends, the fewer. Two panels, the
synthetic one with its planted signal and the real one (40 tickers), pass through the core functions that the assets use; the
model is ``b2_tft_ticker`` of the profile ``full`` with a lookback of 120. Every layout starts from the same weights per seed
and draws as many windows; the figure is the mean over seeds of the ratio of validation pinball, each at its best epoch.

Fits already done at the same size are kept in ``--work`` and not done again, so a stopped run can be resumed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.corrections import apply_corrections
from forecast_assets.core.panel.demo import write_demo_csv
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.settings import Settings
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.build import build_tensors
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.paths import PANEL_40
from forecast_assets_tests.helpers.reading import read_files
from tools.results import ROOT, commit, record

MODEL = "b2_tft_ticker"
YEARS = {"planted": 2021, "real": 2018}
"""Panel -> year of the fold that is trained and validated on; of the real one an inner year."""

RANDOM = Layout(1, 1)
LAYOUTS = (
    RANDOM,
    Layout(16, 8),
    Layout(32, 4),
    Layout(8, 8),
    Layout(32, 8),
    Layout(16, 20),
    Layout(16, 1),
    Layout(64, 1),
)
KEY = "tft_layout_pinball_vs_random"


def panel_of(name: str, settings: Settings, folder: Path) -> PanelTensors:
    """Return the panel's tensors, made once per work folder."""
    path = folder / f"{name}.safetensors"
    if not path.exists():
        file = PANEL_40
        if name == "planted":
            file = folder / "planted.csv"
            write_demo_csv(file, settings.demo)
        raw, _ = read_files([file], spec=settings.panel)
        corrected, _ = apply_corrections(raw, corrections=settings.panel.corrections)
        frame = feature_panel(reindex(corrected, spec=settings.panel), features=settings.features)
        build_tensors(frame, feature_names=feature_names(frame)).save(path)
    return PanelTensors.load(path)


def trained(panel: PanelTensors, settings: Settings, *, year: int, layout: Layout, seed: int) -> dict[str, Any]:
    """Fit once; return validation pinball and CPU time."""
    spec = settings.b2_tft_ticker.model_copy(update={"ends_per_block": layout.ends, "stride_sessions": layout.stride})
    lookback = settings.windows.lookback
    fold = make_fold(panel, year=year, spec=settings.folds, lookback=lookback)
    stats = fit_stats(panel, fold)
    start = time.process_time()
    hardware = Hardware(accelerator="cpu", precision="32-true")
    done = FoldTrainer(MODEL, spec, panel, fold, stats, lookback, hardware).fit(seed)
    return {
        "validation_pinball": done.validation_pinball,
        "best_epoch": done.best_epoch,
        "curve": [round(epoch["validation_pinball"], 6) for epoch in done.curve],
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def experiment(
    settings: Settings, *, panels: list[str], layouts: list[Layout], seeds: int, folder: Path
) -> dict[str, Any]:
    """Fit every panel x seed x layout; results that ``folder`` holds are not computed again."""
    results = {}
    todo = [(name, seed, layout) for seed in range(seeds) for name in panels for layout in layouts]
    for number, (name, seed, layout) in enumerate(todo, start=1):
        key = f"{name} {layout.ends}x{layout.stride} seed {seed}"
        path = folder / f"{key.replace(' ', '-')}.json"
        if not path.exists():
            panel = panel_of(name, settings, folder)
            path.write_text(json.dumps(trained(panel, settings, year=YEARS[name], layout=layout, seed=seed)))
        results[key] = json.loads(path.read_text())
        result = results[key]
        print(
            f"{number}/{len(todo)} {key}: {result['validation_pinball']:.5f} in {result['cpu_seconds']} s", flush=True
        )
    return results


def ratios(results: dict[str, Any], *, name: str, layout: Layout, seeds: int) -> list[float]:
    """Return validation pinball of ``layout`` / random windows, per seed."""
    pinball = {key: result["validation_pinball"] for key, result in results.items()}
    return [
        round(pinball[f"{name} {layout.ends}x{layout.stride} seed {s}"] / pinball[f"{name} 1x1 seed {s}"], 5)
        for s in range(seeds)
    ]


def main() -> None:
    """Run the missing fits, print all ratios, record the figure of the layout that the settings choose."""
    parser = argparse.ArgumentParser(description="Batch layouts against random windows, at equal samples.")
    parser.add_argument("--only", choices=[KEY], default=KEY)
    parser.add_argument("--samples", type=int, default=8_000, help="windows of an epoch")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--layouts", nargs="+", metavar="ENDSxSTRIDE", help="only these, beside random windows")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "forecast_assets_layout"))
    options = parser.parse_args()
    if not PANEL_40.exists():
        sys.exit(f"{PANEL_40}: the reference panel does not exist; this experiment needs it")

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)
    size = [f"{MODEL}.epochs={options.epochs}", f"{MODEL}.samples_per_epoch={options.samples}", f"{MODEL}.fits=1"]
    settings = compose_settings("full", [*size, f"{MODEL}.patience={options.epochs}", "windows.lookback=120"])
    chosen = Layout(settings.b2_tft_ticker.ends_per_block, settings.b2_tft_ticker.stride_sessions)
    layouts = list(LAYOUTS)
    if options.layouts:
        layouts = [RANDOM, *(Layout(*map(int, text.split("x"))) for text in options.layouts)]
    folder = options.work / f"{commit()[:12]}-{options.samples}x{options.epochs}"
    folder.mkdir(parents=True, exist_ok=True)
    results = experiment(settings, panels=list(YEARS), layouts=layouts, seeds=options.seeds, folder=folder)

    table = {
        f"{name} {layout.ends}x{layout.stride}": ratios(results, name=name, layout=layout, seeds=options.seeds)
        for name in YEARS
        for layout in layouts
    }
    for key, values in table.items():
        print(f"{key}: {mean(values):.4f}  {values}")
    if options.samples * options.epochs < 20_000 or options.seeds < 3 or chosen not in layouts:
        return
    figure = {
        "value": round(mean(table[f"real {chosen.ends}x{chosen.stride}"]), 4),
        "layout": f"{chosen.ends} ends per block, {chosen.stride} sessions apart",
        "ratios_by_seed": table,
        "samples": options.samples * options.epochs,
        "model": f"{MODEL}, profile full, hidden {settings.b2_tft_ticker.hidden}, lookback 120",
        "validation_pinball": {key: round(result["validation_pinball"], 6) for key, result in results.items()},
        "cpu_seconds": {key: result["cpu_seconds"] for key, result in results.items()},
    }
    path = record("layout", {KEY: figure}, command=" ".join(["python -m benchmarks.layout", *sys.argv[1:]]))
    print(f"{path.relative_to(ROOT)} updated")


if __name__ == "__main__":
    main()
