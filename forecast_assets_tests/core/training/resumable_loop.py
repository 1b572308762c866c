"""A small training loop with everything that has a state, run in a process of its own by ``test_checkpoint``.

    python -m forecast_assets_tests.core.training.resumable_loop FOLDER EPOCHS [SECONDS_PER_EPOCH]

Prints a line after each epoch and a digest of weights, optimiser and curve at the end.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from forecast_assets.core.training.checkpoint import Stateful, load_checkpoint, save_checkpoint


def train(folder: Path, *, epochs: int, pause: float = 0.0) -> dict[str, Any]:
    """Dropout draws from the global random numbers, batches from a generator, BatchNorm and AdamW have buffers."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=40)
    shuffle = torch.Generator().manual_seed(6)
    states: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    data = torch.randn(32, 5, generator=torch.Generator().manual_seed(7))
    found = load_checkpoint(folder, key="loop")
    curve: list[float] = []
    if found is not None:
        found.restore(states=states, generators={"shuffle": shuffle})
        curve = found.record["curve"]
    for epoch in range(len(curve), epochs):
        total = 0.0
        for rows in torch.randperm(32, generator=shuffle).split(8):
            loss = (model(data[rows, :4]) - data[rows, 4:]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        curve.append(total)
        save_checkpoint(
            folder,
            key="loop",
            epochs=epoch + 1,
            states=states,
            generators={"shuffle": shuffle},
            record={"curve": curve, "best": (epoch, model[0].weight)},
        )
        print(epoch, flush=True)
        time.sleep(pause)
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"], "curve": curve}


def digest(result: dict[str, Any]) -> str:
    """Of every bit of the result."""
    sha = hashlib.sha256(json.dumps([value.hex() for value in result["curve"]]).encode())
    moments = [tensor for state in result["optimizer"].values() for tensor in state.values()]
    for tensor in (*result["model"].values(), *moments):
        sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(digest(train(Path(sys.argv[1]), epochs=int(sys.argv[2]), pause=float((*sys.argv, "0")[3]))))
