"""Speed and memory of our Temporal Fusion Transformer against pytorch-forecasting's and neuralforecast's, and parity.

    python -m benchmarks.models --peers .venv-peers/bin/python           everything; see requirements-peers.txt
    python -m benchmarks.models --only tft_parity_max_abs_diff           one figure, merged into the file

One thread on one core. The sizes are those of ``b2_tft_ticker``'s defaults: its hidden size, heads, columns and batch
layout, lookback 120, 40 tickers. Rounds of both alternate; a figure is the ratio of median CPU times per window.
A training step is forward, mean pinball, backward and AdamW, with dropout; inference is eval mode without gradients, ours
on blocks of 250 consecutive ends (a year of one ticker). The batch is built beforehand unless the figure says loader.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain, pairwise, repeat
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import TimeSeriesDataSet
from pytorch_forecasting.data import MultiNormalizer, TorchNormalizer
from torch import Tensor, nn

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import make_batch
from forecast_assets.core.models.tft.model import embedding_size
from forecast_assets.core.models.tft.network import TftSizes
from forecast_assets.core.reads import Reads
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.sampler import WindowSampler
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.window_batches import Layout
from forecast_assets.resources.process_setup import set_up
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.tensors import random_panel
from forecast_assets_tests.helpers.tft_oracle import columns, oracle, oracle_inputs, oracle_raw, ours
from tools.results import ROOT, record

Figures = dict[str, dict[str, Any]]
Inputs = tuple[Tensor, Tensor, Tensor]

ROUNDS, BATCH, LOOKBACK, TICKERS, SESSIONS = 5, 256, 120, 40, 600
YEAR = Layout(ends=250, stride=1)


def spec_sizes() -> tuple[TftSizes, Layout]:
    """Return the network sizes and the batch layout that ``b2_tft_ticker`` has by default."""
    # The profile chooses sizes for its budget; the settings' own defaults are compared.
    given = compose_settings("full", []).b2_tft_ticker
    spec = type(given)(observed=given.observed, known=given.known)
    sizes = TftSizes(
        hidden=spec.hidden,
        hidden_continuous=spec.hidden_continuous,
        heads=spec.heads,
        dropout=spec.dropout,
        lookback=LOOKBACK,
        observed=len(spec.observed),
        known=len(spec.known),
        static={"ticker": (TICKERS + 1, embedding_size(TICKERS + 1))},
    )
    return sizes, Layout(spec.ends_per_block, spec.stride_sessions)


def blocks_of(sizes: TftSizes, layout: Layout, *, windows: int) -> Inputs:
    """Return random rows, offsets and ids of ``windows`` windows."""
    blocks, generator = windows // layout.ends, torch.Generator().manual_seed(0)
    rows = torch.randn(blocks, LOOKBACK + layout.span, sizes.observed + sizes.known, generator=generator)
    ids = torch.randint(TICKERS + 1, (blocks, 1), generator=generator)
    return rows, layout.offsets(LOOKBACK, device=torch.device("cpu")), ids


def training_step(network: nn.Module, raw: Callable[[], Tensor]) -> Callable[[], None]:
    """Return a training step of ``network``, whose output ``raw`` computes."""
    optimizer, levels = torch.optim.AdamW(network.parameters()), torch.tensor(QUANTILES)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        error = 1.0 - raw()  # (B, 3, 7)
        torch.maximum(levels * error, (levels - 1) * error).mean().backward()
        optimizer.step()

    network.train()
    return step


def interleaved(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median CPU milliseconds of each call over ``ROUNDS`` rounds, after a warm-up round."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + ROUNDS):
        for name, run in calls.items():
            start = time.process_time()
            run()
            samples[name].append(1000 * (time.process_time() - start))
    return {name: median(times[1:]) for name, times in samples.items()}


def figure(
    ours_ms: float, theirs_ms: float, *, windows: tuple[int, int] = (BATCH, BATCH), **details: Any
) -> dict[str, Any]:
    """Return their CPU time per window / ours; ``windows``: ours and theirs in a call."""
    ours_rate, theirs_rate = (1000 * w / ms for w, ms in zip(windows, (ours_ms, theirs_ms), strict=True))
    rates = {"ours_windows_per_cpu_second": round(ours_rate), "theirs_windows_per_cpu_second": round(theirs_rate)}
    return {"value": round(ours_rate / theirs_rate, 2), **rates, **details}


def measure_training() -> Figures:
    """Time our step at the chosen layout, and pytorch-forecasting's on a prebuilt batch and with its own dataloader."""
    sizes, layout = spec_sizes()
    theirs = oracle(sizes)
    mine, inputs = ours(theirs, sizes), blocks_of(sizes, layout, windows=BATCH)
    windows, batches = oracle_inputs(*inputs, lookback=LOOKBACK), loader_batches(sizes)
    milliseconds = interleaved(
        {
            "ours": training_step(mine, lambda: mine(*inputs)),
            "prebuilt": training_step(theirs, lambda: oracle_raw(theirs, windows)),
            "loader": training_step(theirs, lambda: oracle_raw(theirs, next(batches))),
        }
    )
    at: dict[str, Any] = {
        "layout": f"{layout.ends} ends per block, {layout.stride} sessions apart",
        "batch": BATCH,
        "hidden": sizes.hidden,
    }
    return {
        "tft_train_vs_pytorch_forecasting": figure(milliseconds["ours"], milliseconds["prebuilt"], **at),
        "tft_train_vs_pytorch_forecasting_loader": figure(milliseconds["ours"], milliseconds["loader"], **at),
    }


