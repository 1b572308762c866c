"""Cost of the rolling correlation graph of the reference panel: seconds and memory for all of it, and for one origin.

    python -m benchmarks.graph                one thread, recorded
    python -m benchmarks.graph --tickers 50   a trial, printed and not recorded

``graph_seconds`` is the graph of every row, 8 neighbours over 60 sessions, tickers on their own exchanges; ``peak_mib`` is
the growth of the process meanwhile, the graph included. ``graph_decision_ms``: the edges into the 120 sessions of one
window, as the service finds them for a request, with the panel's price histories loaded. Both are the process's own time
on one thread, which other load on the machine hardly changes.
"""

import argparse
import json
import resource
import time
from typing import Any

import numpy as np
import polars as pl
import torch

from forecast_assets.core.models.catalogue import GraphSpec
from forecast_assets.core.windows.graph import Correlations
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.paths import FULL_PANEL
from tools.results import record

WINDOW = 120
SPEC = GraphSpec(observed=("log_return",), known=())


def reference_panel(tickers: int | None) -> PanelTensors:
    """Return the closes of the reference panel as tensors, quotes on days without a session included."""
    if not FULL_PANEL.exists():
        raise SystemExit(f"{FULL_PANEL}: the reference panel does not exist")
    table = pl.read_parquet(FULL_PANEL).select("Date", "Ticker", close=pl.col("Closing Price").cast(pl.Float64))
    kept = table["Ticker"].unique().sort().to_list()[:tickers]
    table = table.filter(pl.col("Ticker").is_in(kept), pl.col("close") > 0).sort("Ticker", "Date")
    of_suffix = panel_spec().exchanges
    home = {name: of_suffix["." + name.rpartition(".")[2] if "." in name else ""] for name in kept}
    exchanges = sorted(set(home.values()))
    change = table.select(pl.col("close").log().diff().over("Ticker").fill_null(float("nan")))["close"]
    code = table["Ticker"].replace_strict(kept, range(len(kept)), return_dtype=pl.Int32)
    exchange = table["Ticker"].replace_strict(
        kept, [exchanges.index(home[name]) for name in kept], return_dtype=pl.Int32
    )
    rows = table.height
    starts = torch.from_numpy((code != code.shift(1).fill_null(-1)).to_numpy().copy())
    nothing = torch.zeros(rows, dtype=torch.int32)
    return PanelTensors(
        features=torch.from_numpy(change.to_numpy().copy()).float()[:, None],
        targets=torch.zeros(rows, 3),
        scale=torch.zeros(rows),
        date=torch.from_numpy(table["Date"].cast(pl.Int32).to_numpy().copy()),
        label_end=nothing,
        ticker=torch.from_numpy(code.to_numpy().copy()),
        sector=nothing,
        exchange=torch.from_numpy(exchange.to_numpy().copy()),
        observed=torch.ones(rows, dtype=torch.bool),
        member=torch.ones(rows, dtype=torch.bool),
        segment_start=starts,
        run_length=nothing,
        feature_names=("log_return",),
        tickers=tuple(kept),
        sectors=("",),
        exchanges=tuple(exchanges),
    )


def measure(tickers: int | None) -> dict[str, dict[str, Any]]:
    """Time the graph of all rows and that of one window."""
    panel = reference_panel(tickers)
    Correlations(panel, SPEC.graph)  # calendars are built once per process, at the first use
    before = _peak_mib()
    started = time.process_time()
    finder = Correlations(panel, SPEC.graph)
    graph = finder.of(torch.arange(panel.rows))
    seconds = time.process_time() - started
    last = int(torch.nonzero(panel.ticker == 0).max())
    window, waits = torch.arange(last - WINDOW + 1, last + 1), []
    for _ in range(10):
        begun = time.process_time()
        finder.of(window)
        waits.append(1e3 * (time.process_time() - begun))
    detail = {
        "tickers": len(panel.tickers),
        "exchanges": len(panel.exchanges),
        "rows": panel.rows,
        "edges": int((graph.neighbour >= 0).sum()),
        "median_strongest_correlation": round(float(graph.weight[:, 0].abs()[graph.neighbour[:, 0] >= 0].median()), 3),
        "peak_mib": round(_peak_mib() - before),
    }
    return {
        "graph_seconds": {"value": round(seconds, 1), "unit": "CPU-seconds on one thread", **detail},
        "graph_decision_ms": {"value": round(float(np.median(waits)), 1), "unit": f"CPU-ms for {WINDOW} sessions"},
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickers", type=int, help="use only this many tickers")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(given.tickers)
    print(json.dumps(figures, indent=1))
    if given.tickers is None:
        print(record("graph", figures, command="python -m benchmarks.graph"))


if __name__ == "__main__":
    main()
