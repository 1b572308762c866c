"""Checks of the evaluation: bootstrap coverage, shuffled targets, the simulation against vectorbt, time of the report.

    python -m benchmarks.evaluation                                            everything
    python -m benchmarks.evaluation --only bootstrap_coverage_low              one figure, merged into the file
    python -m benchmarks.evaluation --only bootstrap_coverage_low --scale 0.1  a trial, printed and not recorded

``--vectorbt`` names a Python that has vectorbt, in an environment of its own; ``--data-dir`` a data root with a
materialised graph (``report_seconds`` alone reads it).
"""

import argparse
import json
import math
import re
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from forecast_assets_tests.helpers.paths import PANEL_40
from tools.pages import DOCS, PAGES, markers, reports, section
from tools.results import ROOT, record

SESSIONS_PER_YEAR = 252.0
COVERAGE_SIMULATIONS, COVERAGE_SESSIONS, COVERAGE_SAMPLES = 500, 1650, 500
PROCESSES = {"weak": 0.05, "strong": 0.25}
"""Autoregression of the daily returns; both with GARCH(1,1) shocks."""

SHUFFLES = 20
TICKERS, DAYS = 557, 1650
ROUNDS = 3

Figures = dict[str, dict[str, Any]]


def measure_report(options: Namespace) -> Figures:
    """Measure the report of a finished store, derived again from its artefacts in this process, as `verify` does."""
    from forecast_assets.cli.report_problems import report_problems
    from forecast_assets.resources.store_io import StoreResource

    if options.data_dir is None:
        raise SystemExit("report_seconds: name a data root with a report by --data-dir")
    resource = StoreResource(data_dir=options.data_dir)
    facts = resource.store().current("backtest_report").manifest.facts
    started = time.perf_counter()
    problems = report_problems(resource.store(), resource.root())
    seconds = time.perf_counter() - started
    if problems:
        raise SystemExit(f"report_seconds: the report differs from its artefacts: {problems[0]}")
    return {
        "report_seconds": {
            "value": facts["seconds"],
            "derived_again_seconds": round(seconds, 2),
            "years": facts["years"],
        }
    }


def measure_coverage(options: Namespace) -> Figures:
    """Measure how often the 95 % interval of the Sharpe ratio covers the true one: AR(1) returns, GARCH(1,1) shocks."""
    from forecast_assets.core.evaluation.significance import sharpe_interval

    simulations = max(1, round(options.scale * COVERAGE_SIMULATIONS))
    shares = {}
    for name, rho in PROCESSES.items():
        inside = 0
        for seed in range(simulations):
            returns, true = simulated_returns(rho, sessions=COVERAGE_SESSIONS, rng=np.random.default_rng(seed))
            interval = sharpe_interval(
                returns,
                sessions_per_year=SESSIONS_PER_YEAR,
                samples=COVERAGE_SAMPLES,
                seed=COVERAGE_SIMULATIONS + seed,  # not the stream that made the returns
            )
            inside += interval.low <= true <= interval.high
        shares[name] = inside / simulations
        print(f"{name}: {inside} of {simulations}", flush=True)
    details = {"coverage": shares, "autoregression": PROCESSES, "simulations": simulations}
    return {"bootstrap_coverage_low": {"value": min(shares.values()), "highest": max(shares.values()), **details}}


