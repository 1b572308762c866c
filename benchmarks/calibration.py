"""Coverage by exchange and volatility decile, and pinball loss, by the groups that forecasts are calibrated in.

    python -m benchmarks.calibration --store STORE --record      2014-2018, on which the groups and their rates were chosen
    python -m benchmarks.calibration --store STORE --years 2019 2025 --record      the declared look at the test years

Reads the ``windowed_tensors`` of a finished store and fits the models per fold; one thread, a few minutes on the full panel.
Without calibration (none), with fixed factors from the fold's validation forecasts (split), and online: by volatility
regime alone, with exchanges, with volatility deciles, with both (shipped). Cells are those of the 95 % band: exchanges at
one session, deciles of the model's own sigma at each horizon, over all years. Labels that end in the first test year or
later are left out unless that year is asked for. None of it concerns the ensemble.
"""

import argparse
import datetime as dt
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.arrays import Floats, PanelArrays
from forecast_assets.core.models.baselines import BASELINES
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.specs import CalibrationSpec, FoldSpec
from forecast_assets.core.training.calibrate import calibrate_online, calibrate_split, label_dates
from forecast_assets.core.training.calibration_groups import Groups
from forecast_assets.core.windows.days import to_day
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.store import Store
from tools.results import record

SHIPPED = CalibrationSpec()
VARIANTS = {
    "regime": SHIPPED.model_copy(update={"exchange_rate": 0.0, "volatility_rate": 0.0}),
    "regime, exchange": SHIPPED.model_copy(update={"volatility_rate": 0.0}),
    "regime, volatility": SHIPPED.model_copy(update={"exchange_rate": 0.0}),
    "shipped": SHIPPED,
}
REFERENCE = "regime"  # what pinball ratios are to
LEVEL = 0.95
EXCHANGE_LIMITS, DECILE_LIMITS = (0.93, 0.97), (0.92, 0.98)
LARGE = 20  # tickers of an exchange from which on it has to lie within the limits


class Scored(NamedTuple):
    """Test forecasts of one or more years by one variant."""

    loss: Floats  # (M, 3) mean pinball, NaN where not matured
    inside: Floats  # (M, 3) 1 inside the 95 % band, 0 outside, NaN where not matured
    sigma: Floats  # (M, 3) width of the raw band
    exchange: NDArray[np.str_]  # (M,)
    ticker: NDArray[np.int64]  # (M,)


class Cells(NamedTuple):
    """Coverage of the 95 % band."""

    exchanges: dict[str, tuple[int, float]]  # name -> (tickers, coverage at one session)
    deciles: Floats  # (3, 10) by sigma, narrowest first

    def outside(self) -> dict[str, int]:
        """Count the cells outside their limits."""
        found = list(self.exchanges.values())
        low, high = EXCHANGE_LIMITS
        return {
            "large_exchanges": sum(not low <= share <= high for tickers, share in found if tickers >= LARGE),
            "exchanges": sum(not low <= share <= high for _, share in found),
            "deciles": int(((self.deciles < DECILE_LIMITS[0]) | (self.deciles > DECILE_LIMITS[1])).sum()),
        }

    def deviation(self) -> dict[str, float]:
        """Return the root mean square distance of the cells to 95 %, each counting once."""
        shares = np.array([share for _, share in self.exchanges.values()])
        return {
            "exchanges": float(np.sqrt(((shares - LEVEL) ** 2).mean())),
            "deciles": float(np.sqrt(((self.deciles - LEVEL) ** 2).mean())),
        }


def harx(panel: PanelTensors, fold: Fold) -> Floats:
    """Return the quantiles of HAR-X for the fold's origins, (M, 3, 7), as the ``baselines`` asset makes them."""
    return fit_stats(panel, fold).harx(panel, fold.origins).double().numpy()


def forecasts(model: str, panel: PanelTensors) -> Callable[[Fold], Floats]:
    """Return the function from a fold to the raw quantiles of ``model``."""
    if model == "harx":
        return lambda fold: harx(panel, fold)
    arrays = PanelArrays.from_tensors(panel)
    return lambda fold: BASELINES[model](arrays, train=fold.train.numpy(), origins=fold.origins.numpy())


