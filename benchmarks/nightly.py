"""A night of the whole reference panel, and a year of replayed nights.

    python -m benchmarks.nightly --data data --panel ../shared/data/panel.parquet      a night; some ten minutes
    python -m benchmarks.nightly --replay                                             250 nights of the synthetic panel

A night: the store below ``--data`` holds a finished walk-forward of the panel (full profile) and is not written to. Two
nights before the panel's last one, whose tables the store may already hold, are run on a copy: the first makes a champion
and tables to extend, the second is timed as ``forecast-assets nightly``, in a process of its own.

The replay: each session of the smoke profile's last year, one after the other, from a panel that ends with the session's
week. A session is right if it has one committed night whose forecasts of that day are within 1e-6 of those of the
walk-forward, which read the whole panel.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import PANEL
from tools.results import record

REPLAYED = 250
NIGHT = ("serving_model", "nightly_forecast")
ROUNDS = 5


def night(data: Path, panel: Path, *, keep: Path | None) -> dict[str, dict[str, Any]]:
    """Measure minutes and memory of the panel's last night but one, and seconds to forecast every ticker."""
    days = pl.scan_parquet(panel).select(pl.col("Date").unique().sort()).collect().to_series()
    with nullcontext(keep) if keep else tempfile.TemporaryDirectory(dir=data.parent) as folder:
        root = Path(folder) / "data"
        shutil.copytree(
            data / "store", root / "store", copy_function=os.link, ignore=shutil.ignore_patterns("raw_panel")
        )
        run(root, panel, as_of=str(days[-3]))
        started = time.perf_counter()
        run(root, panel, as_of=str(days[-2]))
        minutes = (time.perf_counter() - started) / 60
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # the larger of the two nights
        store = Store(root / "store")
        facts = store.current("serving_model").manifest.facts
        return {
            "nightly_minutes": {"value": round(minutes, 2), "night": str(days[-2]), "seconds": stage_seconds(store)},
            "nightly_peak_gib": {"value": round(peak, 3)},
            "forecast_all_seconds": forecast_all(store),
            "export_parity_max_abs_diff": {
                "value": facts["checks"]["reproduces_the_walk_forward"]["metadata"]["max_abs_diff"],
                "compared": "the members' own code, the traced binary, the exported program, and for a fold's own fits "
                "what the walk-forward published",
            },
        }


def run(root: Path, panel: Path, *, as_of: str) -> None:
    """One ``forecast-assets nightly``."""
    command = [sys.executable, "-m", "forecast_assets.cli", "nightly", "--panel", str(panel), "--as-of", as_of]
    home = root.parent / "dagster_home"
    home.mkdir(exist_ok=True)
    environment = {"DAGSTER_HOME": str(home), "FORECAST_PROFILE": "full", "FORECAST_DATA_DIR": str(root)}
    subprocess.run(command, env={**os.environ, **environment, "WANDB_MODE": "disabled"}, check=True)


def stage_seconds(store: Store) -> dict[str, float]:
    """Return the seconds of each stage's last version."""
    assets = (*PANEL, "challenger", *NIGHT, "target_positions", "drift_checks")
    return {asset: store.current(asset, store.slots(asset)[-1]).manifest.facts["seconds"] for asset in assets}


def forecast_all(store: Store) -> dict[str, Any]:
    """Measure seconds from an open bundle to the calibrated quantiles of every live ticker."""
    import datetime as dt

    from forecast_assets.assets.nightly_forecast import latest_origins
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.store.artefact_files import TENSORS

    bundle = Bundle.open(store.current("serving_model"))
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    last = dt.date.fromisoformat(store.partitions("nightly_forecast")[-1])
    rows = latest_origins(panel, last, lookback=bundle.card.lookback)
    seconds = []
    for _ in range(ROUNDS + 1):  # the first one also compiles
        started = time.perf_counter()
        bundle.forecast(panel, rows)
        seconds.append(time.perf_counter() - started)
    return {"value": round(statistics.median(seconds[1:]), 3), "first": round(seconds[0], 3), "tickers": len(rows)}


def replay(sessions: int) -> dict[str, Any]:
    """Count sessions of the last year whose night is missing, committed twice or differs from the walk-forward."""
    from forecast_assets_tests.helpers.graph import Graph

    with tempfile.TemporaryDirectory() as folder, Graph(Path(folder)) as graph:
        outcome = graph.run()
        if outcome.failures:
            raise SystemExit(outcome.failures[0].message)
        panel = graph.root / "raw" / "demo_panel.csv"
        expected = graph.table("ensemble", "2019").filter(pl.col("split") == "test")
        days = graph.table("calendar_panel").filter(~pl.col("is_missing"))["date"].unique().sort()
        days = days.filter(days.dt.year() == 2019)[-sessions:]
        for asset in ("raw_panel", "challenger", "nightly_forecast", "target_positions", "drift_checks"):
            shutil.rmtree(graph.root / "store" / asset)
        started = time.perf_counter()
        weeks = pl.DataFrame({"day": days}).group_by_dynamic("day", every="1w").agg(last=pl.col("day").max())["last"]
        for cut in [days[0], *weeks]:  # no night precedes the first one, so it has none to make up for
            failures = graph.run(*PANEL, *NIGHT, panel=panel, as_of=str(cut)).failures
            print(f"{cut}: {len(graph.store.partitions('nightly_forecast'))} of {len(days)} nights", flush=True)
            if failures:
                raise SystemExit(failures[0].message)
        wrong = [day for day in map(str, days) if not is_right(graph.store, day, expected)]
        return {
            "value": len(wrong) + len(set(graph.store.partitions("nightly_forecast")) - set(map(str, days))),
            "sessions": len(days),
            "wrong": wrong,
            "tickers": expected["ticker"].n_unique(),
            "minutes": round((time.perf_counter() - started) / 60, 1),
        }


def is_right(store: Store, day: str, expected: pl.DataFrame) -> bool:
    """Return whether the day has one committed night, with the walk-forward's forecast origins and quantiles."""
    if len(store.versions("nightly_forecast", day)) != 1:
        return False
    of_day = pl.col("date") == pl.lit(day).str.to_date()
    own = pl.read_parquet(store.current("nightly_forecast", day).path(TABLE)).filter(of_day)
    both = own.join(expected.filter(of_day), on=["date", "ticker", "horizon"], suffix="_expected")
    if not both.height == own.height == expected.filter(of_day).height:
        return False
    return all(np.abs((both[q] - both[f"{q}_expected"]).to_numpy()).max(initial=0.0) <= 1e-6 for q in QUANTILE_COLUMNS)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--keep", type=Path, help="folder, on the same disk, for the copy; kept for other benchmarks")
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--sessions", type=int, default=REPLAYED, help="a trial of fewer is not recorded")
    options = parser.parse_args()
    if options.replay:
        figures = {"replay_sessions_wrong": replay(options.sessions)}
        command = "python -m benchmarks.nightly --replay"
    else:
        figures = night(options.data.absolute(), options.panel.absolute(), keep=options.keep)
        command = "python -m benchmarks.nightly --data data --panel ../shared/data/panel.parquet"
    for name, figure in figures.items():
        print(name, figure, flush=True)
    if options.sessions == REPLAYED:
        record("nightly", figures, command=command)


if __name__ == "__main__":
    main()
