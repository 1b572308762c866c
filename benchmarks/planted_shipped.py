"""Rank IC of the shipped profiles on raw prices with a planted next-day signal, beside a linear regression and the oracle;
and on the same prices without one.

    python -m benchmarks.planted_shipped                      demo and full, B2 and B4; about half an hour of one core
    python -m benchmarks.planted_shipped --profiles demo      one of them, printed and not recorded

``forecast_assets_tests.helpers.planted_panel`` makes the panel and runs the graph with the profile's own settings, without
the search. The share is that of the best network, on the test year, in the linear regression's IC. Without a signal nothing
may be found: the largest absolute IC of a network, in standard errors over the days, and how much of the learned location
its fits publish at each horizon.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from forecast_assets_tests.helpers.planted_panel import NETWORKS, STRENGTH, TICKERS, Found, best_share, shipped
from tools.results import record


def measured(profile: str, strength: float) -> Found:
    """Run the profile in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return shipped(profile, Path(folder), strength=strength)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", nargs="+", default=sorted(TICKERS), choices=sorted(TICKERS))
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    noise: dict[str, dict[str, Any]] = {}
    for profile in given.profiles:
        of = measured(profile, STRENGTH)
        found[profile] = {
            "share_of_linear": round(best_share(of.ic), 4),
            "best_network": max(NETWORKS, key=of.ic.__getitem__),
            "tickers": TICKERS[profile],
            "rank_ic": {name: round(value, 4) for name, value in of.ic.items()},
            "location_slopes": rounded(of.slopes),
        }
        of = measured(profile, 0.0)
        noise[profile] = {
            "largest_abs_t": round(max(abs(of.ic[name]) / of.error[name] for name in NETWORKS), 4),
            "rank_ic": {name: round(value, 4) for name, value in of.ic.items()},
            "standard_error": {name: round(value, 4) for name, value in of.error.items()},
            "location_slopes": rounded(of.slopes),
        }
        print(json.dumps({profile: found[profile], f"{profile}, noise": noise[profile]}), flush=True)
    if set(found) == set(TICKERS):
        weakest = min(each["share_of_linear"] for each in found.values())
        largest = max(each["largest_abs_t"] for each in noise.values())
        figures = {
            "planted_ic_share_shipped": {
                "value": weakest,
                "unit": "share of the linear regression's rank IC, the weaker profile",
                **found,
            },
            "noise_ic_abs_t": {
                "value": largest,
                "unit": "standard errors of a network's rank IC without a signal, the largest",
                "largest_slope": max(
                    s for of in noise.values() for fits in of["location_slopes"].values() for fit in fits for s in fit
                ),
                **noise,
            },
        }
        print(record("planted_shipped", figures, command="python -m benchmarks.planted_shipped"))


def rounded(slopes: dict[str, list[list[float]]]) -> dict[str, list[list[float]]]:
    """Return the slopes with three decimals."""
    return {name: [[round(slope, 3) for slope in fit] for fit in fits] for name, fits in slopes.items()}


if __name__ == "__main__":
    main()
