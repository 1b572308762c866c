"""Training speed of our PatchTST against neuralforecast's, checked to give the same forecasts with the same weights.

    python -m benchmarks.patchtst --peers .venv-peers/bin/python              both sizes; see requirements-peers.txt
    python -m benchmarks.patchtst --peers .venv-peers/bin/python --trial      small batches, printed and not recorded

A window is one series, as neuralforecast reads it. One thread on one core; steps of the two alternate, each in a process of
its own, and a figure is the ratio of median CPU times. A step is forward, mean squared error, backward and
Adam, with dropout, on a batch built beforehand. The figure's sizes are the paper's for ETTh1; ``at_b4_sizes`` has those of
``b4_patchtst`` by default. Nothing is recorded unless the forecasts agree: their weights are copied into ours first.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.etth1 import HORIZON, SIZES
from forecast_assets.core.models.catalogue import PatchTstSpec
from forecast_assets.core.models.patchtst import EncoderSizes
from forecast_assets_tests.helpers.patchtst_forecaster import PatchTstForecaster
from tools.results import ROOT, record

FIGURE = "patchtst_train_vs_neuralforecast"
ROUNDS, WARM_UP = 5, 2
BATCH, TRIAL_BATCH = 896, 64
LARGEST_DIFFERENCE = 1e-4
LOOKBACK = 120


def b4_sizes() -> EncoderSizes:
    """Return the encoder sizes that ``b4_patchtst`` has by default."""
    spec = PatchTstSpec(observed=(), known=())
    return EncoderSizes(
        lookback=LOOKBACK,
        patch=spec.patch_sessions,
        stride=spec.patch_stride,
        hidden=spec.hidden,
        heads=spec.heads,
        layers=spec.layers,
        feed_forward=spec.feed_forward,
        dropout=spec.dropout,
        residual_attention=spec.residual_attention,
    )


def from_neuralforecast(state: Mapping[str, Tensor], sizes: EncoderSizes) -> dict[str, Tensor]:
    """Convert a ``state_dict`` of neuralforecast's PatchTST to one of ``PatchTstForecaster``: rename and stack."""
    ours = {
        "encoder.position": state["model.backbone.W_pos"],
        "output.bias": state["model.head.linear.bias"],
        # Theirs flattens (width, patches), ours (patches, width).
        "output.weight": state["model.head.linear.weight"]
        .view(-1, sizes.hidden, sizes.patches)
        .transpose(1, 2)
        .flatten(1),
    }
    for part in ("weight", "bias"):
        ours[f"encoder.embedding.{part}"] = state[f"model.backbone.W_P.{part}"]
    for k in range(sizes.layers):
        theirs, layer = f"model.backbone.encoder.layers.{k}", f"encoder.layers.{k}"
        for part in ("weight", "bias"):
            ours[f"{layer}.query_key_value.{part}"] = torch.cat(
                [state[f"{theirs}.self_attn.W_{letter}.{part}"] for letter in "QKV"]
            )
            ours[f"{layer}.out.{part}"] = state[f"{theirs}.self_attn.to_out.0.{part}"]
            ours[f"{layer}.widen.{part}"] = state[f"{theirs}.ff.0.{part}"]
            ours[f"{layer}.narrow.{part}"] = state[f"{theirs}.ff.3.{part}"]
        for name, norm in (("norm_attention", "norm_attn.1"), ("norm_feed_forward", "norm_ffn.1")):
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                ours[f"{layer}.{name}.{part}"] = state[f"{theirs}.{norm}.{part}"]
    return ours


class Neuralforecast:
    """neuralforecast's model in a process of its own, one training step at a time."""

    def __init__(self, python: Path, sizes: EncoderSizes, *, horizon: int, batch: int, folder: Path) -> None:
        wanted = json.dumps(asdict(sizes) | {"horizon": horizon, "batch": batch})
        script, self._file = ROOT / "benchmarks" / "neuralforecast_patchtst.py", folder / "neuralforecast.npz"
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(script), wanted, str(self._file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        while self._line() != "ready":
            pass

    def arrays(self) -> dict[str, Tensor]:
        """Return its weights after one step, a batch ``window`` and its ``forecast``."""
        with np.load(self._file) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}

    def step(self) -> float:
        """Return the CPU milliseconds of one training step."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End its process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"neuralforecast's process ended with {self._process.wait()}; its message is above")
        return line.strip()


def compare(python: Path, sizes: EncoderSizes, *, horizon: int, batch: int) -> dict[str, Any]:
    """Return the largest difference of forecasts with the same weights, and the ratio of the training steps' CPU times."""
    with tempfile.TemporaryDirectory() as folder:
        peer = Neuralforecast(python, sizes, horizon=horizon, batch=batch, folder=Path(folder))
        arrays = peer.arrays()
        window, forecast = arrays.pop("window"), arrays.pop("forecast")
        model = PatchTstForecaster(sizes, horizon=horizon)
        model.load_state_dict(from_neuralforecast(arrays, sizes))
        with torch.no_grad():
            difference = float((model.eval()(window) - forecast).abs().max())
        if not difference <= LARGEST_DIFFERENCE:
            sys.exit(f"{FIGURE}: forecasts with the same weights differ by {difference}: not the same network")
        optimizer = torch.optim.Adam(model.train().parameters())
        target = torch.randn(batch, horizon, 1)
        ours, theirs = [], []
        for _ in range(WARM_UP + ROUNDS):
            start = time.process_time()
            optimizer.zero_grad(set_to_none=True)
            functional.mse_loss(model(window), target).backward()
            optimizer.step()
            ours.append(1000 * (time.process_time() - start))
            theirs.append(peer.step())
        peer.close()
    own, other = (1000 * batch / median(samples[WARM_UP:]) for samples in (ours, theirs))
    return {
        "value": round(own / other, 2),
        "ours_windows_per_cpu_second": round(own),
        "theirs_windows_per_cpu_second": round(other),
        "max_abs_diff_of_forecasts": difference,
        "batch": batch,
        "horizon": horizon,
        **asdict(sizes),
    }


def main() -> None:
    """Measure at both sizes, and write ``benchmarks/results/patchtst.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[FIGURE], default=FIGURE, help="there is one figure")
    parser.add_argument("--peers", type=Path, required=True, help="interpreter of the environment with neuralforecast")
    parser.add_argument("--trial", action="store_true", help="small batches, not recorded")
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)
    batch = TRIAL_BATCH if given.trial else BATCH
    figure = compare(given.peers, SIZES, horizon=HORIZON, batch=batch)
    figure["at_b4_sizes"] = compare(given.peers, b4_sizes(), horizon=1, batch=batch)
    print(json.dumps({FIGURE: figure}, indent=2))
    if not given.trial:
        command = "python -m benchmarks.patchtst --peers .venv-peers/bin/python"
        print(record("patchtst", {FIGURE: figure}, command=command).relative_to(ROOT))


if __name__ == "__main__":
    main()
