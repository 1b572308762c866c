"""Figures of a finished walk-forward on the reference panel: coverage, pinball ratios, returns; commits its metrics.

    forecast-assets run --profile full --panel ../shared/data/panel.parquet --set sweep.trials=0 \\
        --set verdict=reference                                                                  (hours; resumable)
    python -m benchmarks.verdict --data-dir data
    python -m benchmarks.verdict --data-dir data40 --only exchanges_outside_coverage       another panel: no metrics kept

The report's numbers are derived again from its artefacts first; a report that differs from them is an error.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.cli.report_problems import report_problems
from forecast_assets.core.evaluation.coverage_cells import published_figures
from forecast_assets.core.evaluation.daily_losses import daily_losses, join_losses
from forecast_assets.core.evaluation.forecast_metrics import forecast_metrics
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.paths import PANEL_40
from tools.pages import ABLATION, METRICS
from tools.results import record

ENSEMBLE = "ensemble"

Figures = dict[str, dict[str, Any]]


def panel_figures(metrics: dict[str, Any]) -> Figures:
    """Return coverage, pinball ratios and the return differences of the whole panel's walk-forward."""
    scores = {(row["model"], row["horizon"]): row for row in metrics["forecasts"]}
    own = {horizon: row for (model, horizon), row in scores.items() if model == ENSEMBLE}
    yearly = {
        f"{row['year']}, {row['horizon']} sessions": row["coverage_95"]
        for row in metrics["forecasts_by_year"]
        if row["model"] == ENSEMBLE
    }
    figures: Figures = {}
    for level in (95, 90):
        coverage = {str(horizon): row[f"coverage_{level}"] for horizon, row in own.items()}
        figures[f"coverage{level}_overall_low"] = {"value": min(coverage.values()), "by_horizon": coverage}
        figures[f"coverage{level}_overall_high"] = {"value": max(coverage.values()), "by_horizon": coverage}
    for name, pick in (("min", min), ("max", max)):
        where = pick(yearly, key=lambda key: yearly[key])
        figures[f"coverage95_year_horizon_{name}"] = {"value": yearly[where], "where": where}
    by_horizon = {str(horizon): row["pinball_ratio"] for horizon, row in own.items()}
    over = metrics["over_baseline"]  # EWMA as it comes, uncalibrated
    figures["pinball_vs_ewma"] = {"value": over["estimate"], "low": over["low"], "high": over["high"]}
    figures["pinball_vs_ewma_worst_horizon"] = {"value": max(by_horizon.values()), "by_horizon": by_horizon}
    figures["pinball_vs_har_worst_horizon"] = against(metrics, scores, "har")
    figures["pinball_vs_b0_worst_horizon"] = against(metrics, scores, "b0_mlp")
    figures["pinball_vs_harx"] = interval(forecast_verdict(metrics, "harx"))
    outside = published_figures(metrics["coverage_cells"], tickers=metrics["facts"]["tickers"], model=ENSEMBLE)
    figures |= {name: {"value": len(cells), "cells": cells} for name, cells in outside.items()}
    figures["ensemble_vs_best_single"] = interval(forecast_verdict(metrics, "best_member"))
    differences = {entry["version"]: entry for entry in metrics["verdicts"] if "version" in entry}
    figures["victory_naive_points"] = points(differences["naive"])
    figures["victory_naive_ci_low"] = {"value": points(differences["naive"])["low"]}
    figures["victory_same_rule_points"] = points(differences["same rule"])
    book = next(row for row in metrics["strategies"] if row["strategy"] == ENSEMBLE)
    figures["ensemble_hedged_sharpe"] = {"value": book["hedged_sharpe"], "unhedged": book["sharpe"]}
    return figures


def garch_figure(store: Store, years: Sequence[str]) -> Figures:
    """Return pinball over GARCH(1,1)-t's at the worst horizon, on the tickers of the 40-ticker panel."""
    tickers = pl.scan_csv(PANEL_40).select(pl.col("Ticker").unique()).collect()["Ticker"].to_list()

    def tables(year: str) -> Iterator[pl.DataFrame]:
        for asset in (ENSEMBLE, "baselines"):
            table = pl.scan_parquet(store.current(asset, year).path("table.parquet"))
            yield table.filter(pl.col("ticker").is_in(tickers) & pl.col("model").is_in([ENSEMBLE, "garch"])).collect()

    losses = join_losses(daily_losses(tables(year), references=["garch"]) for year in years)
    scores = forecast_metrics(losses, baseline="garch").filter(pl.col("model") == ENSEMBLE, pl.col("year").is_null())
    ratios = {str(row["horizon"]): row["pinball_ratio"] for row in scores.iter_rows(named=True)}
    figure = {"value": max(ratios.values()), "by_horizon": ratios, "tickers": len(tickers), "trained_on": "all tickers"}
    return {"pinball_vs_garch_worst_horizon": figure}


def against(metrics: dict[str, Any], scores: dict[tuple[str, int], dict[str, Any]], other: str) -> dict[str, Any]:
    """Return pinball over another model's at the worst horizon, with each horizon's Diebold-Mariano p value."""
    horizons = [horizon for model, horizon in scores if model == ENSEMBLE]
    ratios = {str(h): scores[ENSEMBLE, h]["pinball"] / scores[other, h]["pinball"] for h in horizons}
    p_values = {
        str(entry["horizon"]): test["p_value"]
        for entry in metrics["evidence"]["comparisons"]
        for test in entry["diebold_mariano"]
        if test["rival"] == other
    }
    return {"value": max(ratios.values()), "by_horizon": ratios, "diebold_mariano_p_values": p_values}


def forecast_verdict(metrics: dict[str, Any], other: str) -> dict[str, Any]:
    """Return the report's entry on the ensemble's forecasts against another model's."""
    return next(entry for entry in metrics["verdicts"] if entry.get("rival") == other)


def interval(entry: dict[str, Any]) -> dict[str, Any]:
    return {"value": entry["estimate"], "low": entry["low"], "high": entry["high"]}


def points(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a difference of annual returns in percentage points; None where one of the two never traded."""
    ends = {"value": entry["estimate"], "low": entry["low"], "high": entry["high"]}
    return {name: None if value is None else 100 * value for name, value in ends.items()}


def main() -> None:
    """Check the report, keep its metrics, record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--only", nargs="+", metavar="FIGURE", help="record these alone, and leave the published metrics alone"
    )
    options = parser.parse_args()
    resource = StoreResource(data_dir=str(options.data_dir))
    if problems := report_problems(resource.store(), resource.root()):
        raise SystemExit(f"the report differs from its artefacts: {problems[0]}")
    store = resource.store()
    metrics = store.current("backtest_report").json("metrics.json")
    figures = panel_figures(metrics) | garch_figure(store, [str(year) for year in metrics["years"]])
    context = {name: metrics["facts"][name] for name in ("data_version", "tickers")} | {"years": metrics["years"]}
    command = "python -m benchmarks.verdict --data-dir data"
    if options.only:
        figures = {key: figures[key] for key in options.only}
        command += f" --only {' '.join(options.only)}"
    else:
        METRICS.write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
        ablation = store.current("ablation_report").json("ablation.json")
        ABLATION.write_text(json.dumps(ablation, indent=1, sort_keys=True) + "\n")
    record("verdict", {key: figure | context for key, figure in figures.items()}, command=command)
    for key, figure in figures.items():
        print(f"{key}: {figure['value']}")


if __name__ == "__main__":
    main()
