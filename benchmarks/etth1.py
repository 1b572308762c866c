"""Our PatchTST on ETTh1, 96 steps ahead, against its paper: mean squared error over all test windows.

    python -m benchmarks.etth1                 about an hour on one core; resumable
    python -m benchmarks.etth1 --epochs 2      a trial, printed and not recorded

The paper's supervised PatchTST/42 as its script for ETTh1 sets it (``scripts/PatchTST/etth1.sh`` of yuqinie98/PatchTST):
window 336, patches of 16 every 8 steps, width 16, 4 heads, 3 layers, feed-forward 128, dropout 0.3, residual attention,
batches of 128, Adam at 1e-4, from the fifth epoch on 0.9 times the rate of the epoch before (its "type3"), 100 epochs, the
epoch with the best validation error. Its patience of 100 stops nothing. Its code also builds a one-cycle schedule that
"type3" never steps, but whose constructor sets Adam's first beta to 0.95 and the first epoch's rate to a 25th; so do we.
Split 12 / 4 / 4 months of 30 days, channels standardised with the training months; errors are in those units, as in the
paper (0.375, and 0.370 at window 512).

One thing differs from its code: validation and test use every window, where its loaders drop the last incomplete batch
(``mse_of_whole_batches`` is the error without that batch).
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from forecast_assets.core.models.patchtst import EncoderSizes
from forecast_assets.core.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from forecast_assets_tests.helpers.patchtst_forecaster import PatchTstForecaster
from forecast_assets_tests.helpers.paths import REFERENCE
from tools.results import ROOT, record

FIGURE = "patchtst_etth1_96_mse"
DATA = REFERENCE / "ETTh1.csv"
CHECKPOINTS = ROOT / "checkpoints" / "etth1"

MONTH = 30 * 24
TRAIN_END, VALIDATION_END, TEST_END = 12 * MONTH, 16 * MONTH, 20 * MONTH
LOOKBACK, HORIZON = 336, 96
SIZES = EncoderSizes(
    lookback=LOOKBACK,
    patch=16,
    stride=8,
    hidden=16,
    heads=4,
    layers=3,
    feed_forward=128,
    dropout=0.3,
    residual_attention=True,
)
BATCH, EPOCHS, LEARNING_RATE, BETAS, SEED = 128, 100, 1e-4, (0.95, 0.999), 2021


def read_series(path: Path) -> Tensor:
    """Return the seven channels, standardised with the training months, (T, 7) float32."""
    values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, 8))
    train = values[:TRAIN_END]
    return torch.from_numpy((values - train.mean(axis=0)) / train.std(axis=0)).float()


def windows(series: Tensor, *, begin: int, end: int) -> Tensor:
    """Return all windows whose targets lie in ``begin`` to ``end``: (N, LOOKBACK + HORIZON, C), a view.

    As in the benchmark's standard split, a window's inputs may reach back before ``begin``.
    """
    rows = series[max(0, begin - LOOKBACK) : end]
    return rows.unfold(0, LOOKBACK + HORIZON, 1).transpose(1, 2)


@torch.no_grad()
def errors(model: PatchTstForecaster, data: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean squared and mean absolute error of each window, 2 x (N,) float64."""
    model.eval()
    squared, absolute = [], []
    for part in data.split(BATCH):
        error = (model(part[:, :LOOKBACK]) - part[:, LOOKBACK:]).double()
        squared.append(error.square().mean(dim=(1, 2)))
        absolute.append(error.abs().mean(dim=(1, 2)))
    model.train()
    return torch.cat(squared), torch.cat(absolute)


def factor(epoch: int) -> float:
    """Return the learning rate of an epoch, the first being 0, as a multiple of the initial one."""
    return 1 / 25 if epoch == 0 else 0.9 ** max(0, epoch - 3)