def measure(
    panel: PanelTensors, *, years: range, model: str, rates: list[float], lookback: int
) -> tuple[dict[str, Scored], list[float]]:
    """Return the scored test forecasts of ``years`` by variant, and the seconds that each fold's shipped one took."""
    forecast, ends = forecasts(model, panel), label_dates(panel)
    first_test_year = FoldSpec().first_test_year
    until = to_day(dt.date(first_test_year if years[-1] < first_test_year else years[-1] + 2, 1, 1))
    variants = {
        f"{name} {rate:g}": spec.model_copy(update={"rate": rate}) for rate in rates for name, spec in VARIANTS.items()
    }
    parts: dict[str, list[Scored]] = {}
    seconds = []
    for year in years:
        fold = make_fold(panel, year=year, spec=FoldSpec(), lookback=lookback)
        origins, raw = fold.origins.numpy(), forecast(fold)
        ended = ends[origins]
        y = np.where(ended < until, panel.targets[fold.origins].double().numpy(), np.nan)
        validation = np.arange(len(origins)) < len(fold.validation)
        made = {"none": raw, "split": calibrate_split(raw, y=y, validation=validation)}
        for name, spec in variants.items():
            started = time.perf_counter()
            groups = Groups.fit(panel, train=fold.train).of(panel, fold.origins)
            date = panel.date[fold.origins].numpy().astype(np.int64)
            online = calibrate_online(raw, y=y, date=date, label_date=ended, groups=groups, spec=spec)
            if spec == SHIPPED:
                seconds.append(time.perf_counter() - started)
            made[name] = online.quantiles
        for name, quantiles in made.items():
            parts.setdefault(name, []).append(
                score(quantiles[~validation], y[~validation], raw[~validation], panel, fold)
            )
        print(f"{model} {year}: {len(fold.test)} test forecasts", flush=True)
    return {
        name: Scored(*(np.concatenate(of) for of in zip(*years, strict=True))) for name, years in parts.items()
    }, seconds


def score(quantiles: Floats, y: Floats, raw: Floats, panel: PanelTensors, fold: Fold) -> Scored:
    """Score the fold's test forecasts ``quantiles`` (M, 3, 7)."""
    inside = ((y >= quantiles[..., 0]) & (y <= quantiles[..., -1])).astype(np.float64)
    return Scored(
        loss=pinball(y, quantiles, levels=QUANTILES).mean(axis=-1),
        inside=np.where(np.isfinite(y), inside, np.nan),
        sigma=raw[..., -1] - raw[..., 0],
        exchange=np.array(panel.exchanges)[panel.exchange[fold.test].numpy()],
        ticker=panel.ticker[fold.test].numpy().astype(np.int64),
    )


def cells(scored: Scored) -> Cells:
    """Return the coverage of every exchange and volatility decile."""
    exchanges = {}
    for name in np.unique(scored.exchange).tolist():
        mine = scored.exchange == name
        exchanges[name] = (len(np.unique(scored.ticker[mine])), float(np.nanmean(scored.inside[mine, 0])))
    deciles = np.empty((len(HORIZONS), 10))
    for k in range(len(HORIZONS)):
        known = np.isfinite(scored.inside[:, k])
        sigma, inside = scored.sigma[known, k], scored.inside[known, k]
        decile = np.searchsorted(np.quantile(sigma, np.arange(1, 10) / 10), sigma)
        deciles[k] = np.bincount(decile, inside, minlength=10) / np.bincount(decile, minlength=10)
    return Cells(exchanges, deciles)


def summary(scored: dict[str, Scored]) -> dict[str, dict[str, Any]]:
    """Return what is reported of each variant."""
    losses = {name: np.nanmean(of.loss, axis=0) for name, of in scored.items()}  # (3,)
    reference = losses[f"{REFERENCE} {SHIPPED.rate:g}"] if f"{REFERENCE} {SHIPPED.rate:g}" in losses else losses["none"]
    made = {}
    for name, of in scored.items():
        found = cells(of)
        ratio = losses[name] / reference
        made[name] = {
            "pinball_ratio": float(ratio.mean()),
            "pinball_ratio_by_horizon": dict(zip(map(str, HORIZONS), ratio.tolist(), strict=True)),
            "coverage_by_horizon": dict(zip(map(str, HORIZONS), np.nanmean(of.inside, axis=0).tolist(), strict=True)),
            "cells_outside": found.outside(),
            "rms_deviation": found.deviation(),
            "exchanges": {key: {"tickers": n, "coverage": share} for key, (n, share) in found.exchanges.items()},
            "deciles": dict(zip(map(str, HORIZONS), found.deciles.tolist(), strict=True)),
        }
    return made


