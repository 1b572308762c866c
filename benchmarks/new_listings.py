"""Forecasts of new listings, tickers that list after training, by what a model knows of them.

That is nothing, the sector, the neighbours in the correlation graph, or the ticker's own first sessions.

    forecast-assets run --profile full --panel ../shared/data/panel.parquet --set sweep.trials=0 \\
        --select raw_panel,calendar_panel,announcements,macro_series,covariates,feature_panel,windowed_tensors
    python -m benchmarks.new_listings --store data/store                      about five minutes on one core
    python -m benchmarks.new_listings --store data/store --samples 1000        a trial, printed and not recorded

The cohort is every ticker whose first row is later than 2015; the Euronext tickers that begin on its first sessions of 2015
are no new listings, their data begin there. No row of the cohort is used for training, for standardising a feature or for a
vocabulary. For each of three spans, models are trained on 100 of the other tickers, on labels that end before the span, and
forecast the cohort's first 60 forecast origins in it; the graph holds these tickers and the cohort. The window is 20
sessions long so that the first forecast comes early: features need 60 sessions, so it comes at about the 80th; with the
product's window of 120 it would come at about the 180th.

A ratio is of pinball losses over those of B2, to which all of these tickers are the unknown one: the mean over horizons of
the ratio of sums. Intervals resample tickers, each with all its forecasts, since outcomes of one ticker overlap.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from arch.bootstrap import IIDBootstrap
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.assets.fold.forecast_files import fold_table
from forecast_assets.core.evaluation.daily_losses import forecast_losses
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.catalogue import FitSpec
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.days import to_day
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.graph import with_graph_if_read
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.fits import predict
from tools.results import record

MODELS = {
    "b1_tft": "no embedding",
    "b2_tft_ticker": "unknown ticker",
    "b3_tft_sector": "unknown ticker, and the sector",
    "b6_graph": "unknown ticker, the sector, and neighbours",
    "b7_maml": "the sector, and its own first sessions",
}
UNKNOWN = "b2_tft_ticker"
"""The model that all are compared with."""
LISTED_AFTER = np.datetime64("2015-12-31")
SPANS = ((2016, 2018), (2019, 2021), (2022, 2025))
LOOKBACK, FIRST, GROUPS = 20, 60, (5, 20, 60)
OTHERS, EPOCHS, SAMPLES, SEED = 100, 3, 6_000, 0
FOLDS = FoldSpec(validation_sessions=63)
RESAMPLES = 2_000


def spec_of(model: str, *, samples: int) -> FitSpec:
    """Return the full profile's settings, at a smaller budget."""
    spec: FitSpec = getattr(compose_settings("full", []), model)
    return spec.model_copy(update={"epochs": EPOCHS, "samples_per_epoch": samples, "patience": EPOCHS})


def listed_late(panel: PanelTensors) -> Tensor:
    """Return whether each row's ticker is one of the cohort, (N,) bool."""
    first = torch.full((len(panel.tickers),), torch.iinfo(torch.int32).max, dtype=torch.int32)
    first = first.scatter_reduce(0, panel.ticker.long(), panel.date, reduce="amin")
    return (first > to_day(LISTED_AFTER.astype(object)))[panel.ticker.long()]


def rows_of(panel: PanelTensors, kept: Tensor) -> PanelTensors:
    """Return the panel's rows where ``kept`` (N,) holds, whole tickers; codes stay as they are."""
    chosen: dict[str, Any] = {name: tensor[kept] for name, tensor in panel.tensors().items()}
    return replace(panel, **chosen)


def first_origins(panel: PanelTensors, late: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of the cohort's first ``FIRST`` forecast origins, and the rank of each in its ticker from 1: 2 x (M,)."""
    ends = panel.ends(LOOKBACK)
    ends = ends[late[ends]]
    _, counts = panel.ticker[ends].unique_consecutive(return_counts=True)
    order = torch.cat([torch.arange(1, count + 1) for count in counts.tolist()])
    return ends[order <= FIRST], order[order <= FIRST]


def sampled(panel: PanelTensors, late: Tensor) -> Tensor:
    """Return which rows belong to the cohort or to one of ``OTHERS`` other tickers, (N,) bool."""
    codes = panel.ticker[~late].unique()
    chosen = codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(SEED))[:OTHERS]]
    return late | torch.isin(panel.ticker, chosen)


