"""CPU time of whole fits on the full reference panel: against an earlier commit, and of a walk-forward.

    python -m benchmarks.fit_speed                                 the speed-up, five networks in turn: 100 minutes
    python -m benchmarks.fit_speed --rounds 1 --models b1_tft --trial              printed and not recorded
    python -m benchmarks.fit_speed --only walk_forward_cpu_hours   every network's fits of one year: an hour
    python -m benchmarks.fit_speed --only walk_forward_cpu_hours --fits 1 --trial

A fit is training, the validation of its epochs, and the forecasts of its fold, from tensors that are made once. Each is a
process of its own with one thread, and its CPU time is what it says itself; the two sides of a comparison alternate. The
fold is that of an inner year, whose forecasts nobody scores here.

``fit_speedup_vs_b2b3ab8`` has the settings of that commit's ``full`` profile on both sides, its input columns and its
60,000 samples among them, but for how windows share work, which is what was made faster; its graph network needs
torch-geometric 2.8.1, which is no dependency any more. ``walk_forward_cpu_hours`` is three
fits of every network of the catalogue with the profile of today, at 240,000 samples where the profile is not the baseline's,
for the one year times seven; folds, statistics and graphs included.
"""

import argparse
import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tools.results import ROOT, commit, record

BEFORE = "b2b3ab8f6fe9bc67071eae0e13ad77ab9a14da2d"
COMPARED = ("b1_tft", "b3_tft_sector", "b4_patchtst", "b6_graph", "b7_maml")
YEAR, LOOKBACK, YEARS, SAMPLES = 2018, 120, 7, 240_000
LAYOUT = ("ends_per_block", "stride_sessions")
FIGURES = ("fit_speedup_vs_b2b3ab8", "walk_forward_cpu_hours")

Settings = dict[str, Any]


def make_tensors(path: Path) -> None:
    """Make the full panel's tensors, as a run makes them from the reference files; B5 reads the macro series."""
    from forecast_assets.core.panel.build import feature_panel
    from forecast_assets.core.panel.calendar import reindex
    from forecast_assets.core.panel.corrections import apply_corrections
    from forecast_assets.core.panel.features import feature_names
    from forecast_assets.core.panel.macro import read_macro
    from forecast_assets.core.windows.build import build_tensors
    from forecast_assets.resources.settings import compose_settings
    from forecast_assets_tests.helpers.paths import FULL_PANEL, REFERENCE
    from forecast_assets_tests.helpers.reading import read_files

    if not FULL_PANEL.exists():
        sys.exit(f"{FULL_PANEL}: the reference panel does not exist; this benchmark needs it")
    settings = compose_settings("full", ["corrections=reference"])
    raw, _ = read_files([FULL_PANEL], spec=settings.panel)
    corrected, _ = apply_corrections(raw, corrections=settings.panel.corrections)
    macro = read_macro(REFERENCE / "macro.csv")
    frame = feature_panel(reindex(corrected, spec=settings.panel), macro=macro, features=settings.features)
    build_tensors(frame, feature_names=feature_names(frame)).save(path)


