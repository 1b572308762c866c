"""What boosted trees add to the volatility regression that they start from, on the years before the first test year.

    python -m benchmarks.boosted --data-dir data          ten minutes of one core

``--data-dir`` names a data root with the full panel's tensors and VIX. Each inner year is a fold like any test year.
``boosted_vs_regression_inner``: pinball of G0 over that of HAR-X, both uncalibrated, with an interval from resampled days;
``boosted_fit_seconds``: median processor time of a fit of three horizons, with reading and the validation's forecasts.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import polars as pl
import torch

from benchmarks.inner import CPU, LOOKBACK, YEARS, compared, daily
from forecast_assets.core.training.fit import FoldTrainer
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import TENSORS
from tools.results import record

MODEL = "g0_lightgbm"


def main() -> None:
    """Fit every inner year, compare and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = compose_settings("full", [])
    store = StoreResource(data_dir=str(given.data_dir)).store()
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    seconds, years = [], []
    for year in YEARS:
        fold = make_fold(panel, year=year, spec=settings.folds, lookback=LOOKBACK)
        stats = fit_stats(panel, fold)
        trainer = FoldTrainer(MODEL, settings.network(MODEL), panel, fold, stats, LOOKBACK, CPU)
        begun = time.process_time()  # one thread: the same beside other load
        fit = trainer.fit(0)
        seconds.append(time.process_time() - begun)
        ours, harx = trainer.predict(fit.weights, fold.test), stats.harx(panel, fold.test).double().numpy()
        outcomes, dates = panel.targets[fold.test].double().numpy(), panel.date[fold.test].numpy()
        tables = [daily(quantiles, outcomes, dates, name) for name, quantiles in ((MODEL, ours), ("harx", harx))]
        years.append(tables[0].join(tables[1], on=["date", "horizon"], validate="1:1"))
        print(json.dumps({"year": year, **compared(years[-1], MODEL, "harx"), "seconds": seconds[-1]}), flush=True)
    figures = {
        "boosted_vs_regression_inner": {**compared(pl.concat(years), MODEL, "harx"), "tickers": len(panel.tickers)},
        "boosted_fit_seconds": {"value": round(statistics.median(seconds), 1), "each": [round(s, 1) for s in seconds]},
    }
    print(json.dumps(figures, indent=1))
    print(record("boosted", figures, command="python -m benchmarks.boosted --data-dir data"))


if __name__ == "__main__":
    main()
