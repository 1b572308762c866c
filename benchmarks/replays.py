"""250 nights on which files arrive with revisions of earlier rows, and each of them replayed at the end.

    python -m benchmarks.replays          some forty minutes

Each night a file of the last sessions arrives, of some tickers with rows that were revised days later, and after an ex-date
on another adjustment basis. ``forecast-assets nightly`` runs on what is there. After a block of nights (each begins with
what is known then, as one file of history) every night of it is replayed with ``--as-of`` its date, in a store that has none
of them, from all files of the block. A replay saw a later revision if its panel, its features or its forecasts differ from
what the night published. The control replays some nights without arrival times, every file read as history: it has to see
them.
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
from forecast_assets_tests.helpers.graph import PANEL, Graph, environment
from tools.results import record

NIGHTS = 250
BLOCK = 50
CONTROL_EVERY = 10
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
    """Yield, before each block, what is known of the days before it, and then the file of each of its nights."""
    rng = np.random.default_rng(0)
    truth = demo_panel(spec).with_columns(pl.col(name).round(4) for name in PRICES)
    days = truth["Date"].unique().sort().to_list()
    tickers = truth["Ticker"].unique().sort().to_list()
    for night, day in enumerate(days[-nights:]):
        at = days.index(day)
        if night % BLOCK == 0:
            yield File(days[at - 1], truth.filter(pl.col("Date") < day), history=True)
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
    with Graph(work / "made") as graph:
        run(graph, (), None)
    stream = list(files(compose_settings("smoke", []).demo, nights))
    starts = [k for k, file in enumerate(stream) if file.history]
    blocks = [stream[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    found = []
    for block in blocks:
        folder = work / f"block {block[0].day}"
        found.append(measure_block(block, work / "made", folder))
        shutil.rmtree(folder)
    seen = {day: differs for each in found for day, differs in each.replays.items()}
    control = {day: differs for each in found for day, differs in each.control.items()}
    worth = pl.concat(each.worth for each in found)
    by_horizon = worth.group_by("horizon").agg(
        pl.sum("origins"), *((pl.col(name) * pl.col("origins")).sum() / pl.sum("origins") for name in worth.columns[2:])
    )
    return {
        "replays_seeing_later_revisions": {
            "value": sum(any(differs.values()) for differs in seen.values()),
            "nights": len(seen),
            "by_table": {name: sum(differs[name] for differs in seen.values()) for name in TOLERANCE},
            "tolerances": TOLERANCE,
            "revised_rows": sum(file.revised for file in stream),
            "ex_dates": sum(night < nights for night in EX_DATES),
        },
        "replays_without_arrivals_seeing_later_revisions": {
            "value": sum(any(differs.values()) for differs in control.values()),
            "nights": len(control),
        },
        "revisions_worth": {
            "value": sum(each.revised_after_use for each in found),
            "what": "rows revised after a night had used them; an EWMA forecast as known then and as known now",
            "by_horizon": by_horizon.sort("horizon").to_dicts(),
        },
    }


@dataclass(frozen=True)
class Block:
    """What a block of nights gave: night -> table -> whether its replay differs."""

    replays: dict[str, dict[str, bool]]
    control: dict[str, dict[str, bool]]
    worth: pl.DataFrame
    revised_after_use: int


def measure_block(block: list[File], made: Path, work: Path) -> Block:
    """Run the nights of a block one after the other, then replay each."""
    folder = work / "files"
    folder.mkdir(parents=True)
    saved: dict[str, dict[str, pl.DataFrame]] = {}
    with Graph(without_nights(made, work / "nights")) as graph:
        for file in block:
            file.rows.write_csv(folder / f"{file.day}.csv")
            came = dt.datetime.combine(file.day + dt.timedelta(days=1), dt.time(2), tzinfo=dt.UTC)
            arrive(graph.data, folder, came)
            if file.history:
                continue  # there is no night before the first file
            run(graph, (*PANEL, *NIGHT), folder)
            saved[str(file.day)] = tables(graph, str(file.day))
            print(f"night {file.day}", flush=True)
        raw = graph.version("raw_panel")
        worth, used = pl.read_parquet(raw.path(REVISION_WORTH)), raw.manifest.facts["rows_revised_after_use"]
    days = list(saved)
    replays = replay(made, work, "replays", days, saved, select=(*PANEL, *NIGHT))
    with environment(FORECAST_ARRIVED="history"):
        control = replay(made, work, "control", days[::CONTROL_EVERY], saved, select=PANEL[:4])
    return Block(replays, control, worth, int(used))


def replay(
    made: Path,
    work: Path,
    name: str,
    days: list[str],
    saved: dict[str, dict[str, pl.DataFrame]],
    *,
    select: tuple[str, ...],
) -> dict[str, dict[str, bool]]:
    """Replay nights in a store of their own from all files; return by night which tables differ."""
    root = without_nights(made, work / name)
    shutil.copytree(work / "nights" / "ledger", root / "ledger")
    found = {}
    with Graph(root) as graph:
        for day in days:
            run(graph, select, work / "files", as_of=day)
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
