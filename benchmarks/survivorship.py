"""Time of the report's ranges over delistings: 300 plantings on 557 tickers over seven years, 20 books.

    python -m benchmarks.survivorship

Random walks and random books that hold every ticker on every session, which is more than any book does. Measured on one
thread: the plantings, the books' returns and Sharpe ratios, and the coverage of three horizons; the median of three.
"""

import argparse
import datetime as dt
import json
import os
import statistics
import time

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.market import Market, market
from forecast_assets.core.backtest.survivorship import delisted_returns, delisted_sharpes
from forecast_assets.core.evaluation.delistings import delisted_coverage, planted
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import SurvivorshipSpec
from tools.results import record

TICKERS, YEARS, BOOKS, REPEATS = 557, 7, 20, 3
FIRST = dt.date(2001, 1, 1)


def panel(generator: np.random.Generator) -> pl.DataFrame:
    """Return random walks on weekdays, a year before the books begin with them."""
    days = np.busday_offset("2000-01-03", np.arange(261 * (YEARS + 1)), roll="forward").astype("datetime64[D]")
    close = 50 * np.exp(np.cumsum(generator.normal(0, 0.02, (TICKERS, len(days))), axis=1))
    rows = {
        "date": np.tile(days, TICKERS),
        "ticker": np.repeat([f"T{k:03d}" for k in range(TICKERS)], len(days)),
        "open": (close * np.exp(generator.normal(0, 0.005, close.shape))).ravel(),
        "close": close.ravel(),
    }
    return pl.DataFrame(rows).with_columns(
        pl.col("date").cast(pl.Date),
        is_missing=False,
        is_member=True,
        segment=pl.lit(0, dtype=pl.Int64),
        region=pl.lit("Americas"),
    )


def book(view: Market, generator: np.random.Generator) -> Simulation:
    """Return a book of random weights of every ticker on every session, trading all of them."""
    weight = generator.normal(0, 0.01, view.price.shape)
    pnl, cost = weight * (view.growth - 1.0), np.abs(weight) * 1e-4
    keys = {
        "date": pl.Series(np.repeat(view.dates, len(view.tickers))).cast(pl.Date),
        "ticker": list(view.tickers) * len(view.dates),
    }
    net = pl.DataFrame({"date": view.dates, "net_return": (pnl - cost).sum(axis=1)}).with_columns(
        pl.col("date").cast(pl.Date)
    )
    positions = pl.DataFrame({**keys, "weight": weight.ravel(), "pnl": pnl.ravel()})
    trades = pl.DataFrame({**keys, "cost": cost.ravel()})
    return Simulation(net, positions, trades, {}, {})


def forecasts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a band of two standard deviations around each close, with the outcome."""
    close = pl.col("close").log()
    return pl.concat(
        rows.select(
            *("date", "ticker"),
            horizon=pl.lit(h),
            split=pl.lit("test"),
            y=(close.shift(-h) - close).over("ticker"),
            q025=pl.lit(-0.04 * h**0.5),
            q975=pl.lit(0.04 * h**0.5),
        ).filter(pl.col("date") >= FIRST)
        for h in HORIZONS
    )


def once() -> dict[str, float]:
    """Return the seconds of each part."""
    generator, spec = np.random.default_rng(0), SurvivorshipSpec()
    rows = panel(generator)
    names = rows["ticker"].unique().sort().to_list()
    last = rows.select(pl.col("date").max()).item()
    view = market(rows, tickers=names, first=FIRST, last=last, execution="next_open", max_wait_sessions=5)
    held, made = book(view, generator), forecasts(rows)
    started = time.perf_counter()
    delistings = planted(rows, tickers=names, first=FIRST, spec=spec)
    planted_at = time.perf_counter()
    found = delisted_sharpes([(held.daily["date"], delisted_returns(held, view, delistings))])
    booked_at = time.perf_counter()
    covered = delisted_coverage(made, rows, delistings)
    covered_at = time.perf_counter()
    assert np.isfinite(found).all()
    assert np.isfinite(covered.after).all()
    return {
        "plantings": planted_at - started,
        "a_book": booked_at - planted_at,
        "coverage": covered_at - booked_at,
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    runs = [once() for _ in range(REPEATS)]
    totals = [run["plantings"] + BOOKS * run["a_book"] + run["coverage"] for run in runs]
    spec = SurvivorshipSpec()
    figure = {
        "value": round(statistics.median(totals), 1),
        "unit": f"s, {len(spec.rates)} rates x {spec.plantings} plantings, {TICKERS} tickers, {YEARS} years, {BOOKS} books",
        **{f"{part}_seconds": round(statistics.median(run[part] for run in runs), 2) for part in runs[0]},
    }
    print(json.dumps(figure))
    if not given.dry:
        print(record("survivorship", {"survivorship_seconds": figure}, command="python -m benchmarks.survivorship"))


if __name__ == "__main__":
    main()
