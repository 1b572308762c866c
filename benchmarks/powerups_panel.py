"""B5, B6 and B7, the extensions of B3, against it on a real panel: pinball ratios with intervals, from a finished store.

    export FORECAST_MACRO=../shared/data/macro.csv
    forecast-assets run --profile full --panel ../shared/data/panel_40.csv --years 2021,2022,2023,2024,2025 \\
        --select raw_panel,calendar_panel,announcements,macro_series,covariates,feature_panel,windowed_tensors,\\
        baselines,b3_tft_sector,b5_moe,...
    python -m benchmarks.powerups_panel --data-dir data

The forecasts are those of each year's best fit by validation pinball, calibrated, as the assets publish them. Ratios are of
pinball losses on the forecasts that both made, over all horizons and by horizon, days and fits resampled; Diebold-Mariano
on the daily mean losses of the forecasts that all made. The training cost of each is in ``powerups.json``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.assets.fold.candidates import SKIPPED
from forecast_assets.core.evaluation.daily_losses import DailyLosses, daily_losses, join_losses
from forecast_assets.core.evaluation.forecast_metrics import forecast_metrics
from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX, YARDSTICK
from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.training_noise import TrainingNoise, fit_losses
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.report.ablation import STEPS
from forecast_assets.core.report.evidence import comparisons
from forecast_assets.core.report.verdicts import pinball_verdict
from forecast_assets.core.specs import AblationSpec
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import FITS, RAW_FORECASTS, TABLE
from forecast_assets.store.store import Store
from tools.results import record

B3, BASELINE = "b3_tft_sector", YARDSTICK
SPEC = AblationSpec()
EXTENSIONS = [model for model, rival, _ in STEPS if rival == B3 and model != "b4_patchtst"]


def losses_of(store: Store, models: list[str], years: list[str]) -> DailyLosses:
    """Return daily losses of the models and of the uncalibrated baseline over the years."""

    def tables(year: str) -> Iterator[pl.DataFrame]:
        for model in models:
            yield pl.read_parquet(store.current(model, year).path(TABLE))
        raw = pl.scan_parquet(store.current("baselines", year).path(RAW_FORECASTS))
        ewma = raw.filter(pl.col("model") == YARDSTICK.removesuffix(RAW_SUFFIX)).collect()
        yield ewma.with_columns(model=pl.lit(YARDSTICK))

    def losses(year: str) -> DailyLosses:
        fits = fit_losses((pl.read_parquet(store.current(model, year).path(FITS)) for model in models), combined={})
        return daily_losses(tables(year), references=[B3, BASELINE])._replace(fits=fits)

    return join_losses(map(losses, years))


def against_b3(losses: DailyLosses, model: str) -> dict[str, Any]:
    """Return pinball over B3's with its interval, by horizon, and Diebold-Mariano p values."""
    pair, noise = Pair(model, B3, losses.pair(model, B3)), TrainingNoise.of(losses.fits)
    overall = ratio_interval(pair, horizons=HORIZONS, noise=noise, spec=SPEC)
    by_horizon = {h: ratio_interval(pair, horizons=[h], noise=noise, spec=SPEC) for h in HORIZONS}
    outcome = pinball_verdict(pair, horizons=HORIZONS, noise=noise, spec=SPEC, smallest=SPEC.smallest_difference)[
        "verdict"
    ]
    tests = {
        str(entry["horizon"]): round(test["p_value"], 4)
        for entry in comparisons(losses, model=model, baseline=BASELINE, spec=SPEC)
        for test in entry["diebold_mariano"]
        if test["rival"] == B3
    }
    scores = forecast_metrics(losses, baseline=BASELINE).filter(pl.col("model") == model, pl.col("year").is_null())
    return {
        "value": round(overall.estimate, 5),
        "interval_95": [round(overall.low, 5), round(overall.high, 5)],
        "verdict": outcome,
        "by_horizon": {str(h): [round(v, 5) for v in (i.estimate, i.low, i.high)] for h, i in by_horizon.items()},
        "diebold_mariano_p_values": tests,
        "coverage_95": {str(row["horizon"]): round(row["coverage_95"], 4) for row in scores.iter_rows(named=True)},
    }


def main() -> None:
    """Compare the models that the store holds; record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args()
    store = StoreResource(data_dir=str(options.data_dir)).store()
    extensions = [model for model in EXTENSIONS if store.partitions(model)]
    years = sorted(set.intersection(*(set(store.partitions(model)) for model in (B3, *extensions))))
    extensions = [m for m in extensions if not any(SKIPPED in store.current(m, y).manifest.facts for y in years)]
    losses = losses_of(store, [B3, *extensions], years)
    fits = {model: len(store.current(model, years[0]).manifest.seeds) for model in (B3, *extensions)}
    panel = store.current("raw_panel").manifest.facts
    code = {model: store.current(model, years[-1]).manifest.code_version[:16] for model in fits}
    context = {
        "years": years,
        "fits_a_year": fits,
        "code_versions": code,
        "tickers": panel["tickers"],
        "panel_last": panel["last_session"],
    }
    figures = {f"{model}_pinball_vs_b3": against_b3(losses, model) | context for model in extensions}
    for key, figure in figures.items():
        print(key, figure["value"], figure.get("interval_95", ""), figure.get("verdict", ""))
    print(record("powerups_panel", figures, command="python -m benchmarks.powerups_panel --data-dir data"))


if __name__ == "__main__":
    main()