def forecasts(panel: PanelTensors, *, samples: int) -> pl.DataFrame:
    """Return the losses of all models at the cohort's first forecast origins; ``order`` is the rank in the ticker."""
    panel = rows_of(panel, sampled(panel, listed_late(panel)))
    late = listed_late(panel)
    others = rows_of(panel, ~late)
    ends, order = first_origins(panel, late)
    years = panel.date[ends].numpy().astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    tables = []
    for first, last in SPANS:
        asked = ends[torch.from_numpy((years >= first) & (years <= last))]
        fold = make_fold(others, year=first, spec=FOLDS, lookback=LOOKBACK)
        stats = fit_stats(others, fold)
        for model in MODELS:
            spec, started = spec_of(model, samples=samples), time.perf_counter()
            reads = with_graph_if_read(
                spec.reads, others, ends=torch.cat([fold.train, fold.validation]), lookback=LOOKBACK
            )
            hardware = Hardware(accelerator="cpu", precision="32-true")
            done = FoldTrainer(model, spec, reads, fold, stats, LOOKBACK, hardware).fit(SEED)
            reads = with_graph_if_read(spec.reads, panel, ends=asked, lookback=LOOKBACK)
            quantiles = predict(
                model, spec, done.weights, panel=reads, ends=asked, stats=stats, lookback=LOOKBACK, device="cpu"
            )
            asked_fold = Fold(first, train=fold.train, validation=asked[:0], test=asked)
            tables.append(forecast_losses(fold_table(panel, asked_fold, quantiles.double().numpy(), model=model)))
            seconds = time.perf_counter() - started
            print(f"{first} {model}: {len(asked)} origins, {done.validation_pinball:.5f}, {seconds:.0f} s", flush=True)
    which = pl.DataFrame(
        {
            "ticker": pl.Series(panel.tickers).gather(panel.ticker[ends].numpy()),
            "date": pl.Series(panel.date[ends].numpy()).cast(pl.Date),
            "order": order.numpy(),
        }
    )
    return pl.concat(tables).join(which, on=["ticker", "date"], how="left")


def against_unknown(losses: pl.DataFrame, model: str, *, first: int) -> dict[str, Any]:
    """Return the pinball of ``model`` over B2's on each ticker's ``first`` origins, with its interval, and by horizon."""
    sums = (
        losses.filter(pl.col("model").is_in([model, UNKNOWN]), pl.col("order") <= first)
        .pivot(on="model", index=["ticker", "date", "horizon"], values="pinball", aggregate_function="sum")
        .group_by("ticker", "horizon")
        .agg(pl.col(model).sum(), pl.col(UNKNOWN).sum())
        .pivot(on="horizon", on_columns=list(HORIZONS), index="ticker", values=[model, UNKNOWN])
        .drop_nulls()
        .sort("ticker")
    )
    columns = [f"{name}_{horizon}" for name in (model, UNKNOWN) for horizon in HORIZONS]
    table = sums.select(columns).to_numpy()  # (tickers, 6)

    def ratios(tickers: NDArray[np.float64]) -> NDArray[np.float64]:
        total = tickers.sum(axis=0)
        by_horizon = total[: len(HORIZONS)] / total[len(HORIZONS) :]
        return np.append(by_horizon.mean(), by_horizon)

    draws = IIDBootstrap(table, seed=np.random.default_rng(SEED)).apply(ratios, RESAMPLES)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    found = [[round(float(x), 5) for x in triple] for triple in zip(ratios(table), low, high, strict=True)]
    return {
        "value": found[0][0],
        "interval_95": found[0][1:],
        "by_horizon": {str(h): triple for h, triple in zip(HORIZONS, found[1:], strict=True)},
        "names": len(table),
    }


def figures_of(losses: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return for each model its coverage, and its pinball over B2's on the first 5, 20 and 60 forecast origins."""
    figures: dict[str, dict[str, Any]] = {}
    for model, knows in MODELS.items():
        own = losses.filter(pl.col("model") == model)
        inside = own.group_by("horizon").agg(pl.col("inside_95").mean()).sort("horizon").iter_rows()
        coverage = {str(horizon): round(share, 4) for horizon, share in inside}
        context = {"knows": knows, "coverage_95": coverage}
        for first in GROUPS if model != UNKNOWN else ():
            figure = against_unknown(losses, model, first=first)
            figures[f"newcomers_{model}_vs_unknown_first_{first}"] = figure | context
        if model == UNKNOWN:
            figures["newcomers_unknown_coverage95_low"] = {"value": min(coverage.values()), **context}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="a store that holds the panel's windowed_tensors")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="window samples an epoch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    panel = PanelTensors.load(Path(Store(given.store).current("windowed_tensors").path(TENSORS)))
    figures = figures_of(forecasts(panel, samples=given.samples))
    for key, figure in figures.items():
        print(key, figure["value"], figure.get("interval_95", ""))
    if given.samples == SAMPLES:
        print(record("new_listings", figures, command="python -m benchmarks.new_listings --store data/store"))


if __name__ == "__main__":
    main()