def simulated_returns(rho: float, *, sessions: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Simulate returns (T,) of known annual Sharpe ratio: mean 4 bp, GARCH shocks of 1 % a day, autoregression ``rho``."""
    alpha, beta, variance, mean, burn = 0.08, 0.90, 1e-4, 4e-4, 500
    z = rng.standard_normal(sessions + burn)
    now, shock, deviation = variance, 0.0, np.empty(sessions + burn)
    last = 0.0
    for t in range(len(z)):
        now = variance * (1 - alpha - beta) + alpha * shock**2 + beta * now
        shock = math.sqrt(now) * z[t]
        last = rho * last + shock
        deviation[t] = last
    true = mean / math.sqrt(variance / (1 - rho**2)) * math.sqrt(SESSIONS_PER_YEAR)
    return mean + deviation[burn:], true


def measure_shuffled(options: Namespace) -> Figures:
    """Trade realised next-session returns, permuted across tickers within a day, as forecasts in a neutral book."""
    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.backtest.simulate import Terms, market_of, trade_forecasts
    from forecast_assets.core.scores.trading import sessions_per_year, sharpe
    from forecast_assets.core.specs import BacktestSpec

    panel = reference_panel()
    spec = BacktestSpec(horizon_sessions=1, smoothing=0.0)
    first = pl.date(2019, 1, 1)
    sharpes, truth = [], 0.0
    for seed in range(-1, max(1, round(options.scale * SHUFFLES))):
        forecasts = oracle_decisions(panel, first_test=first, shuffle=None if seed < 0 else seed)
        view = market_of(forecasts, panel, spec=spec)
        book = trade_forecasts(forecasts, Terms("oracle", view, spec, Costs(5.0))).daily
        per_year = sessions_per_year(book["date"].to_numpy())
        gross = sharpe(book["gross_return"].to_numpy(), sessions_per_year=per_year)
        if seed < 0:
            truth = gross
        else:
            sharpes.append(gross)
    mean = float(np.mean(sharpes))
    if truth < 3:
        raise SystemExit(
            f"the unshuffled targets earn a Sharpe ratio of {truth:.2f} only: the simulation does not trade them"
        )
    details = {"mean": mean, "standard_deviation": float(np.std(sharpes)), "seeds": len(sharpes), "unshuffled": truth}
    return {"shuffled_gross_sharpe_abs_mean": {"value": abs(mean), **details}}


def reference_panel() -> pl.DataFrame:
    """Return the 40-ticker panel as the simulation reads it: quoted days only, one segment, two regions."""
    if not PANEL_40.exists():
        raise SystemExit(f"{PANEL_40}: the reference panel is not there")
    return (
        pl.read_csv(PANEL_40, try_parse_dates=True)
        .rename({"Date": "date", "Ticker": "ticker", "Opening Price": "open", "Closing Price": "close"})
        .filter((pl.col("open") > 0) & (pl.col("close") > 0))
        .unique(["date", "ticker"], keep="first")
        .select(
            "date",
            "ticker",
            pl.col("open", "close").cast(pl.Float64),
            is_missing=pl.lit(False),
            segment=pl.lit(0),
            region=pl.when(pl.col("ticker").str.contains(".", literal=True))
            .then(pl.lit("Europe"))
            .otherwise(pl.lit("Americas")),
        )
        .sort("ticker", "date")
    )


def oracle_decisions(panel: pl.DataFrame, *, first_test: pl.Expr, shuffle: int | None) -> pl.DataFrame:
    """Decide on each quote by its realised open-to-open return as the location (``shuffle``: another ticker's)."""
    change = pl.col("open").log().diff().shift(-2).over("ticker", order_by="date")
    rows = panel.with_columns(y=change).drop_nulls("y").sort("date", "ticker")
    if shuffle is not None:
        order = pl.Series(np.random.default_rng(shuffle).random(rows.height))
        mixed = rows.select("date", "y", order=order).sort("date", "order")["y"]
        rows = rows.with_columns(y=mixed)
    return rows.filter(pl.col("date") >= pl.date(2018, 12, 1)).select(
        "date",
        "ticker",
        location="y",
        scale=pl.lit(0.02),
        sigma=pl.lit(0.02),
        split=pl.when(pl.col("date") < first_test).then(pl.lit("validation")).otherwise(pl.lit("test")),
    )


def measure_vectorbt(options: Namespace) -> Figures:
    """Time one strategy's accounting, ours and vectorbt's alternately; the final equity must agree."""
    from forecast_assets.core.backtest.accounting import keep_book
    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.backtest.market import Market

    if options.vectorbt is None:
        raise SystemExit("simulation_vs_vectorbt: name a Python that has vectorbt by --vectorbt")
    tickers, days, cost_bps = max(4, round(options.scale * TICKERS)), max(50, round(options.scale * DAYS)), 5.0
    rng = np.random.default_rng(0)
    price = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (days, tickers)), axis=0))
    target = rng.normal(0, 1, (days, tickers))
    target -= target.mean(axis=1, keepdims=True)
    target /= np.abs(target).sum(axis=1, keepdims=True)
    target[rng.random((days, tickers)) < 0.5] = np.nan  # no new order
    growth = np.concatenate([price[1:] / price[:-1], np.ones((1, tickers))])
    open_ = np.ones((days, tickers), dtype=bool)
    market = Market(
        dates=np.datetime64("2019-01-01") + np.arange(days),
        tickers=tuple(f"T{k:03}" for k in range(tickers)),
        region=np.zeros(tickers, dtype=np.intp),
        price=price,
        growth=growth,
        quoted=open_,
        tradable=open_,
        ended=~open_,
        left=~open_,
        close=price,
        rate=np.ones((days, tickers)),
        segment=np.zeros((days, tickers), dtype=np.int64),
        beta=np.ones((days, tickers)),
    )
    smoothing = np.zeros((days, tickers))

    def ours() -> float:
        accounts = keep_book(market, target, smoothing=smoothing, costs=Costs(cost_bps))
        return float(np.prod(1.0 + accounts.pnl.sum(axis=1) - accounts.cost.sum(axis=1)))

    final = ours()
    mine, theirs, other = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "orders.npz")
        np.savez(path, price=price, target=target, cost_bps=cost_bps)
        script = ROOT / "benchmarks" / "vectorbt_orders.py"
        for _ in range(ROUNDS):
            for _ in range(ROUNDS):
                started = time.perf_counter()
                ours()
                mine.append(time.perf_counter() - started)
            done = subprocess.run(
                [options.vectorbt, script, path, str(ROUNDS)], capture_output=True, text=True, check=True, cwd=folder
            )
            other = json.loads(done.stdout.splitlines()[-1])
            theirs += other["seconds"]
    if not math.isclose(final, other["final"], rel_tol=1e-6):
        raise SystemExit(f"simulation_vs_vectorbt: final equity {final} here, {other['final']} there")
    details = {
        "our_seconds": round(median(mine), 4),
        "vectorbt_seconds": round(median(theirs), 4),
        "final_equity": final,
        "final_equity_vectorbt": other["final"],
        "vectorbt": other["version"],
        "tickers": tickers,
        "days": days,
    }
    return {"simulation_vs_vectorbt": {"value": round(median(mine) / median(theirs), 3), **details}}


