"""Score forecasts with fev itself, in a process of its own: its ``datasets`` wants other releases than the rest.

    python -m forecast_assets_tests.helpers.fev_scores FOLDER FORECASTS.parquet

The package lies apart from the environment (``Makefile``).
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

APART = Path(sys.prefix) / "fev"
HAS_FEV = APART.is_dir()
WITHOUT = "fev is not installed apart from the environment: `make test` does it"
"""Why a test is skipped."""


def variables(home: Path) -> dict[str, str]:
    """Return the environment of a process that imports fev; ``home``: for the copies that ``datasets`` makes."""
    path = os.pathsep.join(filter(None, [str(APART), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}


def fev_scores(folder: Path, forecasts: pl.DataFrame, scratch: Path) -> list[dict[str, Any]]:
    """Return what fev says of each task of ``folder``, see ``score``."""
    table = scratch / "forecasts.parquet"
    forecasts.write_parquet(table)
    command = [sys.executable, "-m", __name__, str(folder.absolute()), str(table)]
    done = subprocess.run(command, env=variables(scratch / "hf"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def score(folder: Path, forecasts: pl.DataFrame) -> list[dict[str, Any]]:
    """Return MQL of ``forecasts`` for each task, its windows' tickers and outcomes, and how far the pasts go.

    Where there is no forecast, the outcome itself is taken: a loss of zero.
    """
    os.chdir(folder)
    import fev

    from forecast_assets.core.benchmark_task.predictions import as_predictions, window_quantiles
    from forecast_assets.core.horizons import HORIZONS

    logging.getLogger("fev").setLevel(logging.WARNING)
    origins = pl.read_csv("origins.csv", try_parse_dates=True)
    found = []
    for task, horizon in zip(fev.Benchmark.from_yaml("benchmark.yaml").tasks, HORIZONS, strict=True):
        predictions, windows = [], []
        for number, window in enumerate(task.iter_windows(num_proc=1)):
            past, future = window.get_input_data()
            y = np.concatenate([*window.get_ground_truth()["target"]])
            exchanges = dict(zip(past["id"], past["exchange"], strict=True))
            own = window_quantiles(forecasts, origins, window=number, horizon=horizon, exchanges=exchanges)
            filled = np.where(np.isnan(own), np.nan_to_num(y)[:, None], own)
            predictions.append(as_predictions(filled))
            outcomes = [None if np.isnan(value) else float(value) for value in y]
            known = sorted(set(future.column_names) - {"id"})
            windows.append({"tickers": list(past["id"]), "outcomes": outcomes, "known": known})
        summary = task.evaluation_summary(predictions, model_name="own")
        found.append({"name": task.task_name, "MQL": summary["MQL"], "windows": windows})
    return found


if __name__ == "__main__":
    print(json.dumps(score(Path(sys.argv[1]), pl.read_parquet(sys.argv[2]))))