def measure_inference() -> Figures:
    """Time inference in eval mode without gradients."""
    sizes, layout = spec_sizes()
    theirs = oracle(sizes).eval()
    mine, year = ours(theirs, sizes).eval(), blocks_of(sizes, YEAR, windows=4 * YEAR.ends)
    windows = oracle_inputs(*blocks_of(sizes, layout, windows=BATCH), lookback=LOOKBACK)
    with torch.no_grad():
        milliseconds = interleaved({"ours": lambda: mine(*year), "theirs": lambda: oracle_raw(theirs, windows)})
    made = figure(
        milliseconds["ours"], milliseconds["theirs"], windows=(4 * YEAR.ends, BATCH), ends_per_block=YEAR.ends
    )
    return {"tft_infer_vs_pytorch_forecasting": made}


def measure_parity() -> Figures:
    """Measure the largest difference of raw outputs with the same weights, in single precision."""
    sizes, layout = spec_sizes()
    theirs, inputs = oracle(sizes).eval(), blocks_of(sizes, layout, windows=BATCH)
    with torch.no_grad():
        expected = oracle_raw(theirs, oracle_inputs(*inputs, lookback=LOOKBACK))
        difference = float((ours(theirs, sizes).eval()(*inputs) - expected).abs().max())
    spread = round(float(expected.std()), 3)
    return {"tft_parity_max_abs_diff": {"value": difference, "std_of_outputs": spread, "windows": BATCH}}


def measure_memory() -> Figures:
    """Measure the peak memory of a training step above model and batch, each in a process of its own."""
    ours_mib, theirs_mib = (
        float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for command in (
            [sys.executable, "-W", "ignore", "-m", "benchmarks.models", "--step-memory", who]
            for who in ("ours", "theirs")
        )
    )
    details = {"ours_mib": round(ours_mib), "theirs_mib": round(theirs_mib), "batch": BATCH}
    return {"tft_step_memory_vs_pytorch_forecasting": {"value": round(ours_mib / theirs_mib, 3), **details}}


def step_memory(who: str) -> float:
    """Return the MiB that two training steps need at their peak, above what was resident before."""
    sizes, layout = spec_sizes()
    theirs = oracle(sizes)
    inputs = blocks_of(sizes, layout, windows=BATCH)
    if who == "ours":
        mine = ours(theirs, sizes)
        step = training_step(mine, lambda: mine(*inputs))
    else:
        windows = oracle_inputs(*inputs, lookback=LOOKBACK)
        step = training_step(theirs, lambda: oracle_raw(theirs, windows))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    step()
    step()
    return (_status("VmHWM") - before) / 1024


def measure_neuralforecast(peers: Path | None) -> Figures:
    """Time our step against neuralforecast's, whose TFT forecasts one target per model; ours forecasts three horizons."""
    if peers is None:
        sys.exit("tft_train_vs_neuralforecast needs --peers PYTHON, see benchmarks/requirements-peers.txt")
    sizes, layout = spec_sizes()
    mine, inputs = ours(oracle(sizes), sizes), blocks_of(sizes, layout, windows=BATCH)
    step = training_step(mine, lambda: mine(*inputs))
    wanted = json.dumps(asdict(sizes) | {"batch": BATCH, "quantiles": QUANTILES, "rounds": 1})
    command = [str(peers), "-W", "ignore", str(ROOT / "benchmarks" / "neuralforecast_tft.py"), wanted]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    own, other = [], []
    step()
    for _ in range(ROUNDS):
        start = time.process_time()
        step()
        own.append(1000 * (time.process_time() - start))
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread)
        other.append(float(json.loads(done.stdout.splitlines()[-1])["milliseconds"]))
    made = figure(median(own), median(other), batch=BATCH)
    return {"tft_train_vs_neuralforecast": made | {"three_targets_value": round(len(HORIZONS) * made["value"], 2)}}


