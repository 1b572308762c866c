"""A planted series of one's own is found again: by the volatility regression, by B8 and by the boosted trees.

    python -m benchmarks.covariates            some ten minutes of one core

Panels of ``helpers.announced`` in which a score of each ticker and session, known an hour before its close, doubles the
variance of the ticker's next session. ``flag``: where the score is 1, about one session in seven. ``two_sided``: where it is
beyond ``BEYOND`` on either side, as often, of which no linear regressor knows. The scores are written to a file, declared,
read, joined and fitted by what ships, on all years but the last, which is forecast.

Shares are of an oracle's gain in pinball loss at one session: HAR-X of the panel before the doubling, times the root of the
true factor; its own estimates are not perfect, so a share may exceed one. ``late``: the same flag that arrives after the
session that it is about; ``placebo``: another ticker's flag. Both are changes of the loss against HAR-X without the series.
"""

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from benchmarks.inner import CPU
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.covariates.declare import read_declarations
from forecast_assets.core.panel.covariates.read import Covariates, read_covariates
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.panel.origins import origin_times
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.specs import FeatureSpec, FoldSpec
from forecast_assets.core.training.fit import FoldTrainer
from forecast_assets.core.windows.build import build_tensors
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.announced import announced, calendar
from tools.results import record

TICKERS, SEEDS, LOOKBACK, YEAR = 20, range(3), 60, 2018
START, END = dt.date(2011, 1, 3), dt.date(2018, 12, 31)
OFTEN, BEYOND = 0.15, 1.44  # share of the sessions whose variance is doubled; the score beyond which it is
FACTOR = 2.0
BEFORE_CLOSE, LATE = dt.timedelta(hours=-1), dt.timedelta(days=8)
NETWORKS = ("b8_summary", "g0_lightgbm")
DECLARED = "score: {path: score.csv, kind: observed, key: ticker, columns: {value: {column: score}}}\n"

Floats = NDArray[np.float64]


def planted(raw: pl.DataFrame, score: pl.Series, *, two_sided: bool) -> tuple[pl.DataFrame, pl.Series]:
    """Return raw rows, by ticker and date, whose variance after a high ``score`` is doubled, and each row's factor ahead."""
    high = score.abs() > BEYOND if two_sided else score > 0
    rows = raw.with_columns(factor=pl.when(high).then(FACTOR).otherwise(1.0))
    log_open, log_close = pl.col("open").log(), pl.col("close").log()
    moved = rows.with_columns(
        root=pl.col("factor").shift(1).fill_null(1.0).sqrt().over("ticker"),
        gap=(log_open - log_close.shift(1)).fill_null(0.0).over("ticker"),
        intraday=log_close - log_open,
        above=(pl.col("high") / pl.max_horizontal("open", "close")).log(),
        below=(pl.col("low") / pl.min_horizontal("open", "close")).log(),
    )
    root = pl.col("root")
    close = (root * (pl.col("gap") + pl.col("intraday"))).cum_sum().over("ticker").exp() * 50
    prices = moved.with_columns(close=close).with_columns(open=pl.col("close") / (root * pl.col("intraday")).exp())
    ranged = prices.with_columns(
        high=pl.max_horizontal("open", "close") * (root * pl.col("above")).exp(),
        low=pl.min_horizontal("open", "close") * (root * pl.col("below")).exp(),
    )
    return ranged.select(raw.columns), rows["factor"]


def as_declared(rows: pl.DataFrame, score: pl.Series, *, lag: dt.timedelta) -> Covariates:
    """Return the scores of ``rows`` (ticker, date, exchange) through a file, available ``lag`` after the close."""
    keys = ["exchange", "date"]
    timed = rows.with_columns(score=score).join(
        origin_times(rows), on=keys, how="left", maintain_order="left", suffix="_at"
    )
    known = (pl.col("close_at") + lag).dt.strftime("%Y-%m-%dT%H:%MZ")
    with tempfile.TemporaryDirectory() as folder:
        file, declared = Path(folder) / "score.csv", Path(folder) / "covariates.yaml"
        timed.select("date", "ticker", "score", available_at=known).write_csv(file)
        declared.write_text(DECLARED)
        return read_covariates(read_declarations(declared), {"score": file})


def tensors(raw: pl.DataFrame, covariates: Covariates | None) -> tuple[PanelTensors, Fold]:
    """Return the panel of raw rows as models read it, and the fold of its last year."""
    rows = calendar(raw).with_columns(is_member=pl.lit(True))
    table = feature_panel(rows, features=FeatureSpec(), covariates=covariates)
    panel = build_tensors(table, feature_names=feature_names(table))
    return panel, make_fold(panel, year=YEAR, spec=FoldSpec(first_test_year=YEAR), lookback=LOOKBACK)


