"""Training steps of neuralforecast's TFT, run by ``benchmarks.models`` with the interpreter of another environment.

Reads sizes as JSON from the first argument, prints {"milliseconds": CPU time of the median step} as JSON.
"""

import json
import sys
import time
from statistics import median

import torch
from neuralforecast.losses.pytorch import MQLoss  # type: ignore[import-not-found]
from neuralforecast.models import TFT  # type: ignore[import-not-found]


def main() -> None:
    """Time steps for one target and seven quantiles, the batch built beforehand: forward, pinball, backward, AdamW."""
    sizes = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, lookback = sizes["batch"], sizes["lookback"]
    hist = [f"observed_{i}" for i in range(sizes["observed"])]
    futr = [f"known_{i}" for i in range(sizes["known"])]
    loss = MQLoss(quantiles=sizes["quantiles"])
    model = TFT(
        h=1,
        input_size=lookback,
        hidden_size=sizes["hidden"],
        n_head=sizes["heads"],
        dropout=sizes["dropout"],
        hist_exog_list=hist,
        futr_exog_list=futr,
        stat_exog_list=["ticker"],
        loss=loss,
    )
    windows = {
        "insample_y": torch.randn(batch, lookback, 1),
        "futr_exog": torch.randn(batch, lookback + 1, len(futr)),
        "hist_exog": torch.randn(batch, lookback, len(hist)),
        "stat_exog": torch.randn(batch, 1),
    }
    target = torch.randn(batch, 1, 1)
    levels = torch.tensor(sizes["quantiles"])
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    seconds = []
    for _ in range(1 + sizes["rounds"]):
        start = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        error = target - model(windows).reshape(batch, 1, -1)
        torch.maximum(levels * error, (levels - 1) * error).mean().backward()
        optimizer.step()
        seconds.append(time.process_time() - start)
    print(json.dumps({"milliseconds": 1000 * median(seconds[1:])}))


if __name__ == "__main__":
    main()