def lines(found: dict[str, dict[str, Any]], *, every_cell: bool) -> list[str]:
    """Return the summary as a text table, with every cell where asked."""
    text = [
        f"{'':24}{'pinball':>9}   {'coverage':22}{'outside: large exchanges, all, deciles':40}rms: exchanges, deciles"
    ]
    for name, of in found.items():
        coverage = " / ".join(f"{share:.3f}" for share in of["coverage_by_horizon"].values())
        outside = ", ".join(str(count) for count in of["cells_outside"].values())
        deviation = ", ".join(f"{share:.4f}" for share in of["rms_deviation"].values())
        text.append(f"{name:24}{of['pinball_ratio']:9.5f}   {coverage:22}{outside:40}{deviation}")
        if every_cell:
            text.append(
                "    " + ", ".join(f"{k} ({c['tickers']}) {c['coverage']:.3f}" for k, c in of["exchanges"].items())
            )
            text += [f"    h={h:>2} " + " ".join(f"{share:.3f}" for share in row) for h, row in of["deciles"].items()]
    return text


def figures(
    found: dict[str, dict[str, Any]], seconds: list[float], *, model: str, years: range
) -> dict[str, dict[str, Any]]:
    """Return the figures to record: the shipped groups, with every variant beside them."""
    shipped, before = found[f"shipped {SHIPPED.rate:g}"], found[f"{REFERENCE} {SHIPPED.rate:g}"]
    detail = {"model": model, "years": [years[0], years[-1]]}
    when = "test" if years[-1] >= FoldSpec().first_test_year else "inner"
    return {
        f"{when}_cells_outside": {
            "value": shipped["cells_outside"]["large_exchanges"] + shipped["cells_outside"]["deciles"],
            "by_regime_alone": before["cells_outside"]["large_exchanges"] + before["cells_outside"]["deciles"],
            "limits": {"exchanges_of_20_tickers": EXCHANGE_LIMITS, "deciles": DECILE_LIMITS},
            "variants": found,
            **detail,
        },
        f"{when}_small_exchanges_included_outside": {
            "value": shipped["cells_outside"]["exchanges"],
            "by_regime_alone": before["cells_outside"]["exchanges"],
            **detail,
        },
        f"{when}_pinball_ratio": {
            "value": shipped["pinball_ratio"],
            "of": "all groups to the regimes alone, mean over horizons",
            **detail,
        },
        "fold_seconds": {
            "value": max(seconds),
            "of": "fitting the groups and calibrating a fold, the slowest",
            **detail,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="a store that holds windowed_tensors")
    parser.add_argument("--years", nargs=2, type=int, default=[2014, 2018], metavar=("FIRST", "LAST"))
    parser.add_argument("--rates", nargs="+", type=float, default=[SHIPPED.rate], help="of the regimes, to choose it")
    parser.add_argument("--model", choices=["harx", *sorted(BASELINES)], default="harx")
    parser.add_argument("--lookback", type=int, default=120)
    parser.add_argument("--cells", action="store_true", help="print every cell")
    parser.add_argument(
        "--record", action="store_true", help="write the figures; those of test years under names of their own"
    )
    given = parser.parse_args()
    years = range(given.years[0], given.years[1] + 1)
    tested = years[-1] >= FoldSpec().first_test_year
    if given.record and SHIPPED.rate not in given.rates:
        raise SystemExit("--record: figures are of the shipped rate")
    panel = PanelTensors.load(Store(given.store).current("windowed_tensors").path(TENSORS))
    scored, seconds = measure(panel, years=years, model=given.model, rates=given.rates, lookback=given.lookback)
    found = summary(scored)
    print("\n".join(lines(found, every_cell=given.cells or tested)))
    if given.record:
        made = figures(found, seconds, model=given.model, years=years)
        span = f" --years {years[0]} {years[-1]}" if tested else ""
        print(record("calibration", made, command=f"python -m benchmarks.calibration --store STORE{span} --record"))


if __name__ == "__main__":
    main()
