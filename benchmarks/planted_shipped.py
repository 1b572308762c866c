"""Rank IC of the shipped profiles on raw prices with a planted next-day signal, beside a linear regression and the oracle.

    python -m benchmarks.planted_shipped                      demo and full, B2 and B4; about twenty minutes of one core
    python -m benchmarks.planted_shipped --profiles demo      one of them, printed and not recorded

``forecast_assets_tests.helpers.planted_panel`` makes the panel and runs the graph with the profile's own settings, without
the search. The share is that of the best network, on the test year, in the linear regression's IC.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from forecast_assets_tests.helpers.planted_panel import NETWORKS, TICKERS, best_share, shipped_ic
from tools.results import record


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", nargs="+", default=sorted(TICKERS), choices=sorted(TICKERS))
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for profile in given.profiles:
        with tempfile.TemporaryDirectory() as folder:
            ic = shipped_ic(profile, Path(folder))
        best = max(NETWORKS, key=ic.__getitem__)
        found[profile] = {
            "share_of_linear": round(best_share(ic), 4),
            "best_network": best,
            "tickers": TICKERS[profile],
            "rank_ic": {name: round(value, 4) for name, value in ic.items()},
        }
        print(json.dumps({profile: found[profile]}), flush=True)
    if set(found) == set(TICKERS):
        weakest = min(measured["share_of_linear"] for measured in found.values())
        figure = {"value": weakest, "unit": "share of the linear regression's rank IC, the weaker profile", **found}
        command = "python -m benchmarks.planted_shipped"
        print(record("planted_shipped", {"planted_ic_share_shipped": figure}, command=command))


if __name__ == "__main__":
    main()
