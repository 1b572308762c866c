"""The latent announcement calendar: planted ones found again, what it costs, public facts, and a placebo.

    python -m benchmarks.announcements                     everything, some twenty minutes on one core
    python -m benchmarks.announcements --only planted      or cost, facts, placebo, silent

Needs the reference panel in ``../shared/data``, but for ``planted`` and ``silent``. A planted calendar is counted from eight
quarters after the panel's first row on, a date as found within a session. Cost is that of the stage itself: reading,
computing, leakage checks and writing, in a process that has built the exchanges' calendars, as the stages before it do.
Facts and the placebo are those of 2014 to 2018, before the first test year.
"""

import argparse
import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from forecast_assets.assets.announcements import announcement_rows
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.panel.announcements.columns import AFTERMATH
from forecast_assets.core.panel.announcements.columns import NAMES as COLUMNS
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import INFERRED, TENSORS
from forecast_assets_tests.helpers.announced import (
    announced,
    calendar,
    explained,
    infer,
    inferred_dates,
    share_within_a_session,
)
from forecast_assets_tests.helpers.graph import Graph, environment
from forecast_assets_tests.helpers.paths import FULL_PANEL, REFERENCE
from tools.results import record

PLANTED_TICKERS, SILENT_TICKERS = 100, 60
START, END = dt.date(2010, 1, 4), dt.date(2018, 12, 31)
SEEDS = range(3)
INNER = range(2014, 2019)
BEFORE = ("raw_panel", "calendar_panel")
STAGES = (*BEFORE, "announcements", "macro_series", "covariates", "feature_panel", "windowed_tensors")
LOOKBACK = 120
LARGE_GAPS = (8, 12, 15, 20)  # in units of their mean size
SHOWN = ("gap_size", "return_size", "unusual_volume_1", "announcement_1d")

Figures = dict[str, dict[str, Any]]
EXPECTED = tuple(f"announcement_variance_{h}d" for h in HORIZONS)


def planted_calendar() -> Figures:
    """Infer planted calendars, and panels without one."""
    since, end = START + dt.timedelta(days=8 * 91), END - dt.timedelta(days=50)
    counted = pl.col("date").is_between(since, end)
    recalls, precisions, shares, sizes, silent = [], [], [], [], []
    for seed in SEEDS:
        made = announced(tickers=PLANTED_TICKERS, start=START, end=END, seed=seed)
        rows = calendar(made.raw)
        table, inferred = infer(rows, rows_per_part=1_000_000)
        claimed = inferred_dates(inferred.events)
        recalls.append(share_within_a_session(made.dates.filter(counted), claimed, rows))
        precisions.append(share_within_a_session(claimed.filter(counted), made.dates, rows))
        shares.append(explained(table, since=since))
        sizes.append(table.join(made.dates.filter(counted), on=["ticker", "date"], how="semi"))
        none = announced(tickers=PLANTED_TICKERS, start=START, end=END, seed=seed, announce=False)
        without, _ = infer(calendar(none.raw), rows_per_part=1_000_000)
        silent.append(explained(without, since=since))
        print(json.dumps({"seed": seed, "recall": recalls[-1], "precision": precisions[-1]}), flush=True)
    planted = pl.concat(sizes)
    details = {
        "by_seed": {"recall": rounded(recalls), "precision": rounded(precisions)},
        "tickers": PLANTED_TICKERS,
        "years": f"{since.year} to {end.year}",
        "planted_gap_sizes": rounded([planted["gap_size"].quantile(q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)]),
        "expectation_explains": rounded(shares),
        "expectation_explains_without_reports": rounded(silent),
    }
    return {
        "planted_calendar_recall": {"value": round(float(np.mean(recalls)), 4), **details},
        "planted_calendar_precision": {"value": round(float(np.mean(precisions)), 4), **details},
    }


def rounded(values: list[Any]) -> list[float]:
    return [round(float(value), 4) for value in values]


def timed(graph: Graph, panel: Path) -> dict[str, Any]:
    """Run the panel's stages and return what the announcements' stage took."""
    for stage in BEFORE:
        require(graph, stage, panel=panel)
    started, cpu = time.perf_counter(), time.process_time()
    require(graph, "announcements", panel=panel)
    facts = graph.version("announcements").manifest.facts
    return {
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "wall_seconds": round(time.perf_counter() - started, 2),
        "extended": facts["extended"],
        "announcements": facts["announcements"],
    }


def require(graph: Graph, *stages: str, panel: Path) -> None:
    """Run stages. Raises SystemExit where one fails."""
    outcome = graph.run(*stages, panel=panel)
    if outcome.failures:
        raise SystemExit("\n".join(failed.message for failed in outcome.failures))


