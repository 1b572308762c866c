"""What the announcements are worth to the volatility regression, on the years before the first test year.

    python -m benchmarks.regression --data-dir data     a data root with the full panel's tensors and VIX; five minutes

``regression_vs_ewma_inner`` is the pinball loss of HAR-X over that of EWMA x pooled standardised quantiles, both
uncalibrated, each inner year's forecasts fitted on what came before: the mean of the horizons' ratios over 2014 to 2018.
Beside it the same of the plain regression, without announcements, long returns, the market's losses and VIX.

``announcements_in_stress`` is where the announcements lose their worth: HAR-X's loss over the plain regression's at one
session where one is expected with more than ``NEAR``, on dates on which the median ticker's variance of the last week was
more than ``SHOCK`` times its usual one, and on all others. A shock raises the variance of every session, of which an
announcement's part is then small; the regression multiplies the raised one. Corrections by the ticker's or the exchange's
own excess, in seven forms, cost on calm days or changed nothing: 2014 to 2018 have few such dates.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

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
NEAR, SHOCK = 0.2, 2.0

Floats = NDArray[np.float64]


def stress(panel: PanelTensors, rows: Tensor) -> tuple[NDArray[np.bool_], int]:
    """Return which rows (n,) are of a date of shock, and the number of those dates."""
    week, usual = (panel.column(name)[rows].double().numpy() for name in ("har_5", "quiet_variance_66"))
    excess = pl.DataFrame({"date": panel.date[rows].numpy(), "excess": week - usual})
    shock = excess.select("date", shock=pl.col("excess").median().over("date") > np.log(SHOCK))
    return shock["shock"].to_numpy(), shock.filter("shock")["date"].n_unique()


def losses(panel: PanelTensors, arrays: PanelArrays, *, year: int) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Return the summed pinball loss of each model's forecasts of ``year`` by horizon, model -> (3,).

    And those at one session where an announcement is near, in stress and else, with the dates of stress.
    """
    fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=LOOKBACK)
    outcomes = panel.targets[fold.test].double().numpy()
    forecasts = {
        "ewma": ewma(arrays, train=fold.train.numpy(), origins=fold.test.numpy()),
        "harx": fit_stats(panel, fold).harx(panel, fold.test).double().numpy(),
        "harx_plain": fit_stats(panel, fold, plain=True).harx(panel, fold.test).double().numpy(),
    }
    each = {name: pinball(outcomes, quantiles, levels=QUANTILES).mean(axis=2) for name, quantiles in forecasts.items()}
    near = panel.column("announcement_1d")[fold.test].numpy() > NEAR
    in_shock, dates = stress(panel, fold.test)
    cells = {"shock": near & in_shock, "calm": near & ~in_shock}
    announced = {
        cell: {name: float(np.nansum(each[name][rows, 0])) for name in ("harx", "harx_plain")}
        for cell, rows in cells.items()
    }
    counts = {"dates": dates, **{f"forecasts_{cell}": int(rows.sum()) for cell, rows in cells.items()}}
    return {name: np.nansum(loss, axis=0) for name, loss in each.items()}, {**announced, **counts}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="data root of a run up to windowed_tensors")
    given = parser.parse_args()
    store = StoreResource(data_dir=str(given.data_dir)).store()
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    arrays = PanelArrays.from_tensors(panel)
    by_year, near = {}, []
    for year in YEARS:
        by_year[year], announced = losses(panel, arrays, year=year)
        near.append(announced)
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
    cells = {
        cell: round(sum(of[cell]["harx"] for of in near) / sum(of[cell]["harx_plain"] for of in near), 4)
        for cell in ("shock", "calm")
    }
    counts = {name: sum(of[name] for of in near) for name in ("dates", "forecasts_shock", "forecasts_calm")}
    in_stress = {
        "value": cells["shock"],
        "unit": "pinball of HAR-X over the plain regression, one session, announcement near, dates of shock",
        "else": cells["calm"],
        **counts,
    }
    print(json.dumps([figure, in_stress], indent=1))
    print(
        record(
            "regression",
            {"regression_vs_ewma_inner": figure, "announcements_in_stress": in_stress},
            command="python -m benchmarks.regression --data-dir data",
        )
    )


if __name__ == "__main__":
    main()
