"""Training steps of neuralforecast's PatchTST, run by ``benchmarks.patchtst`` with the interpreter of another environment.

Reads sizes as JSON from the first argument, and writes weights, a batch and its forecast in eval mode to the file of the
second. Then each line on standard input is answered with the CPU milliseconds of one training step.
"""

import json
import sys
import time

import numpy as np
import torch
from neuralforecast.models import PatchTST  # type: ignore[import-not-found]


def main() -> None:
    """Build the paper's model (RevIN with the mean, post-norm, residual attention if asked for) and time its steps."""
    sizes, path = json.loads(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = PatchTST(
        h=sizes["horizon"],
        input_size=sizes["lookback"],
        patch_len=sizes["patch"],
        stride=sizes["stride"],
        hidden_size=sizes["hidden"],
        n_heads=sizes["heads"],
        encoder_layers=sizes["layers"],
        linear_hidden_size=sizes["feed_forward"],
        dropout=sizes["dropout"],
        res_attention=sizes["residual_attention"],
        revin_subtract_last=False,
    )
    window = torch.randn(sizes["batch"], sizes["lookback"], 1)
    target = torch.randn(sizes["batch"], sizes["horizon"], 1)
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(model({"insample_y": window}), target).backward()
        optimizer.step()

    step()  # BatchNorm's statistics and the weights are no longer those of a fresh network
    model.eval()
    with torch.no_grad():
        forecast = model({"insample_y": window})
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    np.savez(path, window=window.numpy(), forecast=forecast.numpy(), **weights)
    model.train()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        step()
        print(1000 * (time.process_time() - start), flush=True)


if __name__ == "__main__":
    main()