def check_out(folder: Path) -> None:
    """Write the package of commit ``BEFORE`` into ``folder``."""
    made = subprocess.run(
        ["git", "archive", BEFORE, "forecast_assets"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        archive.extractall(folder, filter="data")


def settings_of(name: str) -> Settings:
    """Return the settings of a network in the ``full`` profile of the package at hand."""
    from forecast_assets.resources.settings import compose_settings

    return dict(getattr(compose_settings("full", []), name).model_dump(mode="json"))


def seconds_before(name: str, tensors: Path, *, seed: int) -> dict[str, float]:
    """Return the CPU seconds of a fit by the package of commit ``BEFORE``, called as it was called then."""
    import forecast_assets.core.training.fit as then
    from forecast_assets.core.specs import FoldSpec
    from forecast_assets.core.windows import graph
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.settings import compose_settings

    earlier: Any = then  # an API that type checkers look for in today's module
    panel, spec = PanelTensors.load(tensors), getattr(compose_settings("full", []), name)
    fold: Any = make_fold(panel, year=YEAR, spec=FoldSpec(), lookback=LOOKBACK)
    read: Any = graph
    panel = read.as_read_by(spec, panel, ends=torch.cat([fold.train, fold.decisions]), lookback=LOOKBACK)
    given = {"panel": panel, "stats": fit_stats(panel, fold), "lookback": LOOKBACK}
    hardware = earlier.Hardware(accelerator="cpu", precision="32-true")
    start = time.process_time()
    trained = earlier.fit(name, spec, fold=fold, seed=seed, hardware=hardware, **given)
    made = time.process_time()
    earlier.predict(name, spec, trained.weights, ends=fold.decisions, device="cpu", **given)
    return {"fit": made - start, "forecasts": time.process_time() - made}


def seconds_now(name: str, tensors: Path, *, seed: int, settings: Settings) -> dict[str, float]:
    """Return the CPU seconds of a fit, of its forecasts, and of what is made of its fold before."""
    from forecast_assets.core.models.catalogue import MODELS
    from forecast_assets.core.specs import FoldSpec
    from forecast_assets.core.training.fit import FoldTrainer
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.graph import with_graph_if_read
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.compute import ComputeResource

    hardware = ComputeResource(device="cpu", threads=1).hardware()
    panel, spec = PanelTensors.load(tensors), MODELS[name].spec.published(settings)
    begun = time.process_time()
    fold = make_fold(panel, year=YEAR, spec=FoldSpec(), lookback=LOOKBACK)
    ends = torch.cat([fold.train, fold.origins])
    panel = with_graph_if_read(spec.reads, panel, ends=ends, lookback=LOOKBACK)
    trainer = FoldTrainer(name, spec, panel, fold, fit_stats(panel, fold), LOOKBACK, hardware)
    start = time.process_time()
    trained = trainer.fit(seed)
    made = time.process_time()
    trainer.forecasts(trained)
    return {"fold": start - begun, "fit": made - start, "forecasts": time.process_time() - made}


def alone(package: Path, *arguments: str, settings: Settings | None = None) -> Any:
    """Run this module in a process with one thread, on the package in folder ``package``; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from benchmarks.fit_speed import main; main()", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)]), "OMP_NUM_THREADS": "1"},
        input=json.dumps(settings),
        stdout=subprocess.PIPE,
        cwd=package,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def whole(seconds: dict[str, float]) -> float:
    """Return the CPU seconds of a fit and its forecasts."""
    return seconds["fit"] + seconds["forecasts"]


def measure_speedup(tensors: Path, folder: Path, *, models: list[str], rounds: int) -> dict[str, Any]:
    """Return commit ``BEFORE`` over now, the median over networks of the median over rounds."""
    before = folder / "before"
    if not before.exists():
        check_out(before)
    ratios: dict[str, list[float]] = {name: [] for name in models}
    spent: dict[str, dict[str, list[dict[str, float]]]] = {name: {"before": [], "now": []} for name in models}
    for seed in range(rounds):
        for name in models:
            settings = alone(before, "--inside", "settings", "--models", name)
            settings = {key: value for key, value in settings.items() if key not in (*LAYOUT, "ends_per_run")}
            fit = ("--models", name, "--seed", str(seed), "--tensors", str(tensors))
            spent[name]["before"].append(alone(before, "--inside", "before", *fit))
            spent[name]["now"].append(alone(ROOT, "--inside", "now", *fit, settings=settings))
            ratios[name].append(whole(spent[name]["before"][-1]) / whole(spent[name]["now"][-1]))
            print(
                name,
                seed,
                round(ratios[name][-1], 3),
                json.dumps({k: v[-1] for k, v in spent[name].items()}),
                flush=True,
            )
    each = {name: round(median(of), 3) for name, of in ratios.items()}
    seconds = {
        name: {side: round(median(map(whole, of)), 1) for side, of in sides.items()} for name, sides in spent.items()
    }
    details = {"rounds": rounds, "by_round": {name: [round(r, 3) for r in of] for name, of in ratios.items()}}
    return {
        "value": round(median(each.values()), 3),
        "by_network": each,
        "cpu_seconds": seconds,
        "year": YEAR,
        **details,
    }


def at_samples(settings: Settings) -> Settings:
    """Return a network's settings with ``SAMPLES`` samples over as many epochs as its profile has; trees read every row."""
    if "epochs" not in settings:
        return settings
    return settings | {"samples_per_epoch": SAMPLES // settings["epochs"]}


def measure_walk_forward(tensors: Path, *, models: list[str], fits: int) -> dict[str, Any]:
    """Return the CPU hours of three fits of each network, a year times seven, from ``fits`` of each."""
    from forecast_assets.core.models.catalogue import MLP_BASELINE

    hours: dict[str, float] = {}
    for name in models:
        settings = settings_of(name) if name == MLP_BASELINE else at_samples(settings_of(name))
        of_fits = [
            alone(
                ROOT,
                "--inside",
                "now",
                "--models",
                name,
                "--seed",
                str(seed),
                "--tensors",
                str(tensors),
                settings=settings,
            )
            for seed in range(fits)
        ]
        seconds = median(of["fold"] for of in of_fits) + 3 * sum(map(whole, of_fits)) / fits  # a fold is made once
        hours[name] = round(YEARS * seconds / 3600, 3)
        print(name, hours[name], json.dumps(of_fits), flush=True)
    return {"value": round(sum(hours.values()), 2), "hours_by_network": hours, "fits_measured": fits, "year": YEAR}


def inside(options: argparse.Namespace) -> Any:
    """Return what a process of its own measures."""
    torch.set_num_threads(1)
    (name,) = options.models
    if options.inside == "settings":
        return settings_of(name)
    if options.inside == "before":
        return seconds_before(name, options.tensors, seed=options.seed)
    return seconds_now(name, options.tensors, seed=options.seed, settings=json.load(sys.stdin))


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES[:1])
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fits", type=int, default=3)
    parser.add_argument("--trial", action="store_true", help="print, and record nothing")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "forecast_assets_fit_speed"))
    parser.add_argument("--tensors", type=Path, help="made beforehand; else made in --work")
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--inside", choices=("settings", "before", "now"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(inside(options)))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    tensors = options.tensors or options.work / f"{commit()[:12]}.safetensors"
    if not tensors.exists():
        make_tensors(tensors)
    figures: dict[str, Any] = {}
    if FIGURES[0] in options.only:
        models = options.models or list(COMPARED)
        if "b6_graph" in models and importlib.util.find_spec("torch_geometric") is None:
            sys.exit(f"b6_graph of {BEFORE[:7]} needs torch-geometric: pip install --no-deps torch-geometric==2.8.1")
        figures[FIGURES[0]] = measure_speedup(tensors, options.work, models=models, rounds=options.rounds)
    if FIGURES[1] in options.only:
        from forecast_assets.core.models.catalogue import NETWORKS

        models = options.models or list(NETWORKS)
        figures[FIGURES[1]] = measure_walk_forward(tensors, models=models, fits=options.fits)
    print(json.dumps(figures, indent=2))
    if not options.trial:
        record("fit_speed", figures, command=" ".join(["python -m benchmarks.fit_speed", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
