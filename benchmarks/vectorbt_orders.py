"""Time vectorbt's ``Portfolio.from_orders`` on given targets and prices; run by a Python that has vectorbt.

    python vectorbt_orders.py orders.npz rounds

``orders.npz``: price (T, N), target (T, N) weights with NaN for no order, cost_bps. Prints the seconds of each round
(the first, which compiles, is left out) and the final value of a portfolio that began with 1.
"""

import json
import sys
import time

import numpy as np
import vectorbt as vbt  # type: ignore[import-not-found]


def trade(price: np.ndarray, target: np.ndarray, cost_bps: float) -> float:
    """Return the final value. Sells come first within a row, so that there is cash for the purchases."""
    portfolio = vbt.Portfolio.from_orders(
        close=price,
        size=target,
        size_type="targetpercent",
        price=price,
        fees=cost_bps * 1e-4,
        init_cash=1.0,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        min_size=0.0,
        freq="D",
    )
    return float(portfolio.final_value())


def main() -> None:
    """Time the rounds and print the result as JSON."""
    orders = np.load(sys.argv[1])
    arguments = orders["price"], orders["target"], float(orders["cost_bps"])
    final = trade(*arguments)
    seconds = []
    for _ in range(int(sys.argv[2])):
        started = time.perf_counter()
        trade(*arguments)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "final": final, "version": vbt.__version__}))


if __name__ == "__main__":
    main()