def train(series: Tensor, *, epochs: int, folder: Path, key: str) -> dict[str, Any]:
    """Train or resume; return the curve, the best epoch's weights and the CPU seconds."""
    torch.manual_seed(SEED)
    shuffle = torch.Generator().manual_seed(SEED)
    model = PatchTstForecaster(SIZES, horizon=HORIZON)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    states: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    training = windows(series, begin=0, end=TRAIN_END)
    validation = windows(series, begin=TRAIN_END, end=VALIDATION_END)

    found = load_checkpoint(folder, key=key)
    if found is not None:
        found.restore(states=states, generators={"shuffle": shuffle})
    run: dict[str, Any] = found.record if found is not None else {"curve": [], "best": None, "cpu_seconds": 0.0}
    for epoch in range(len(run["curve"]), epochs):
        start, losses = time.process_time(), []
        order = torch.randperm(len(training), generator=shuffle)
        for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
            batch = training[chosen]
            loss = functional.mse_loss(model(batch[:, :LOOKBACK]), batch[:, LOOKBACK:])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        schedule.step()
        score = float(errors(model, validation)[0].mean())
        if run["best"] is None or score < run["best"]["validation_mse"]:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            run["best"] = {"epoch": epoch, "validation_mse": score, "weights": weights}
        seconds = time.process_time() - start
        run["cpu_seconds"] += seconds
        run["curve"].append({"epoch": epoch, "train_mse": float(torch.stack(losses).mean()), "validation_mse": score})
        save_checkpoint(folder, key=key, epochs=epoch + 1, states=states, generators={"shuffle": shuffle}, record=run)
        left = (epochs - epoch - 1) * seconds / 60
        print(f"{json.dumps(run['curve'][-1])}  {seconds:.1f} CPU s, {left:.0f} minutes left", flush=True)
    return run


def evaluate(series: Tensor, run: dict[str, Any]) -> dict[str, Any]:
    """Return the figure: errors of the best epoch over all test windows."""
    model = PatchTstForecaster(SIZES, horizon=HORIZON)
    model.load_state_dict(run["best"]["weights"])
    squared, absolute = errors(model, windows(series, begin=VALIDATION_END, end=TEST_END))
    whole = len(squared) // BATCH * BATCH
    return {
        "value": round(float(squared.mean()), 4),
        "mae": round(float(absolute.mean()), 4),
        "mse_of_whole_batches": round(float(squared[:whole].mean()), 4),
        "test_windows": len(squared),
        "validation_mse": round(run["best"]["validation_mse"], 4),
        "best_epoch": run["best"]["epoch"] + 1,
        "epochs": len(run["curve"]),
        "lookback": LOOKBACK,
        "seed": SEED,
        "cpu_minutes": round(run["cpu_seconds"] / 60, 1),
    }


def main() -> None:
    """Train to the end, score the test months once, and write ``benchmarks/results/etth1.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[FIGURE], default=FIGURE, help="there is one figure")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="fewer than the paper's: a trial")
    parser.add_argument("--data", type=Path, default=DATA, help="ETTh1.csv of zhouhaoyi/ETDataset")
    given = parser.parse_args()
    if not given.data.exists():
        sys.exit(
            f"{given.data} does not exist; give the path of ETTh1.csv (github.com/zhouhaoyi/ETDataset) with --data"
        )
    torch.set_num_threads(1)
    series = read_series(given.data)
    rates = [LEARNING_RATE * factor(epoch) for epoch in range(EPOCHS)]
    settings = [str(SIZES), HORIZON, BATCH, rates, BETAS, SEED, torch.__version__]
    key = hashlib.sha256(json.dumps(settings).encode() + given.data.read_bytes()).hexdigest()[:16]
    run = train(series, epochs=given.epochs, folder=CHECKPOINTS / key, key=key)
    figure = evaluate(series, run)
    print(json.dumps({FIGURE: figure}))
    if given.epochs == EPOCHS:
        print(record("etth1", {FIGURE: figure}, command="python -m benchmarks.etth1").relative_to(ROOT))


if __name__ == "__main__":
    main()
