"""Time and memory of joint scenarios: 10,000 paths of 557 tickers over 20 sessions, on one thread.

    python -m benchmarks.scenarios

The past is 520 days of scores with a common factor, a fifth of the tickers listed half-way; what it holds matters to neither
time nor memory. Measured from the scores to the paths, pooling included, in a process of its own: the median of three.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.joint.past import PastScores
from forecast_assets.core.joint.scenarios import LONGEST, scenario_paths, template
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets_tests.helpers.scores import normal_quantiles
from tools.results import record

TICKERS, DAYS, SECTORS, REPEATS = 557, 520, 11, 3
SPEC = ScenarioSpec(scenarios=10_000, past_days=500)
ONE = "--one"


def past(generator: np.random.Generator) -> PastScores:
    """Return scores that are all known."""
    shape = (DAYS, TICKERS, len(HORIZONS))
    common = generator.normal(size=(DAYS, 1, len(HORIZONS)))
    scores = (0.6 * common + 0.8 * generator.normal(size=shape)).astype(np.float32)
    scores[: DAYS // 2, : TICKERS // 5] = np.nan
    days = np.datetime64("2015-01-01") + np.arange(DAYS)
    return PastScores(days, scores, np.broadcast_to((days + 1)[:, None, None], shape))


def once() -> dict[str, float]:
    """Make the paths; return the seconds and the peak of memory beyond what the process needed before."""
    generator = np.random.default_rng(0)
    scores = past(generator)
    sigma = generator.uniform(0.01, 0.03, size=(TICKERS, 1)) * np.sqrt(HORIZONS)
    quantiles = normal_quantiles(np.zeros_like(sigma), sigma)
    assert quantiles.shape == (TICKERS, len(HORIZONS), len(QUANTILES))
    started = time.perf_counter()
    paths = scenario_paths(quantiles, template(scores, sectors=np.arange(TICKERS) % SECTORS, spec=SPEC), spec=SPEC)
    seconds = time.perf_counter() - started
    assert paths.shape == (TICKERS, LONGEST, SPEC.scenarios)
    return {"seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    parser.add_argument(ONE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(once()))
        return
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "benchmarks.scenarios", ONE]
    runs = [
        json.loads(subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=True).stdout)
        for _ in range(REPEATS)
    ]
    seconds = [run["seconds"] for run in runs]
    figure = {
        "value": round(statistics.median(seconds), 2),
        "unit": f"s, {SPEC.scenarios:,} paths of {TICKERS} tickers over {LONGEST} sessions, one thread",
        "runs": [round(value, 2) for value in seconds],
        "peak_gib": round(max(run["peak_gib"] for run in runs), 3),
    }
    print(json.dumps(figure))
    if not given.dry:
        print(record("scenarios", {"scenario_seconds": figure}, command="python -m benchmarks.scenarios"))


if __name__ == "__main__":
    main()
