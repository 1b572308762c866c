"""Time of one solution of the mean-risk book: 557 tickers in three regions, 1,000 scenarios, one thread.

    python -m benchmarks.mean_risk

Returns with a common factor and random edges; the median of nine, and the longest.
"""

import argparse
import json
import os
import statistics
import time

import numpy as np

from forecast_assets.core.backtest.mean_risk import Outlook, mean_risk_weights
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec
from tools.results import record

TICKERS, REGIONS, REPEATS = 557, 3, 9


def outlook(generator: np.random.Generator, scenarios: int) -> Outlook:
    """Return what is expected of the tickers over 20 sessions."""
    spread = generator.uniform(0.04, 0.12, (TICKERS, 1))
    common = 0.6 * generator.normal(size=scenarios)
    return Outlook(
        edge=generator.normal(0, 0.004, TICKERS),
        returns=spread * (common + 0.8 * generator.normal(size=(TICKERS, scenarios))),
        round_trip=np.full(TICKERS, 0.001),
        region=np.arange(TICKERS) % REGIONS,
        exposures=[spread[:, 0], generator.uniform(0.5, 1.5, TICKERS)],
    )


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    generator, rules, seconds = np.random.default_rng(0), MeanRiskSpec(use="beside"), []
    for _ in range(REPEATS):
        problem = outlook(generator, rules.scenarios)
        started = time.perf_counter()
        weights = mean_risk_weights(problem, spec=BacktestSpec(), rules=rules)
        seconds.append(time.perf_counter() - started)
        assert np.abs(weights).sum() > 0.1
    figure = {
        "value": round(statistics.median(seconds), 2),
        "unit": f"s, {TICKERS} tickers, {rules.scenarios:,} scenarios, one thread",
        "longest": round(max(seconds), 2),
    }
    print(json.dumps(figure))
    if not given.dry:
        print(record("mean_risk", {"mean_risk_seconds": figure}, command="python -m benchmarks.mean_risk"))


if __name__ == "__main__":
    main()
