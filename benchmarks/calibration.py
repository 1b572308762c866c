"""Coverage and pinball loss of EWMA and HAR without calibration, with split conformal, and with online calibration.

    python -m benchmarks.calibration --store data/store                     test years 2019-2025, printed
    python -m benchmarks.calibration --store data/store --years 2016 2018 --rates 0.01 0.02 0.04     to choose the rate

Reads the ``windowed_tensors`` of a finished store and fits both baselines per fold; one thread, a few minutes on the full
panel. Split conformal takes its factors from the fold's validation forecasts, online calibration starts there. Ratios are to
EWMA without calibration, averaged over horizons; coverage is that of the 95 % band, with its range over years and horizons
in brackets. None of it concerns the ensemble.
"""

import argparse

import numpy as np

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import Floats, PanelArrays
from forecast_assets.core.models.baselines import BASELINES
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.specs import CalibrationSpec, FoldSpec
from forecast_assets.core.training.calibrate import calibrate_online, calibrate_split, label_dates, volatility_regimes
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.store import Store

Scores = dict[str, list[tuple[Floats, Floats, Floats]]]  # variant -> per year: loss, hits of the 95 % band, labels (3,)


def score(quantiles: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Return summed pinball loss, outcomes inside the 95 % band and matured outcomes, each (3,)."""
    matured = np.isfinite(y)
    loss = np.nansum(pinball(y, quantiles, levels=QUANTILES).mean(axis=-1), axis=0)
    inside = (matured & (y >= quantiles[..., 0]) & (y <= quantiles[..., -1])).sum(axis=0)
    return loss, inside.astype(np.float64), matured.sum(axis=0).astype(np.float64)


def measure(panel: PanelTensors, *, years: range, models: list[str], rates: list[float], lookback: int) -> Scores:
    """Score every model and variant on the test forecasts of ``years``."""
    arrays, ends = PanelArrays.from_tensors(panel), label_dates(panel)
    scores: Scores = {}
    for year in years:
        fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=lookback)
        origins = fold.origins.numpy()
        regime = volatility_regimes(panel, train=fold.train.numpy())[origins]
        y, date, ended = arrays.targets[origins], panel.date[origins].numpy().astype(np.int64), ends[origins]
        validation = np.arange(len(origins)) < len(fold.validation)
        for model in models:
            raw = BASELINES[model](arrays, train=fold.train.numpy(), origins=origins)
            variants = {"none": raw, "split": calibrate_split(raw, y=y, validation=validation)}
            for rate in rates:
                online = calibrate_online(
                    raw, y=y, date=date, label_date=ended, regime=regime, spec=CalibrationSpec(rate=rate)
                )
                variants[f"online {rate:g}"] = online.quantiles
            for name, quantiles in variants.items():
                scores.setdefault(f"{model} {name}", []).append(score(quantiles[~validation], y[~validation]))
    return scores


def table(scores: Scores) -> list[str]:
    """Return one line per model and variant."""
    totals = {name: [np.sum(part, axis=0) for part in zip(*years, strict=True)] for name, years in scores.items()}
    reference = totals["ewma none"][0] / totals["ewma none"][2]
    lines = [f"{'':20}{'all':>8}" + "".join(f"{f'h={h}':>8}" for h in HORIZONS) + "   coverage of the 95 % band"]
    for name, (loss, inside, matured) in totals.items():
        ratio, coverage = loss / matured / reference, inside / matured
        yearly = np.array([hits / labels for _, hits, labels in scores[name]])
        lines.append(
            f"{name:20}{ratio.mean():8.4f}" + "".join(f"{r:8.4f}" for r in ratio) + "   "
            + " / ".join(f"{c:.3f}" for c in coverage) + f"  [{yearly.min():.3f}, {yearly.max():.3f}]"
        )  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="a store that holds windowed_tensors")
    parser.add_argument("--years", nargs=2, type=int, default=[2019, 2025], metavar=("FIRST", "LAST"))
    parser.add_argument("--rates", nargs="+", type=float, default=[CalibrationSpec().rate])
    parser.add_argument("--only", nargs="+", choices=sorted(BASELINES), default=["har"], help="models beside EWMA")
    parser.add_argument("--lookback", type=int, default=120)
    given = parser.parse_args()
    panel = PanelTensors.load(Store(given.store).current("windowed_tensors").path(TENSORS))
    models = ["ewma", *(name for name in given.only if name != "ewma")]
    years = range(given.years[0], given.years[1] + 1)
    print("\n".join(table(measure(panel, years=years, models=models, rates=given.rates, lookback=given.lookback))))


if __name__ == "__main__":
    main()
