"""What networks and their ensemble add to the volatility regression, on the years before the first test year.

    python -m benchmarks.inner --data-dir data --networks b8_summary b1_tft b4_patchtst --work fits     hours of one core
    python -m benchmarks.inner --data-dir data --networks b8_summary:5 --work fits                      ten minutes

``--data-dir`` names a data root with the full panel's tensors and VIX. Each inner year is a fold like any test year:
networks of the full profile are trained on what came before, the ensemble is made of the fits that add to each other on
validation and calibrated online, as the graph does it. Forecasts of a fit are kept in ``--work``, so that a run that was
stopped goes on.

``ensemble_vs_ewma_inner``: pinball of the calibrated ensemble over that of EWMA x pooled standardised quantiles, which is
not calibrated; ``ensemble_worst_horizon_inner``: the largest of its horizons; ``ensemble_vs_harx_inner``: over that of the
calibrated plain regression, without announcements; ``network_vs_regression_inner``: the best network's fits, averaged, over
the regression that they start from, both uncalibrated. Intervals are from resampled days.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import PanelArrays
from forecast_assets.core.models.baselines import ewma
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.settings import Settings
from forecast_assets.core.specs import AblationSpec
from forecast_assets.core.training.calibrate import calibrate_fold
from forecast_assets.core.training.ensemble import choose_members, median_of_means
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.graph import with_graph_if_read
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import TENSORS
from tools.results import record

YEARS = (2014, 2015, 2016, 2017, 2018)
LOOKBACK = 120
NO_NOISE = TrainingNoise(own={}, pooled=None, behind={})  # days alone are resampled
CPU = Hardware(accelerator="cpu", precision="32-true")

Floats = NDArray[np.float64]


def fits_of(
    panel: PanelTensors, fold: Fold, settings: Settings, given: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return the fits of a year, trained or read from ``--work``: name -> quantiles (M, 3, 7) and validation pinball."""
    found = {}
    stats = None
    for network in given.networks:
        spec = settings.network(network)
        for seed in range(given.fits.get(network, spec.fits)):
            kept = given.work / f"{network}-{seed}-{fold.year}.npz"
            if not kept.exists():
                stats = stats or fit_stats(panel, fold)
                ends = torch.cat([fold.train, fold.origins])
                with_graph = with_graph_if_read(spec.reads, panel, ends=ends, lookback=LOOKBACK)
                trainer = FoldTrainer(network, spec, with_graph, fold, stats, LOOKBACK, CPU)
                fit = trainer.fit(seed)
                given.work.mkdir(parents=True, exist_ok=True)
                np.savez(kept, quantiles=trainer.forecasts(fit), pinball=fit.validation_pinball)
            with np.load(kept) as content:
                found[f"{network}/{seed}"] = {"quantiles": content["quantiles"], "pinball": float(content["pinball"])}
            score = found[f"{network}/{seed}"]["pinball"]
            print(json.dumps({"fit": f"{network}/{seed}", "year": fold.year, "pinball": score}), flush=True)
    return found


def daily(quantiles: Floats, outcomes: Floats, dates: NDArray[Any], name: str) -> pl.DataFrame:
    """Return the loss of each day and horizon, summed over its forecasts."""
    losses = pinball(outcomes, quantiles, levels=QUANTILES).mean(axis=2)  # (M, 3)
    columns = {str(h): losses[:, k] for k, h in enumerate(HORIZONS)}
    wide = pl.DataFrame({"date": dates, **columns}).with_columns(pl.col("date").cast(pl.Date))
    long = wide.unpivot(index="date", variable_name="horizon", value_name=name).filter(pl.col(name).is_not_nan())
    return long.group_by("date", pl.col("horizon").cast(pl.Int64)).agg(pl.col(name).sum()).sort("date", "horizon")