def measure_gather() -> Figures:
    """Time how fast windows reach a model, drawing included: single random windows against the dataloader."""
    sizes, _ = spec_sizes()
    features = sizes.observed + sizes.known
    panel = random_panel(tickers=TICKERS, sessions=SESSIONS, features=features)
    ends = panel.ends(LOOKBACK)
    ends = ends[torch.isfinite(panel.targets[ends]).all(dim=1)]
    stats = fit_stats(panel, Fold(year=0, train=ends, validation=ends, test=ends))
    single, generator = Layout(1, 1), torch.Generator().manual_seed(0)
    sampler, reads = WindowSampler.over(panel, ends, layout=single), Reads(panel.feature_names[:features])
    batches = loader_batches(sizes)

    def gather() -> None:
        drawn = sampler.draw(BATCH, generator=generator)
        make_batch(panel, drawn, layout=single, stats=stats, reads=reads, lookback=LOOKBACK)

    milliseconds = interleaved({"ours": gather, "theirs": lambda: next(batches)})
    return {"gather_vs_pytorch_forecasting_loader": figure(milliseconds["ours"], milliseconds["theirs"], batch=BATCH)}


def loader_batches(sizes: TftSizes) -> Iterator[dict[str, Tensor]]:
    """Yield training batches of pytorch-forecasting's own dataloader over a random panel, without end."""
    generator = np.random.default_rng(0)
    names, targets = columns(sizes), [f"target_{h}d" for h in HORIZONS]
    numbers = generator.normal(size=(TICKERS * SESSIONS, len(names) + len(targets)))
    # It wraps read-only pandas arrays in tensors, but never writes to them.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
    frame = pd.DataFrame(numbers, columns=[*names, *targets])
    frame["ticker"] = np.repeat([f"T{i:02d}" for i in range(TICKERS)], SESSIONS)
    frame["session"] = np.tile(np.arange(SESSIONS), TICKERS)
    dataset = TimeSeriesDataSet(
        frame,
        time_idx="session",
        target=targets,
        group_ids=["ticker"],
        min_encoder_length=LOOKBACK,
        max_encoder_length=LOOKBACK,
        max_prediction_length=1,
        static_categoricals=["ticker"],
        time_varying_unknown_reals=list(names[: sizes.observed]),
        time_varying_known_reals=list(names[sizes.observed :]),
        target_normalizer=MultiNormalizer([TorchNormalizer(method="identity") for _ in targets]),
    )
    loader = dataset.to_dataloader(train=True, batch_size=BATCH, num_workers=0)
    return (inputs for inputs, _ in chain.from_iterable(repeat(loader)))


def _status(field: str) -> float:
    """A field of this process's status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


MEASUREMENTS: dict[str, Callable[[], Figures]] = {
    "tft_parity_max_abs_diff": measure_parity,
    "tft_train_vs_pytorch_forecasting": measure_training,
    "tft_train_vs_pytorch_forecasting_loader": measure_training,
    "tft_infer_vs_pytorch_forecasting": measure_inference,
    "tft_step_memory_vs_pytorch_forecasting": measure_memory,
    "gather_vs_pytorch_forecasting_loader": measure_gather,
}
"""Figure -> what measures it."""
WITH_PEERS = "tft_train_vs_neuralforecast"


def main() -> None:
    """Measure the figures asked for, and merge them into ``benchmarks/results/models.json``."""
    parser = argparse.ArgumentParser(description="Measure our TFT against the peers'.")
    parser.add_argument("--only", metavar="FIGURE", nargs="+", choices=[*MEASUREMENTS, WITH_PEERS])
    parser.add_argument("--peers", type=Path, help="interpreter of the environment with neuralforecast")
    parser.add_argument("--step-memory", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    set_up(threads=1)
    if options.step_memory:
        print(step_memory(options.step_memory))
        return
    only = options.only or [*MEASUREMENTS, WITH_PEERS]
    chosen = dict.fromkeys(MEASUREMENTS[name] for name in only if name != WITH_PEERS)
    measures = [*chosen, *([lambda: measure_neuralforecast(options.peers)] if WITH_PEERS in only else [])]
    for measure in measures:
        figures = measure()
        asked = ["PYTHON" if before == "--peers" else word for before, word in pairwise(["", *sys.argv[1:]])]
        path = record("models", figures, command=" ".join(["python -m benchmarks.models", *asked]))
        print(f"{path.relative_to(ROOT)}: " + ", ".join(f"{key} {made['value']}" for key, made in figures.items()))


if __name__ == "__main__":
    main()