def losses(raw: pl.DataFrame, covariates: Covariates | None, *, models: tuple[str, ...] = ()) -> dict[str, float]:
    """Return the pinball loss at one session of HAR-X and of ``models``."""
    panel, fold = tensors(raw, covariates)
    stats, settings = fit_stats(panel, fold), compose_settings("full", [])
    forecasts = {"harx": stats.harx(panel, fold.test).double().numpy()}
    for name in models:
        trainer = FoldTrainer(name, settings.network(name), panel, fold, stats, LOOKBACK, CPU)
        forecasts[name] = trainer.predict(trainer.fit(0).weights, fold.test)
    return {name: _loss(panel, fold, quantiles) for name, quantiles in forecasts.items()}


def oracle(quiet: pl.DataFrame, raw: pl.DataFrame, factor: pl.Series) -> float:
    """Return the loss on ``raw`` of HAR-X on the panel before the doubling, scaled by the true factor ahead."""
    (before, fold), (panel, same) = tensors(quiet, None), tensors(raw, None)
    if not torch.equal(fold.test, same.test) or panel.rows != raw.height:
        raise ValueError("the planted panel has other forecast origins than the one before")
    root = np.sqrt(factor.to_numpy())[fold.test.numpy(), None, None]
    return _loss(panel, fold, fit_stats(before, fold).harx(before, fold.test).double().numpy() * root)


def _loss(panel: PanelTensors, fold: Fold, quantiles: Floats) -> float:
    outcomes = panel.targets[fold.test].double().numpy()
    return float(np.nanmean(pinball(outcomes, quantiles, levels=QUANTILES)[:, 0]))


def of_seed(seed: int) -> dict[str, float]:
    """Return shares of the oracle's gain, and changes by what can't help, of one panel."""
    rng = np.random.default_rng(seed)
    quiet = announced(tickers=TICKERS, start=START, end=END, seed=seed).raw
    flag, score = pl.Series(rng.random(quiet.height) < OFTEN).cast(pl.Float64), pl.Series(rng.normal(size=quiet.height))
    found: dict[str, float] = {}
    for case, values, models in (("flag", flag, ()), ("two_sided", score, NETWORKS)):
        raw, factor = planted(quiet, values, two_sided=case == "two_sided")
        without, best = losses(raw, None)["harx"], oracle(quiet, raw, factor)
        with_own = losses(raw, as_declared(raw, values, lag=BEFORE_CLOSE), models=models)
        found |= {f"{case}_{name}": (without - loss) / (without - best) for name, loss in with_own.items()}
        found[f"{case}_oracle"] = best / without - 1
        if case == "flag":
            others = values.shift(quiet.height // 2).fill_null(0.0)
            for name, given, lag in (("late", values, LATE), ("placebo", others, BEFORE_CLOSE)):
                found[name] = losses(raw, as_declared(raw, given, lag=lag))["harx"] / without - 1
    return found


def figures_of(each: list[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Return the figures: the weakest share over the panels, and the largest change by what can't help."""

    def of(name: str) -> list[float]:
        return [round(found[name], 4) for found in each]

    setup = {"tickers": TICKERS, "years": f"{START.year}-{END.year}", "forecast": YEAR}
    oracle_gain = {
        "oracle_change_of_loss": of("flag_oracle"),
        "oracle_change_of_loss_two_sided": of("two_sided_oracle"),
    }
    unit = "share of an oracle's gain in pinball loss at one session, the weakest of the panels"
    none = "change of HAR-X's pinball loss at one session, the largest of the panels"
    shares = {f"two_sided_{name}": of(f"two_sided_{name}") for name in ("harx", *NETWORKS)}
    return {
        "covariate_found_by_regression": {
            "value": min(of("flag_harx")),
            "unit": unit,
            "each": of("flag_harx"),
            **setup,
            **oracle_gain,
        },
        **{
            f"covariate_found_by_{name}": {"value": min(shares[f"two_sided_{name}"]), "unit": unit, **shares}
            for name in NETWORKS
        },
        **{
            f"covariate_{name}": {"value": max(of(name), key=abs), "unit": none, "each": of(name)}
            for name in ("late", "placebo")
        },
    }


def main() -> None:
    """Measure and record."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    each: list[Mapping[str, float]] = []
    for seed in SEEDS:
        each.append(of_seed(seed))
        print(json.dumps({"seed": seed, **each[-1]}), flush=True)
    print(record("covariates", figures_of(each), command="python -m benchmarks.covariates"))


if __name__ == "__main__":
    main()
