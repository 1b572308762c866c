"""The verdict over all years at hand."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from forecast_assets.assets.networks import TRAINING
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import BacktestSpec
from forecast_assets.store.durable import replace_bytes
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

REPORT, METRICS = "backtest.html", "metrics.json"
BASELINE = "ewma"
RIVALS = ("b0_mlp", "har", "garch", "ewma", "histvol20", "b1_tft", "b2_tft_ticker", "b3_tft_sector", "b4_patchtst")
PACKAGES = ("forecast-assets", "torch", "pytorch-forecasting", "lightning", "polars", "numpy", "dagster")


def reports_folder(data_root: str) -> UPath:
    """Where the latest reports are, below a data root."""
    return UPath(data_root) / "reports" / "latest"


def publish_report(version: Version, _instance: dg.DagsterInstance, data_root: str) -> None:
    """Put the report where people look for it; the version in the store stays the original."""
    folder = reports_folder(data_root)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (REPORT, METRICS):
        content = version.path(name).read_bytes()
        if folder.protocol in ("", "file"):
            replace_bytes(Path(folder.path) / name, content)
        else:  # one PUT is whole or nothing
            (folder / name).write_bytes(content)


@stage(group="verdict", kinds={"matplotlib"}, after=publish_report)
def backtest_report(
    raw_panel: Version,
    calendar_panel: Version,
    baselines: dict[str, Version],
    b0_mlp: dict[str, Version],
    b1_tft: dict[str, Version],
    b2_tft_ticker: dict[str, Version],
    b3_tft_sector: dict[str, Version],
    b4_patchtst: dict[str, Version],
    ensemble: dict[str, Version],
    backtest: dict[str, Version],
    backtest_spec: BacktestSpec,
    profile: str,
) -> Product:
    """HTML report and metrics.json over the years at hand: verdict first, a missing year named."""
    from forecast_assets.core.evaluation.chain import chain_years
    from forecast_assets.core.evaluation.figure import to_svg
    from forecast_assets.core.evaluation.gallery import backtest_figures
    from forecast_assets.core.evaluation.report import render_backtest_report
    from forecast_assets.core.evaluation.summary import summarise

    years = sorted(backtest)
    networks = {
        "b0_mlp": b0_mlp,
        "b1_tft": b1_tft,
        "b2_tft_ticker": b2_tft_ticker,
        "b3_tft_sector": b3_tft_sector,
        "b4_patchtst": b4_patchtst,
    }
    models = {"ensemble": ensemble, **networks, "baselines": baselines}
    forecasts = pl.concat(pl.read_parquet(of[year].path(TABLE)) for of in models.values() for year in years)
    daily, positions, trades = (
        pl.concat(pl.read_parquet(backtest[year].path(name)) for year in years)
        for name in (TABLE, "positions.parquet", "trades.parquet")
    )
    chained = chain_years(
        daily,
        positions,
        trades,
        cost_bps=backtest_spec.cost_bps,
        max_wait_sessions=backtest_spec.max_wait_sessions,
    )
    curves = [pl.DataFrame(of[years[-1]].json(TRAINING)["curve"]) for of in list(networks.values())[1:]]
    panel_facts = raw_panel.manifest.facts
    versions = [raw_panel, calendar_panel, *(of[year] for of in (*models.values(), backtest) for year in years)]
    facts: dict[str, Any] = {
        "data_version": sha256_text(canonical_json([v.data_version for v in versions]))[:16],
        "config_hash": sha256_text(canonical_json([v.manifest.config for v in versions]))[:16],
        "seeds": sorted({seed for of in networks.values() for year in years for seed in of[year].manifest.seeds}),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "trials": sum(len(of[year].json(TRAINING)["fits"]) for of in networks.values() for year in years),
        "profile": profile,
        "panel_first": panel_facts["first_session"],
        "panel_last": panel_facts["last_session"],
        "panel_rows": panel_facts["rows_read"] - panel_facts["rows_rejected"],
        "rows_rejected": panel_facts["rows_rejected"],
        "rows_invalid": panel_facts["rows_invalid"],
        "tickers": panel_facts["tickers"],
    }
    wanted = raw_panel.json("partitions.json")["years"]
    summary = summarise(
        forecasts=forecasts,
        daily=chained,
        facts=facts,
        missing_years=[int(year) for year in wanted if year not in years],
        spec=backtest_spec,
        model="ensemble",
        baseline=BASELINE,
        rivals=RIVALS,
        caveats=[],
    )
    figures = backtest_figures(
        forecasts=forecasts,
        daily=chained,
        prices=pl.scan_parquet(calendar_panel.path(TABLE)).select("date", "ticker", "close").collect(),
        curves=pl.concat(curves),
        summary=summary,
    )
    html = render_backtest_report(summary, {name: to_svg(figure) for name, figure in figures.items()})
    return Product(
        files={
            TABLE: chained,
            REPORT: html,
            METRICS: json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
        },
        facts={
            "years": ", ".join(years),
            "verdicts": "; ".join(f"{v['claim']}: {v['verdict']}" for v in summary["verdicts"]),
        },
        plots={name.replace(":", "-"): figure for name, figure in figures.items()},
    )
