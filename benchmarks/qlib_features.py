"""Fourteen factors of 800 stocks, 2007 to 2020 daily (qlib's own published task), against qlib's expression engine.

    python -m benchmarks.qlib_features --qlib .venv-qlib/bin/python
    (python3.11 -m venv .venv-qlib && .venv-qlib/bin/pip install pyqlib==0.9.7)

Both start from their own files (qlib's binary store, our Parquet) and end with a table in memory, one thread each, without
a cache. Prices are random walks in single precision, as qlib stores them; values have to agree.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from forecast_assets.core.panel.blocks import rolling_in_blocks
from forecast_assets.core.panel.features import number_rows
from forecast_assets.core.panel.sessions import sessions
from tools.results import ROOT, record

STOCKS, ROUNDS = 800, 5
FIRST, LAST = "2007-01-01", "2020-12-31"
FACTORS = {
    "kmid": "($close-$open)/$open",
    "klen": "($high-$low)/$open",
    "ret1": "$close/Ref($close,1)-1",
    "roc5": "Ref($close,5)/$close",
    "roc20": "Ref($close,20)/$close",
    "ma5": "Mean($close,5)/$close",
    "ma20": "Mean($close,20)/$close",
    "std5": "Std($close,5)/$close",
    "std20": "Std($close,20)/$close",
    "max20": "Max($high,20)/$close",
    "min20": "Min($low,20)/$close",
    "rsv20": "($close-Min($low,20))/(Max($high,20)-Min($low,20))",
    "vma5": "Mean($volume,5)/$volume",
    "vstd20": "Std($volume,20)/$volume",
}


def stock_panel() -> pl.DataFrame:
    """Return random walks on the sessions of New York, in single precision."""
    days = sessions("XNYS", pl.Series([FIRST]).str.to_date()[0], pl.Series([LAST]).str.to_date()[0])
    rng = np.random.default_rng(0)
    shape = (STOCKS, len(days))
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=1))
    opening = close * np.exp(rng.normal(0, 0.003, shape))
    columns = {
        "open": opening,
        "high": np.maximum(opening, close) * np.exp(np.abs(rng.normal(0, 0.002, shape))),
        "low": np.minimum(opening, close) * np.exp(-np.abs(rng.normal(0, 0.002, shape))),
        "close": close,
        "volume": rng.integers(1_000, 1_000_000, shape),
    }
    return pl.DataFrame(
        {
            "ticker": np.repeat([f"S{code:04d}" for code in range(STOCKS)], len(days)),
            "date": pl.concat([days] * STOCKS),
            "segment": np.zeros(STOCKS * len(days), dtype=np.int32),
            **{name: values.ravel().astype(np.float32) for name, values in columns.items()},
        }
    )


def write_qlib_store(panel: pl.DataFrame, folder: Path) -> None:
    """Write qlib's binary format: a calendar, the instruments, and per field the index of its first day and its values."""
    days = panel["date"].unique().sort()
    for name in ("calendars", "instruments", "features"):
        (folder / name).mkdir(parents=True)
    (folder / "calendars" / "day.txt").write_text("\n".join(str(day) for day in days) + "\n")
    lines = []
    for (ticker,), rows in panel.group_by("ticker", maintain_order=True):
        lines.append(f"{ticker}\t{days[0]}\t{days[-1]}")
        own = folder / "features" / str(ticker).lower()
        own.mkdir()
        for field in ("open", "high", "low", "close", "volume"):
            np.concatenate([[0.0], rows[field].to_numpy()]).astype("<f4").tofile(own / f"{field}.day.bin")
    (folder / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")


def ours(path: Path) -> pl.DataFrame:
    """Return the same factors from Parquet; windows at the start of a history are shorter, as in qlib."""
    rows = number_rows(pl.read_parquet(path)).with_columns(position=pl.col("row"))
    col, close = pl.col, pl.col("close")
    windows = {
        "mean5": close.rolling_mean(5, min_samples=1),
        "mean20": close.rolling_mean(20, min_samples=1),
        "std5": close.rolling_std(5, min_samples=1),
        "std20": close.rolling_std(20, min_samples=1),
        "high20": col("high").rolling_max(20, min_samples=1),
        "low20": col("low").rolling_min(20, min_samples=1),
        "volume5": col("volume").rolling_mean(5, min_samples=1),
        "volume_std20": col("volume").rolling_std(20, min_samples=1),
    }
    rows = rows.with_columns(col("open", "high", "low", "close", "volume").cast(pl.Float64))
    rows = rows.hstack(rolling_in_blocks(rows, windows, lead=19))

    def before(n: int) -> pl.Expr:
        return pl.when(col("row") >= n).then(close.shift(n))

    return (
        rows.lazy()
        .select(
            "ticker",
            "date",
            kmid=(close - col("open")) / col("open"),
            klen=(col("high") - col("low")) / col("open"),
            ret1=close / before(1) - 1,
            roc5=before(5) / close,
            roc20=before(20) / close,
            ma5=col("mean5") / close,
            ma20=col("mean20") / close,
            std5=col("std5") / close,
            std20=col("std20") / close,
            max20=col("high20") / close,
            min20=col("low20") / close,
            rsv20=(close - col("low20")) / (col("high20") - col("low20")),
            vma5=col("volume5") / col("volume"),
            vstd20=col("volume_std20") / col("volume"),
        )
        .collect()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qlib", required=True, help="a Python that has pyqlib")
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    if os.environ.get("POLARS_MAX_THREADS") != "1":  # read when polars is imported
        again = [sys.executable, "-m", "benchmarks.qlib_features", *sys.argv[1:]]
        single = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        raise SystemExit(subprocess.run(again, cwd=ROOT, env=single, check=False).returncode)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        panel = stock_panel()
        panel.write_parquet(folder / "panel.parquet")
        write_qlib_store(panel, folder / "qlib")
        (folder / "fields.json").write_text(json.dumps(FACTORS))
        script = Path(__file__).with_name("qlib_expressions.py")
        command = [
            given.qlib,
            str(script),
            str(folder / "qlib"),
            str(folder / "fields.json"),
            str(folder / "out.parquet"),
        ]
        seconds: dict[str, list[float]] = {"ours": [], "qlib": []}
        for round_ in range(ROUNDS):
            started = time.perf_counter()
            mine = ours(folder / "panel.parquet")
            seconds["ours"].append(time.perf_counter() - started)
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            seconds["qlib"].append(float(done.stdout.split("seconds ")[1].split()[0]))
            print(f"round {round_ + 1}: ours {seconds['ours'][-1]:.2f} s, qlib {seconds['qlib'][-1]:.1f} s", flush=True)
        apart = compare(mine, pl.read_parquet(folder / "out.parquet"))
    figure = {
        "value": round(median(a / b for a, b in zip(*seconds.values(), strict=True)), 4),
        "ours_seconds": round(median(seconds["ours"]), 3),
        "qlib_seconds": round(median(seconds["qlib"]), 2),
        "rows": panel.height,
        "factors": FACTORS,
        "largest_relative_difference": apart,
        "threads": 1,
    }
    print(json.dumps(figure, indent=1))
    if not given.dry:
        command_line = "python -m benchmarks.qlib_features --qlib PYTHON"
        print(record("qlib_features", {"features_vs_qlib": figure}, command=command_line))


def compare(mine: pl.DataFrame, theirs: pl.DataFrame) -> float:
    """Return the largest difference relative to the values. Raises SystemExit where it exceeds single precision."""
    theirs = theirs.sort("instrument", "datetime")
    worst = 0.0
    for name in FACTORS:
        left, right = mine[name].to_numpy(), theirs[name].cast(pl.Float64).to_numpy()
        if len(left) != len(right) or (np.isnan(left) != np.isnan(right)).any():
            raise SystemExit(f"{name}: defined on other rows than in qlib")
        apart = float(np.nanmax(np.abs(left - right)) / np.nanmax(np.abs(right)))
        worst = max(worst, apart)
    if worst > 1e-4:
        raise SystemExit(f"factors differ from qlib's by {worst:.1e}")
    return worst


if __name__ == "__main__":
    main()
