"""Time of zero-shot forecasts by Chronos models of the published sizes, with random weights: no result, only its price.

    python -m benchmarks.chronos          three minutes of one core; needs the extra `chronos`, and no weights

``chronos_milliseconds_per_origin``: processor time of one core for a forecast origin, from returns to the seven quantiles at
each horizon, of the smallest published Chronos-Bolt model; other models are beside it. Weights are written by the package's
own classes and read by the loader that `f0_chronos` uses. The contexts are the default's.
``chronos_transformers_import_seconds``: processor time that the imports of a process which trains take longer where the
package is installed, since lightning imports transformers.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from forecast_assets.core.models.zero_shot import load_chronos, zero_shot
from forecast_assets.core.specs import ChronosSpec
from forecast_assets_tests.helpers.chronos_weights import write_bolt, write_chronos_2
from forecast_assets_tests.helpers.tensors import random_panel
from tools.results import ROOT, record

ORIGINS, REPEATS = 128, 3
LEVELS = [0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99]
BOLT = {"context_length": 2048, "use_reg_token": True}
CHRONOS_2 = {"context_length": 8192, "max_output_patches": 64, "quantiles": LEVELS, "time_encoding_scale": 8192}

SIZES: dict[str, tuple[Any, dict[str, int], dict[str, Any]]] = {
    "chronos-bolt-tiny": (write_bolt, {"d_model": 256, "d_kv": 64, "d_ff": 1024, "num_layers": 4, "num_heads": 4}, BOLT),
    "chronos-bolt-small": (write_bolt, {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}, BOLT),
    "chronos-2-small": (
        write_chronos_2, {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}, CHRONOS_2,
    ),
}  # fmt: skip
"""Name of a published model -> how to write one, the size of its network, and its other settings."""


def measure(name: str) -> dict[str, float]:
    """Return processor milliseconds per origin, and the number of parameters in millions."""
    write, size, settings = SIZES[name]
    panel, spec = random_panel(tickers=4, sessions=700), ChronosSpec(batch_size=ORIGINS // 2)
    origins = torch.arange(panel.rows)[torch.arange(panel.rows) % 700 >= 700 - ORIGINS // 4]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), size=size, **settings)
        model = load_chronos(Path(folder), name=name, accelerator="cpu")
    each = []
    for _ in range(REPEATS):
        begun = time.process_time()
        zero_shot(model, panel, origins, spec=spec)
        each.append(1000 * (time.process_time() - begun) / len(origins))
    parameters = sum(weight.numel() for weight in model.pipeline.inner_model.parameters())
    return {
        "milliseconds": round(statistics.median(each), 2),
        "million_parameters": round(parameters / 1e6, 1),
    }


def import_seconds(*, beside: str) -> float:
    """Return the processor time in which a process imports what trains, with a folder of packages ``beside`` the others."""
    code = (
        "import time; t = time.process_time(); import forecast_assets.core.training.fit; print(time.process_time() - t)"
    )
    paths = os.pathsep.join(filter(None, (str(ROOT), beside)))
    times = [
        float(subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, text=True))
        for _ in range(REPEATS)
    ]
    return statistics.median(times)


def import_figure() -> dict[str, Any]:
    """Return what the package adds to the imports. It has to lie apart, as ``make`` installs it."""
    package = find_spec("chronos")
    folder = Path(str(package and package.origin)).parents[1]
    if folder.name == "site-packages":
        raise SystemExit("chronos-forecasting is in the environment itself; install it apart, as the Makefile does")
    without, with_package = (import_seconds(beside=beside) for beside in ("", str(folder)))
    return {"value": round(with_package - without, 2), "without": round(without, 2), "with": round(with_package, 2)}


def main() -> None:
    """Measure each size and record."""
    torch.set_num_threads(1)
    found = {name: measure(name) for name in SIZES}
    figure = {
        "value": found["chronos-bolt-tiny"]["milliseconds"],
        "models": found,
        "context_sessions": ChronosSpec().context_sessions,
        "chronos_forecasting": version("chronos-forecasting"),
        "weights": "random",
    }
    figures = {"chronos_milliseconds_per_origin": figure, "chronos_transformers_import_seconds": import_figure()}
    print(json.dumps(figures, indent=1))
    print(record("chronos", figures, command="python -m benchmarks.chronos"))


if __name__ == "__main__":
    main()