def year_losses(
    panel: PanelTensors, arrays: PanelArrays, settings: Settings, given: argparse.Namespace, *, year: int
) -> pl.DataFrame:
    """Return date, horizon and each model's loss of one inner year."""
    fold = make_fold(panel, year=year, spec=settings.folds, lookback=LOOKBACK)
    fits, test = fits_of(panel, fold, settings, given), slice(len(fold.validation), None)
    members = choose_members(
        {name: fit["quantiles"][: test.start] for name, fit in fits.items()},
        panel.targets[fold.validation].double().numpy(),
        members=settings.ensemble.members,
        groups=settings.ensemble.groups,
        tolerance=settings.ensemble.tolerance,
    )
    raw = median_of_means(np.stack([fits[name]["quantiles"] for name in members]), groups=settings.ensemble.groups)

    def online(quantiles: Floats) -> Floats:
        return calibrate_fold(quantiles, panel=panel, fold=fold, spec=settings.calibration).quantiles

    harx = fit_stats(panel, fold).harx(panel, fold.origins).double().numpy()
    plain = fit_stats(panel, fold, plain=True).harx(panel, fold.origins).double().numpy()
    forecasts = {
        "ewma": ewma(arrays, train=fold.train.numpy(), origins=fold.origins.numpy()),
        "harx": harx,
        "harx calibrated": online(harx),
        "harx_plain calibrated": online(plain),
        "ensemble": online(raw),
        **{
            network: np.mean([fit["quantiles"] for name, fit in fits.items() if name.startswith(f"{network}/")], axis=0)
            for network in given.networks
        },
    }
    outcomes, dates = panel.targets[fold.test].double().numpy(), panel.date[fold.test].numpy()
    tables = [daily(quantiles[test], outcomes, dates, name) for name, quantiles in forecasts.items()]
    joined = tables[0]
    for table in tables[1:]:
        joined = joined.join(table, on=["date", "horizon"], validate="1:1")
    print(json.dumps({"year": year, "members": members, **over_ewma(joined)}), flush=True)
    return joined


def over_ewma(losses: pl.DataFrame) -> dict[str, float]:
    """Return each model's pinball over EWMA's, the mean of the horizons' ratios."""
    sums = losses.group_by("horizon").agg(pl.exclude("date", "horizon").sum()).drop("horizon")
    return {name: round(float((sums[name] / sums["ewma"]).mean()), 5) for name in sums.columns}  # type: ignore[arg-type]


def compared(losses: pl.DataFrame, model: str, other: str) -> dict[str, Any]:
    """Return the ratio of two models with its interval, also by horizon and year."""
    pair = Pair(model, other, losses.select("date", "horizon", loss=model, reference=other))
    interval = ratio_interval(pair, horizons=HORIZONS, noise=NO_NOISE, spec=AblationSpec())
    sums = losses.group_by("horizon").agg(pl.col(model).sum(), pl.col(other).sum()).sort("horizon")
    years = losses.group_by(pl.col("date").dt.year(), "horizon").agg(pl.col(model).sum(), pl.col(other).sum())
    by_year = years.group_by("date").agg(ratio=(pl.col(model) / pl.col(other)).mean()).sort("date")
    return {
        "value": round(interval.estimate, 5),
        "low": round(interval.low, 5),
        "high": round(interval.high, 5),
        "by_horizon": {str(h): round(a / b, 5) for h, a, b in sums.iter_rows()},
        "by_year": {str(y): round(r, 5) for y, r in by_year.iter_rows()},
    }


def main() -> None:
    """Train what is not there yet, compare and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the fits' forecasts")
    parser.add_argument(
        "--networks", nargs="+", default=list(CANDIDATES), metavar="NAME[:FITS]", help="with other fits"
    )
    parser.add_argument("--years", nargs="+", type=int, choices=YEARS, default=list(YEARS))
    given = parser.parse_args()
    asked = [network.partition(":") for network in given.networks]
    given.networks, given.fits = [name for name, _, _ in asked], {name: int(fits) for name, _, fits in asked if fits}
    if unknown := {*given.networks} - {*CANDIDATES}:
        parser.error(f"--networks: there is no {', '.join(sorted(unknown))}; there are {', '.join(CANDIDATES)}")
    torch.set_num_threads(1)
    settings = compose_settings("full", [])
    store = StoreResource(data_dir=str(given.data_dir)).store()
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    arrays = PanelArrays.from_tensors(panel)
    losses = pl.concat(year_losses(panel, arrays, settings, given, year=year) for year in given.years)
    ensemble = compared(losses, "ensemble", "ewma")
    networks = {name: compared(losses, name, "harx") for name in given.networks}
    best = min(networks, key=lambda name: networks[name]["value"])
    fits = {name: given.fits.get(name, settings.network(name).fits) for name in given.networks}
    facts = {"networks": given.networks, "fits": fits, "tickers": len(panel.tickers)}
    figures = {
        "ensemble_vs_ewma_inner": {**ensemble, **facts},
        "ensemble_worst_horizon_inner": {"value": max(ensemble["by_horizon"].values())},
        "ensemble_vs_harx_inner": compared(losses, "ensemble", "harx_plain calibrated"),
        "ensemble_vs_regression_inner": compared(losses, "ensemble", "harx calibrated"),
        "network_vs_regression_inner": {**networks[best], "network": best, "all": networks},
    }
    print(json.dumps(figures, indent=1))
    if given.years == list(YEARS):
        which = " ".join(f"{name}:{given.fits[name]}" if name in given.fits else name for name in given.networks)
        print(
            record(
                "inner", figures, command=f"python -m benchmarks.inner --data-dir data --work fits --networks {which}"
            )
        )


if __name__ == "__main__":
    main()