def cost(graph: Graph) -> Figures:
    """Run the stage on the full panel less three sessions, then with one more each time."""
    raw = pl.read_parquet(FULL_PANEL)
    days = raw["Date"].unique().sort()
    runs = []
    for missing in (3, 2, 1):
        part = raw.filter(pl.col("Date") <= days[-missing])
        part.write_parquet(file := graph.root / f"panel-{missing}.parquet")
        runs.append(timed(graph, file))
        print(json.dumps(runs[-1]), flush=True)
    whole, *increments = runs
    if whole["extended"] or not all(run["extended"] for run in increments):
        raise SystemExit(f"an update was computed anew, or the first run was not: {runs}")
    return {
        "announcements_cpu_seconds": {"value": whole["cpu_seconds"], "unit": "s", "rows": part.height, **whole},
        "announcements_increment_seconds": {
            "value": max(run["cpu_seconds"] for run in increments),
            "unit": "CPU s of the stage for one more session, leakage checks and writing included; while the cut stays",
            "runs": increments,
        },
    }


def facts(graph: Graph) -> Figures:
    """Compare what was inferred on the full panel with what is known of companies' reports."""
    version = graph.version("announcements")
    rows = announcement_rows(version)
    inner = pl.col("date").dt.year().is_in(list(INNER))
    american = ~pl.col("ticker").str.contains(".", literal=True)
    table = rows.before.filter(inner, american).select("ticker", "date", *SHOWN).collect()
    events = pl.read_parquet(version.path(INFERRED)).filter(inner, american)
    claimed = inferred_dates(events)
    between = claimed.select(days=pl.col("date").diff().over("ticker").dt.total_days()).drop_nulls()["days"]
    before = pl.col("announcement_1d").shift(1).over("ticker")
    ahead = table.sort("ticker", "date").with_columns(hazard=before).drop_nulls("hazard")
    top = ahead["hazard"].quantile(0.99)
    is_top = ahead["hazard"] >= top
    reported = (ahead["unusual_volume_1"] > 0.5) & (ahead["return_size"] > 4)
    sizes = {size: ahead["gap_size"] > size for size in LARGE_GAPS}
    share, with_volume = (
        {str(size): round(share_of(is_top, large & also), 4) for size, large in sizes.items()}
        for also in (ahead["gap_size"] > 0, reported)
    )
    return {
        "announcement_median_distance_days": {
            "value": float(np.median(between)),
            "quartiles": [between.quantile(0.25), between.quantile(0.75)],
            "share_of_whole_weeks": round(share_of(between % 7 == 0, between > 0), 4),
            "years": "2014 to 2018, US",
        },
        "announcements_per_ticker_and_year": {
            "value": round(claimed.height / (table.height / 252), 3),
            "years": "2014 to 2018, US",
        },
        "large_gaps_in_top_hazard": {
            "value": share["15"],
            "what": "share of overnight gaps above so many mean sizes whose session was in the top per cent by hazard",
            "by_size": share,
            "by_size_with_volume_and_a_large_return": with_volume,
            "years": "2014 to 2018, US",
        },
    }


def share_of(chosen: pl.Series, among: pl.Series) -> float:
    """Return the share of the rows ``among`` that are ``chosen``."""
    return chosen.filter(among & chosen).len() / max(chosen.filter(among).len(), 1)


def pinball_of_years(panel: PanelTensors, years: range) -> np.ndarray:
    """Return the summed pinball of the uncalibrated HAR-X forecasts by horizon, (H,)."""
    total = np.zeros(len(HORIZONS))
    for year in years:
        fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=LOOKBACK)
        forecast = fit_stats(panel, fold).harx(panel, fold.test).double().numpy()
        outcomes = panel.targets[fold.test].double().numpy()
        total += np.nansum(pinball(outcomes, forecast, levels=QUANTILES).mean(axis=2), axis=0)
    return total


def without(panel: PanelTensors, names: tuple[str, ...]) -> PanelTensors:
    """Return the panel with columns at zero, which a regression can't tell from its intercept."""
    features = panel.features.clone()
    features[:, [panel.feature_names.index(name) for name in names]] = 0.0
    return replace(panel, features=features)


