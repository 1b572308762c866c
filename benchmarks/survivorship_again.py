"""How far a book with planted delistings is from the same book simulated again on prices that have them.

    python -m benchmarks.survivorship_again --data-dir data/demo

The report leaves what is held of all other tickers at the same fractions of equity. Simulated again, a neutral book is made
neutral without the tickers that went, and what they had is shared out. Of a finished walk-forward: the ensemble's book, 30
plantings at 4 % a year, each delisted ticker trading once more at 30 % of its last close and never after.
"""

import argparse
import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from forecast_assets.assets.backtest_report import TRADING_COLUMNS, BacktestInputs
from forecast_assets.assets.fold.delistings import delistings_of
from forecast_assets.cli.report_problems import opened
from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import join_decisions
from forecast_assets.core.backtest.market import Market
from forecast_assets.core.backtest.simulate import Terms, market_of, trade_forecasts
from forecast_assets.core.backtest.strategies import MODEL
from forecast_assets.core.backtest.survivorship import delisted_returns, delisted_sharpes
from forecast_assets.core.scores.trading import sessions_per_year, sharpe
from forecast_assets.core.specs import BacktestSpec, SurvivorshipSpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.asset_keys import BACKTEST_REPORT
from forecast_assets.store.store import Store
from tools.results import record

RECOVERY = 0.3
PLANTED = SurvivorshipSpec(rates=(0.04,), recoveries=(RECOVERY,), plantings=30)


def delisted(panel: pl.DataFrame, last: dict[str, date]) -> pl.DataFrame:
    """Return a calendar panel in which each ticker's next session after its last is at the recovery, and its end."""
    parts = [panel.filter(~pl.col("ticker").is_in(list(last)))]
    for ticker, day in last.items():
        own = panel.filter(pl.col("ticker") == ticker).sort("date")
        kept = own.filter(pl.col("date") <= day)
        paid = RECOVERY * kept["close"][-1]
        final = own.filter(pl.col("date") > day).head(1)
        parts += [
            kept,
            final.with_columns(
                open=pl.lit(paid), close=pl.lit(paid), is_missing=pl.lit(False), segment=kept["segment"][-1]
            ),
        ]
    return pl.concat([part.select(panel.columns).cast(panel.schema) for part in parts]).sort("ticker", "date")


def simulated(decisions: pl.DataFrame, panel: pl.DataFrame, spec: BacktestSpec) -> tuple[Simulation, Market]:
    """Return the book of the decisions, and its market."""
    view = market_of(decisions, panel, spec=spec)
    return trade_forecasts(decisions, Terms(MODEL, view, spec, Costs.of(spec.cost_bps, panel))), view


def distances(inputs: BacktestInputs, panel: pl.DataFrame, spec: BacktestSpec) -> dict[str, float]:
    """Return the distance of the Sharpe ratios of one kind of book, and both medians."""
    own = pl.concat(pl.read_parquet(inputs.ensemble[year].path(TABLE)) for year in inputs.years)
    gone = delistings_of(inputs.calendar_panel, panel, own, spec=spec, survivorship=PLANTED)
    models = inputs.models()
    decisions = join_decisions({year: of.decisions(MODEL, spec.horizon_sessions) for year, of in models.items()})
    book, view = simulated(decisions, panel, spec)
    reported = delisted_sharpes([(book.daily["date"], delisted_returns(book, view, gone))])[0, :, 0]
    again = []
    for last in gone.last[0]:
        ended = {
            ticker: day.astype(object) for ticker, day in zip(gone.tickers, last, strict=True) if not np.isnat(day)
        }
        ends = pl.DataFrame(
            {"ticker": list(ended), "last": list(ended.values())}, schema={"ticker": pl.String, "last": pl.Date}
        )
        alive = decisions.join(ends, on="ticker", how="left").filter(
            pl.col("last").is_null() | (pl.col("date") <= pl.col("last"))
        )
        net = simulated(alive.drop("last"), delisted(panel, ended), spec)[0].daily
        per_year = sessions_per_year(net["date"].to_numpy())
        again.append(sharpe(net["net_return"].to_numpy(), sessions_per_year=per_year))
    apart = np.abs(reported - np.array(again))
    return {
        "mean_distance": round(float(apart.mean()), 3),
        "largest_distance": round(float(apart.max()), 3),
        "median_reported": round(float(np.median(reported)), 3),
        "median_again": round(float(np.median(again)), 3),
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="data root of a finished walk-forward")
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    store = Store(given.data_dir / "store")
    report = store.current(BACKTEST_REPORT)
    inputs = opened(BacktestInputs, store, report)
    panel = pl.read_parquet(inputs.calendar_panel.path(TABLE)).select(TRADING_COLUMNS)
    spec = BacktestSpec.model_validate(report.manifest.config["backtest"])
    found = {
        book: distances(inputs, panel, spec.model_copy(update={"book": book})) for book in ("neutral", "directional")
    }
    facts = inputs.raw_panel.manifest.facts
    figure = {
        "value": found["neutral"]["mean_distance"],
        "unit": f"Sharpe ratio, mean distance over {PLANTED.plantings} plantings, neutral book, {facts['tickers']} tickers",
        **{f"{book}_{name}": value for book, scores in found.items() for name, value in scores.items()},
    }
    print(json.dumps(figure))
    if not given.dry:
        command = "python -m benchmarks.survivorship_again --data-dir DATA"
        print(record("survivorship", {"survivorship_sharpe_distance": figure}, command=command))


if __name__ == "__main__":
    main()