def measure_readme(_options: Namespace) -> Figures:
    """Count numbers of the results' page that are not in the committed metrics.

    They are those that no number or text of the file rounds to, and all numbers of a line that is not made from the file.
    """
    metrics, ablation = reports()
    begin, end = markers("results")
    block = (DOCS / PAGES["results"]).read_text(encoding="utf-8").partition(begin)[2].partition(end)[0].strip()
    unknown, count = unverified(block, [metrics, ablation])
    given = set(section(metrics, ablation).splitlines())
    foreign = "\n".join(line for line in block.splitlines() if line not in given)
    unknown += re.findall(r"\d+(?:\.\d+)?", foreign)
    return {"readme_numbers_unverified": {"value": len(unknown), "which": unknown, "numbers": count}}


def unverified(text: str, metrics: Any) -> tuple[list[str], int]:
    """Return numbers in ``text``, without code in backticks, that no value of ``metrics`` rounds to, and their total."""
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text).replace("\u2212", "-")
    tokens = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", plain)
    values, words = [], set()
    for value in leaves(metrics):
        if isinstance(value, str):
            words |= {token.lstrip("-") for token in re.findall(r"\d+(?:\.\d+)?", value)}
        else:
            values += [abs(value), abs(100 * value)]
    given = np.array(values)
    unknown = []
    for token in tokens:
        digits, number = len(token.partition(".")[2]), abs(float(token))
        near = np.abs(given - number) <= 0.5 * 10.0**-digits * (1 + 1e-9)
        if token.lstrip("-") not in words and not near.any():
            unknown.append(token)
    return unknown, len(tokens)


def leaves(value: Any) -> Iterator[str | float]:
    """Yield every text and number of a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield value


MEASUREMENTS: dict[str, Callable[[Namespace], Figures]] = {
    "report_seconds": measure_report,
    "bootstrap_coverage_low": measure_coverage,
    "shuffled_gross_sharpe_abs_mean": measure_shuffled,
    "simulation_vs_vectorbt": measure_vectorbt,
    "readme_numbers_unverified": measure_readme,
}


def main() -> None:
    """Measure the figures asked for, and merge them into ``benchmarks/results/evaluation.json``."""
    parser = argparse.ArgumentParser(description="Check the evaluation and time the report.")
    parser.add_argument("--only", metavar="FIGURE", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: a trial, which is not recorded")
    parser.add_argument("--data-dir", help="data root with a materialised graph")
    parser.add_argument("--vectorbt", metavar="PYTHON", help="a Python that has vectorbt")
    options = parser.parse_args()
    for name in options.only:
        figures = MEASUREMENTS[name](options)
        print(json.dumps(figures, indent=1), flush=True)
        if options.scale == 1.0:
            record("evaluation", figures, command=f"python -m benchmarks.evaluation --only {' '.join(options.only)}")


if __name__ == "__main__":
    main()
