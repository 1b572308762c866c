"""What the announcements are worth to the volatility regression, on the years before the first test year.

    python -m benchmarks.regression --data-dir data     a data root with the full panel's tensors and VIX; five minutes

``regression_vs_ewma_inner`` is the pinball loss of HAR-X over that of EWMA x pooled standardised quantiles, both
uncalibrated, each inner year's forecasts fitted on what came before: the mean of the horizons' ratios over 2014 to 2018.
Beside it the same of the plain regression, without announcements, long returns, the market's losses and VIX.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import PanelArrays
from forecast_assets.core.models.baselines import ewma
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import TENSORS
from tools.results import record

YEARS = range(2014, 2019)
LOOKBACK = 120


def losses(panel: PanelTensors, arrays: PanelArrays, *, year: int) -> dict[str, np.ndarray]:
    """Return the summed pinball loss of each model's forecasts of ``year`` by horizon, model -> (3,)."""
    fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=LOOKBACK)
    outcomes = panel.targets[fold.test].double().numpy()
    forecasts = {
        "ewma": ewma(arrays, train=fold.train.numpy(), origins=fold.test.numpy()),
        "harx": fit_stats(panel, fold).harx(panel, fold.test).double().numpy(),
        "harx_plain": fit_stats(panel, fold, plain=True).harx(panel, fold.test).double().numpy(),
    }
    return {
        name: np.nansum(pinball(outcomes, quantiles, levels=QUANTILES).mean(axis=2), axis=0)
        for name, quantiles in forecasts.items()
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="data root of a run up to windowed_tensors")
    given = parser.parse_args()
    store = StoreResource(data_dir=str(given.data_dir)).store()
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    arrays = PanelArrays.from_tensors(panel)
    by_year = {}
    for year in YEARS:
        by_year[year] = losses(panel, arrays, year=year)
        ratios = {name: (found / by_year[year]["ewma"]).round(4).tolist() for name, found in by_year[year].items()}
        print(json.dumps({year: ratios}), flush=True)
    total = {
        name: np.sum([found[name] for found in by_year.values()], axis=0) for name in ("ewma", "harx", "harx_plain")
    }
    ratio = {name: total[name] / total["ewma"] for name in ("harx", "harx_plain")}
    figure = {
        "value": round(float(ratio["harx"].mean()), 5),
        "unit": "pinball of HAR-X over EWMA, mean of the horizons' ratios",
        "by_horizon": dict(zip(map(str, HORIZONS), ratio["harx"].round(5).tolist(), strict=True)),
        "plain": round(float(ratio["harx_plain"].mean()), 5),
        "plain_by_horizon": dict(zip(map(str, HORIZONS), ratio["harx_plain"].round(5).tolist(), strict=True)),
        "by_year": {
            str(year): {n: round(float((found[n] / found["ewma"]).mean()), 5) for n in ("harx", "harx_plain")}
            for year, found in by_year.items()
        },
        "tickers": len(panel.tickers),
    }
    print(json.dumps(figure, indent=1))
    print(
        record(
            "regression",
            {"regression_vs_ewma_inner": figure},
            command="python -m benchmarks.regression --data-dir data",
        )
    )


if __name__ == "__main__":
    main()
