"""250 nights on which files arrive with revisions of earlier rows, and each of them replayed at the end.

    python -m benchmarks.replays          some fifty minutes

Each night a file of the last sessions arrives, of some tickers with rows that were revised days later, and after an ex-date
on another adjustment basis. ``forecast-assets nightly`` runs on what is there. At the end every night is replayed with
``--as-of`` its date, in a store that has none of them, from all the files. A replay saw a later revision if its panel, its
features or its forecasts differ from what the night published. The control replays some nights without arrival times,
every file read as history: it has to see them.
"""

import argparse
import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.panel.demo import demo_panel
from forecast_assets.core.specs import DemoSpec
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import REVISION_WORTH
from forecast_assets_tests.helpers.arriving import arrive
from forecast_assets_tests.helpers.graph import Graph, environment
from tools.results import record

NIGHTS = 250
CONTROL_EVERY = 10
PANEL = ("raw_panel", "calendar_panel", "macro_series", "feature_panel", "windowed_tensors")
NIGHT = ("serving_model", "nightly_forecast")
MADE_ANEW = (*PANEL, "challenger", "nightly_forecast", "target_positions", "drift_checks")
SESSIONS_IN_A_FILE = 4
REVISED_SHARE = 0.5  # of the nights, with one to three revised rows
REVISED_DAYS = 20  # how far back
EX_DATES = {40: 0.99, 90: 0.5, 160: 0.995, 220: 2.0}  # night -> the factor of one ticker's history
PRICES = ["Opening Price", "High", "Low", "Closing Price"]
TOLERANCE = {"raw_panel": 0.0, "feature_panel": 1e-8, "nightly_forecast": 1e-6}


@dataclass(frozen=True)
class File:
    """What arrives on a night."""

    day: dt.date
    rows: pl.DataFrame
    revised: int = 0
    history: bool = False


def files(spec: DemoSpec, nights: int) -> Iterator[File]:
    """Yield the history before the first night, and then the file of each night."""
    rng = np.random.default_rng(0)
    truth = demo_panel(spec).with_columns(pl.col(name).round(4) for name in PRICES)
    days = truth["Date"].unique().sort().to_list()
    yield File(days[-nights - 1], truth.filter(pl.col("Date") <= days[-nights - 1]), history=True)
    tickers = truth["Ticker"].unique().sort().to_list()
    for night, day in enumerate(days[-nights:]):
        at = days.index(day)
        ex = (pl.col("Ticker") == tickers[night % len(tickers)]) & (pl.col("Date") < day)
        if night in EX_DATES:
            truth = truth.with_columns(
                pl.when(ex).then((pl.col(name) * EX_DATES[night]).round(4)).otherwise(name).alias(name)
                for name in PRICES
            )
        revised = pl.lit(False)
        count = int(rng.integers(1, 4)) if rng.random() < REVISED_SHARE else 0
        for _ in range(count):
            ticker, back = str(rng.choice(tickers)), int(rng.integers(1, REVISED_DAYS))
            row = (pl.col("Ticker") == ticker) & (pl.col("Date") == days[at - back])
            factor = 1 + 0.02 * rng.standard_normal()
            truth = truth.with_columns(
                pl.when(row).then((pl.col(name) * factor).round(4)).otherwise(name).alias(name) for name in PRICES
            )
            revised = revised | row
        recent = pl.col("Date").is_between(days[at - SESSIONS_IN_A_FILE + 1], day)
        yield File(day, truth.filter((pl.col("Date") <= day) & (recent | revised)), count)


def tables(graph: Graph, night: str) -> dict[str, pl.DataFrame]:
    """Return what a night published."""
    forecast = graph.table("nightly_forecast", night)
    return {"nightly_forecast": forecast} | {name: graph.table(name) for name in ("raw_panel", "feature_panel")}


def differ(now: pl.DataFrame, then: pl.DataFrame, tolerance: float) -> bool:
    """Return whether two tables differ by more than the tolerance anywhere."""
    if now.shape != then.shape or now.schema != then.schema:
        return True
    for name, kind in now.schema.items():
        if not kind.is_float():
            if not now[name].eq_missing(then[name]).all():
                return True
        else:
            apart = (now[name] - then[name]).abs()
            if (now[name].is_null() != then[name].is_null()).any() or (apart > tolerance).any():
                return True
    return False