def with_another_calendar(panel: PanelTensors) -> PanelTensors:
    """Return the panel with the announcements that are expected of the next ticker of the same exchange, on the same day.

    The size of an announcement stays the ticker's own. Where the other has no row on a day, none is expected.
    """
    features = panel.features.clone()
    place = {name: panel.feature_names.index(name) for name in panel.feature_names}
    ticker, date = panel.ticker.numpy().astype(np.int64), panel.date.numpy().astype(np.int64)
    exchange = panel.exchange.numpy().astype(np.int64)
    other = np.arange(len(panel.tickers))
    for number in np.unique(exchange):
        own = np.unique(ticker[exchange == number])
        other[own] = np.roll(own, len(own) // 2)  # the next ones are often of the same group of companies
    key = ticker << 32 | date
    order = np.argsort(key, kind="stable")
    wanted = other[ticker] << 32 | date
    at = np.clip(np.searchsorted(key[order], wanted), 0, len(key) - 1)
    found = torch.from_numpy(order[at])
    known = torch.from_numpy(key[order[at]] == wanted)
    jump = panel.features[:, place["announcement_jump"]].exp().clamp(min=1.0)
    for horizon in HORIZONS:
        expected = panel.features[found, place[f"announcement_{horizon}d"]].clamp(max=1.0)
        extra = torch.log1p(torch.where(known, expected, 0.0) / horizon * (AFTERMATH * jump**2 - 1.0))
        features[:, place[f"announcement_variance_{horizon}d"]] = extra
    return replace(panel, features=features)


def placebo(graph: Graph) -> Figures:
    """Measure what the expected announcements are worth to HAR-X, the ticker's own and another's."""
    with environment(FORECAST_MACRO=REFERENCE / "macro.csv"):
        for stage in STAGES:
            require(graph, stage, panel=FULL_PANEL)
    panel = PanelTensors.load(graph.version("windowed_tensors").path(TENSORS))
    none = pinball_of_years(without(panel, EXPECTED), INNER)
    own, other = pinball_of_years(panel, INNER) / none, pinball_of_years(with_another_calendar(panel), INNER) / none
    return {
        "placebo_calendar_gain": {
            "value": round(abs(float(other.mean()) - 1.0), 5),
            "unit": "absolute change of HAR-X's pinball, mean of the horizons' ratios, 2014 to 2018",
            "another_tickers_calendar": rounded((other - 1.0).tolist()),
            "own_calendar": rounded((own - 1.0).tolist()),
        }
    }


def silent(root: Path) -> Figures:
    """Measure what the announcements' columns are worth on a panel where nobody reports."""
    raw = announced(tickers=SILENT_TICKERS, start=START, end=END, announce=False).raw
    names = {
        "date": "Date",
        "ticker": "Ticker",
        "sector": "Sector",
        "open": "Opening Price",
        "high": "High",
        "low": "Low",
    }
    names |= {"close": "Closing Price", "volume": "Volume"}
    raw.select(pl.col(name).alias(header) for name, header in names.items()).write_csv(file := root / "silent.csv")
    with Graph(root, profile="full") as graph:
        for stage in STAGES:
            require(graph, stage, panel=file)
        panel = PanelTensors.load(graph.version("windowed_tensors").path(TENSORS))
    years = range(2015, 2019)
    ahead = pinball_of_years(panel, years) / pinball_of_years(without(panel, EXPECTED), years)
    every = pinball_of_years(panel, years) / pinball_of_years(without(panel, tuple(COLUMNS)), years)
    return {
        "silent_calendar_gain": {
            "value": round(abs(float(ahead.mean()) - 1.0), 5),
            "unit": "absolute change of HAR-X's pinball on a synthetic panel without reports, 2015 to 2018",
            "expected_announcements": rounded((ahead - 1.0).tolist()),
            "all_columns_of_announcements": rounded((every - 1.0).tolist()),
        }
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["planted", "cost", "facts", "placebo", "silent"])
    parser.add_argument(
        "--root", type=Path, help="where to keep the store of the full panel; a temporary folder if not given"
    )
    given = parser.parse_args()
    of_the_panel: dict[str, Callable[[Graph], Figures]] = {"cost": cost, "facts": facts, "placebo": placebo}
    chosen = [given.only] if given.only else ["planted", "silent", *of_the_panel]
    with tempfile.TemporaryDirectory() as temporary:
        root = given.root or Path(temporary) / "full"
        for name in chosen:
            if name == "planted":
                figures = planted_calendar()
            elif name == "silent":
                (own := Path(temporary) / "silent").mkdir()
                figures = silent(own)
            else:
                root.mkdir(parents=True, exist_ok=True)
                with Graph(root, profile="full") as graph:
                    figures = of_the_panel[name](graph)
            print(json.dumps(figures, indent=1))
            print(record("announcements", figures, command="python -m benchmarks.announcements"))


if __name__ == "__main__":
    main()
