"""Time and memory from raw CSV to features and tensors, as the panel grows.

    python -m benchmarks.panel                                        everything: about 40 minutes and 40 GB of disk
    python -m benchmarks.panel --only big_panel_peak_gib              one figure, merged into the file
    python -m benchmarks.panel --only big_panel_peak_gib --scale 0.01 a trial, printed and not recorded

Each size is one `forecast-assets run` of the panel's four stages in a process of its own, on a fresh store.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from forecast_assets_tests.helpers.graph import PANEL
from forecast_assets_tests.helpers.paths import FULL_PANEL
from tools.results import ROOT, record

GROWTH = (1, 2, 4, 8)
BIG_TICKERS, BIG_SESSIONS = 10_000, 7_500
SUFFIXES = ("", ".DE", ".PA", ".L")
SECTORS = ("Energy", "Financials", "Health Care", "Industrials", "Information Technology")
CHUNK_TICKERS = 100

Figures = dict[str, dict[str, Any]]


def measure_growth(scale: float) -> Figures:
    """Fit the slope of log time over log rows, raw CSV to feature_panel, at 1, 2, 4, 8 copies of the full panel.

    The time is the process's own, user and system, which other load on the machine hardly changes.
    """
    if not FULL_PANEL.exists():
        raise SystemExit(f"{FULL_PANEL}: the reference panel does not exist, so its growth can't be measured")
    panel = pl.read_parquet(FULL_PANEL).head(math.ceil(scale * 2_029_376))
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        for copies in GROWTH:
            path = Path(folder, "panel.csv")
            with path.open("wb") as file:
                for copy in range(copies):
                    renamed = panel.with_columns(Ticker=pl.format("{}{}", pl.lit(f"C{copy}" if copy else ""), "Ticker"))
                    renamed.write_csv(file, include_header=copy == 0)
            sizes.append({"copies": copies, **_run(path, Path(folder), PANEL[:-1])})
            print(json.dumps(sizes[-1]), flush=True)
    rows, seconds = (np.log([size[key] for size in sizes]) for key in ("rows", "cpu_seconds"))
    slope = float(np.polyfit(rows, seconds, 1)[0])
    per_million = [round(size["cpu_seconds"] / size["rows"] * 1e6, 2) for size in sizes]
    return {
        "ingest_growth_exponent": {
            "value": round(slope, 3),
            "cpu_seconds_per_million_rows": per_million,
            "sizes": sizes,
        }
    }


def measure_big(scale: float) -> Figures:
    """Measure the peak memory of a generated panel of 10,000 tickers x 7,500 sessions, from CSV to tensors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "panel.csv")
        started = time.perf_counter()
        write_big(path, tickers=max(len(SUFFIXES), round(scale * BIG_TICKERS)), sessions=BIG_SESSIONS)
        print(f"generated {path.stat().st_size / 2**30:.2f} GiB in {time.perf_counter() - started:.0f} s", flush=True)
        found = _run(path, Path(folder), PANEL)
    return {"big_panel_peak_gib": {"value": found.pop("peak_gib"), **found}}


MEASUREMENTS: dict[str, Callable[[float], Figures]] = {
    "ingest_growth_exponent": measure_growth,
    "big_panel_peak_gib": measure_big,
}


def write_big(path: Path, *, tickers: int, sessions: int) -> None:
    """Write random walks on the latest ``sessions`` sessions of four exchanges, a CSV sorted by ticker."""
    from forecast_assets.core.panel.sessions import sessions as calendar
    from forecast_assets.core.specs import PanelSpec
    from forecast_assets.resources.settings import compose_settings

    spec: PanelSpec = compose_settings("full", []).panel
    end = pl.date(2025, 7, 24)
    last = pl.select(end).item()
    days = {
        suffix: calendar(spec.exchanges[suffix], last.replace(year=last.year - 32), last).tail(sessions)
        for suffix in SUFFIXES
    }
    with path.open("wb") as file:
        for first in range(0, tickers, CHUNK_TICKERS):
            chunk = [_random_walk(code, days) for code in range(first, min(first + CHUNK_TICKERS, tickers))]
            pl.concat(chunk).write_csv(file, include_header=first == 0, float_precision=4)


def _random_walk(code: int, days: dict[str, pl.Series]) -> pl.DataFrame:
    rng = np.random.default_rng(code)
    suffix = SUFFIXES[code * len(SUFFIXES) // BIG_TICKERS % len(SUFFIXES)]
    dates = days[suffix]
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.015, len(dates))) * 0.3)
    name = f"{chr(65 + code // 2500 % 26)}{code:05d}{suffix}"
    return pl.DataFrame(
        {
            "Date": dates,
            "Ticker": [name] * len(dates),
            "Sector": [SECTORS[code % len(SECTORS)]] * len(dates),
            "Opening Price": close * np.exp(rng.normal(0, 0.004, len(dates))),
            "Closing Price": close,
            "Volume": rng.integers(10_000, 5_000_000, len(dates)),
        }
    )


def _run(panel: Path, folder: Path, stages: tuple[str, ...]) -> dict[str, Any]:
    """Run the stages on a fresh store; return seconds, peak memory and what each stage took."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        home = Path(data, "home")
        home.mkdir()
        (home / "dagster.yaml").write_bytes((ROOT / "dagster_home" / "dagster.yaml").read_bytes())
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FORECAST_")}
        command = [sys.executable, "-m", "forecast_assets.cli", "run", "--profile", "full", "--panel", str(panel)]
        command += ["--select", ",".join(stages)]
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=clean | {"FORECAST_DATA_DIR": data, "DAGSTER_HOME": str(home)}
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"{' '.join(command)} failed with status {status}")
        facts = {stage: _facts(Path(data), stage) for stage in stages}
    each = {stage: {"seconds": fact["seconds"], "peak_mib": fact["process_peak_mib"]} for stage, fact in facts.items()}
    return {
        "rows": facts["raw_panel"]["rows_read"],
        "tickers": facts["raw_panel"]["tickers"],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
        "stages": each,
    }


def _facts(data: Path, stage: str) -> dict[str, Any]:
    (manifest,) = Path(data, "store", stage).glob("all/*/manifest.json")
    facts: dict[str, Any] = json.loads(manifest.read_text())["facts"]
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(MEASUREMENTS), help="measure one figure")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the panel; below 1 nothing is recorded")
    given = parser.parse_args()
    for name in [given.only] if given.only else list(MEASUREMENTS):
        figures = MEASUREMENTS[name](given.scale)
        print(json.dumps(figures, indent=2))
        if given.scale == 1.0:
            command = "python -m benchmarks.panel" + (f" --only {given.only}" if given.only else "")
            print(record("panel", figures, command=command))


if __name__ == "__main__":
    main()