def run(graph: Graph, select: tuple[str, ...], folder: Path | None, as_of: str | None = None) -> None:
    """Run some assets, as the command does."""
    if failures := graph.run(*select, panel=folder, as_of=as_of).failures:
        raise SystemExit(f"{as_of}: {failures[0].asset}: {failures[0].message}\n{failures[0].trace}")


def without_nights(made: Path, root: Path) -> Path:
    """Copy a store without what depends on the panel's files, but for the champion and what it was made from."""
    shutil.copytree(made / "store", root / "store", ignore=shutil.ignore_patterns(*MADE_ANEW))
    return root


def measure(nights: int, work: Path) -> dict[str, dict[str, Any]]:
    """Run the nights, replay them, and count the replays that differ."""
    spec = compose_settings("smoke", []).demo
    with Graph(work / "made") as graph:
        run(graph, (), None)
    folder = work / "files"
    folder.mkdir()
    saved: dict[str, dict[str, pl.DataFrame]] = {}
    days, revised = [], 0
    with Graph(without_nights(work / "made", work / "nights")) as graph:
        for file in files(spec, nights):
            file.rows.write_csv(folder / f"{file.day}.csv")
            came = dt.datetime.combine(file.day + dt.timedelta(days=1), dt.time(2), tzinfo=dt.UTC)
            arrive(graph.data, folder, came)
            if file.history:
                continue  # there is no night before the first file
            run(graph, (*PANEL, *NIGHT), folder)
            saved[str(file.day)] = tables(graph, str(file.day))
            days.append(str(file.day))
            revised += file.revised
            print(f"night {file.day}: {len(days)} of {nights}", flush=True)
        facts = graph.version("raw_panel").manifest.facts
        worth = pl.read_parquet(graph.version("raw_panel").path(REVISION_WORTH))
    seen = replay(work, "replays", days, saved, select=(*PANEL, *NIGHT), folder=folder)
    with environment(FORECAST_ARRIVED="history"):
        control = replay(work, "control", days[::CONTROL_EVERY], saved, select=PANEL[:4], folder=folder)
    detail = {"nights": len(days), "revised_rows": revised, "ex_dates": sum(night < nights for night in EX_DATES)}
    return {
        "replays_seeing_later_revisions": {
            "value": sum(any(found.values()) for found in seen.values()),
            **detail,
            "by_table": {name: sum(found[name] for found in seen.values()) for name in TOLERANCE},
            "tolerances": TOLERANCE,
        },
        "replays_without_arrivals_seeing_later_revisions": {
            "value": sum(any(found.values()) for found in control.values()),
            "nights": len(control),
        },
        "revisions_worth": {
            "value": facts["rows_revised_after_use"],
            "what": "rows revised after a night had used them; an EWMA forecast as known then and as known now",
            "by_horizon": worth.to_dicts(),
        },
    }


def replay(
    work: Path,
    name: str,
    days: list[str],
    saved: dict[str, dict[str, pl.DataFrame]],
    *,
    select: tuple[str, ...],
    folder: Path,
) -> dict[str, dict[str, bool]]:
    """Replay nights in a store of their own from all files; return by night which tables differ."""
    root = without_nights(work / "made", work / name)
    shutil.copytree(work / "nights" / "ledger", root / "ledger")
    found = {}
    with Graph(root) as graph:
        for day in days:
            run(graph, select, folder, as_of=day)
            own = [table for table in TOLERANCE if table != "nightly_forecast" or "nightly_forecast" in select]
            now = {table: graph.table(table, day if table == "nightly_forecast" else None) for table in own}
            found[day] = {table: differ(now[table], saved[day][table], TOLERANCE[table]) for table in own}
            print(f"{name} {day}: {found[day]}", flush=True)
    return found


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=NIGHTS, help="a trial of fewer is not recorded")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        figures = measure(options.nights, Path(work))
    figures["replays_seeing_later_revisions"]["minutes"] = round((time.perf_counter() - started) / 60, 1)
    for name, figure in figures.items():
        print(name, figure, flush=True)
    if options.nights == NIGHTS:
        record("replays", figures, command="python -m benchmarks.replays")


if __name__ == "__main__":
    main()
