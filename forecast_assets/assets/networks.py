"""The trained models: one asset per model, one fold per year, several fits per fold."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.causality import PURGED, purge_check
from forecast_assets.assets.decisions import calibrated_files, fold_table
from forecast_assets.assets.partitions import years
from forecast_assets.assets.product import TABLE, Content, Product
from forecast_assets.assets.stage import Parameters, stage
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.specs import CalibrationSpec, FitSpec, FoldSpec, MlpSpec, PatchTstSpec, TftSpec, WindowSpec
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from forecast_assets.core.training.fit import Fit, Hardware
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.tracking import TrackingResource

FITS = "fits.parquet"
"""Forecasts of every single fit, ``model`` being ``<asset key>/<seed>``."""

TRAINING = "training.json"

IMPORTANCE = "importance.json"
"""What the best fit looked at in the test year, averaged over decisions; empty for a network that weighs nothing."""


@dataclass(frozen=True)
class FoldInputs(Parameters):
    """What every network is trained with on a fold, and where that is told."""

    windowed_tensors: Version
    folds: FoldSpec
    windows: WindowSpec
    year: int
    hardware: "Hardware"
    checkpoints: Path
    tracking: "TrackingResource"
    log: logging.Logger


network = stage(group="models", kinds={"torch"}, partitions=years, checks=(PURGED,), pool="gpu", tuned=True)


@network
def b0_mlp(b0_mlp_spec: MlpSpec, inputs: FoldInputs) -> Product:
    """B0, the rival: the friend's 3-layer probabilistic MLP on 4 lagged returns, Normal output."""
    return train_fold("b0_mlp", b0_mlp_spec, inputs, calibration=None)


@network
def b1_tft(b1_tft_spec: TftSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B1: the Temporal Fusion Transformer without an embedding of the ticker, 3 horizons, 7 quantiles."""
    return train_fold("b1_tft", b1_tft_spec, inputs, calibration=calibration)


@network
def b2_tft_ticker(b2_tft_ticker_spec: TftSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B2: the Temporal Fusion Transformer with a ticker embedding, 3 horizons, 7 quantiles."""
    return train_fold("b2_tft_ticker", b2_tft_ticker_spec, inputs, calibration=calibration)


@network
def b3_tft_sector(b3_tft_sector_spec: TftSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B3: the Temporal Fusion Transformer with embeddings of ticker and sector, 3 horizons, 7 quantiles."""
    return train_fold("b3_tft_sector", b3_tft_sector_spec, inputs, calibration=calibration)


@network
def b4_patchtst(b4_patchtst_spec: PatchTstSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B4: a PatchTST encoder over the same variables, static context, the same quantile head."""
    return train_fold("b4_patchtst", b4_patchtst_spec, inputs, calibration=calibration)


def train_fold(name: str, spec: FitSpec, inputs: FoldInputs, *, calibration: CalibrationSpec | None) -> Product:
    """Train all fits of one model on one fold and forecast the fold's decisions.

    The asset's own forecast is that of its best fit by validation pinball, calibrated where ``calibration`` says so
    (None: the rival is left as it comes); the fits, candidates for the ensemble, stay raw, so that calibration has no say
    in who is chosen.
    """
    year, lookback, hardware, log = inputs.year, inputs.windows.lookback, inputs.hardware, inputs.log
    from forecast_assets.core.evaluation.plots import training_curves
    from forecast_assets.core.training.calibrate import calibrate_fold
    from forecast_assets.core.training.fit import predict
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(inputs.windowed_tensors.path(TENSORS))
    fold = make_fold(panel, year=year, spec=inputs.folds, lookback=lookback)
    stats = fit_stats(panel, fold)
    files: dict[str, Content] = {}
    tables: list[pl.DataFrame] = []
    forecasts: list[NDArray[np.float64]] = []
    curves: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    started, visits = time.perf_counter(), 0
    for seed in range(spec.seed, spec.seed + spec.fits):
        trained = tracked_fit(name, spec, seed, inputs, panel=panel, fold=fold, stats=stats)
        visits += len(trained.curve) * spec.visits_per_epoch
        last = trained.curve[-1]
        log.info(
            f"{name} {year} seed {seed}: validation pinball {trained.validation_pinball:.5f} "
            f"(epoch {trained.best_epoch + 1} of {len(trained.curve)}, {last['seconds']:.1f} s)"
        )
        quantiles = predict(
            name,
            spec,
            trained.weights,
            panel=panel,
            ends=fold.decisions,
            stats=stats,
            lookback=lookback,
            device=hardware.accelerator,
        )
        forecasts.append(quantiles.double().numpy())
        tables.append(fold_table(panel, fold, forecasts[-1], model=f"{name}/{seed}"))
        files[f"weights-{seed}.safetensors"] = trained.weights
        # Without the seconds: the same fit is the same bytes, or all that reads it would be made, and counted, again.
        curves += [{"fit": f"{name}/{seed}", **timeless(epoch)} for epoch in trained.curve]
        fits.append(
            {
                "fit": f"{name}/{seed}",
                "seed": seed,
                "best_epoch": trained.best_epoch,
                "validation_pinball": trained.validation_pinball,
            }
        )
    seconds = time.perf_counter() - started
    best = min(range(len(fits)), key=lambda k: fits[k]["validation_pinball"])
    seen = looked_at(
        name,
        spec,
        files[f"weights-{fits[best]['seed']}.safetensors"],
        panel=panel,
        fold=fold,
        stats=stats,
        lookback=lookback,
    )
    published: dict[str, Content] = {TABLE: tables[best].with_columns(model=pl.lit(name))}
    if calibration is not None and calibration.enabled:
        online = calibrate_fold(forecasts[best], panel=panel, fold=fold, spec=calibration)
        published = calibrated_files(panel, fold, forecasts[best], online, model=name)
    return Product(
        files={
            **files,
            **published,
            FITS: pl.concat(tables),
            IMPORTANCE: seen,
            TRAINING: {
                "fits": fits,
                "curve": curves,
                "unconditional_mean": list(stats.unconditional_mean),
                "tickers_known": [t for t, i in zip(panel.tickers, stats.ticker_ids.tolist(), strict=True) if i],
            },
        },
        facts={
            "best_validation_pinball": fits[best]["validation_pinball"],
            "train_decisions": len(fold.train),
            "validation_decisions": len(fold.validation),
            "test_decisions": len(fold.test),
            "visits": visits,
            "visits_per_second": round(visits / seconds, 1),
        },
        plots={
            "training": training_curves(pl.DataFrame(curves)),
            **({"importance": importance_plot(f"{name} {year}: what it looks at", seen)} if seen else {}),
        },
        checks=purge_check(panel, fold),
        seeds=tuple(f["seed"] for f in fits),
    )


def timeless(epoch: Mapping[str, float]) -> dict[str, float]:
    """An epoch's metrics without how long it took."""
    return {name: value for name, value in epoch.items() if name != "seconds"}


def tracked_fit(
    name: str,
    spec: FitSpec,
    seed: int,
    inputs: FoldInputs,
    *,
    panel: "PanelTensors",
    fold: "Fold",
    stats: "FoldStats",
) -> "Fit":
    """One fit, its epochs logged and tracked; where the device's memory does not suffice, with half the batch."""
    import torch

    from forecast_assets.core.training.fit import Resumable, fit

    year, lookback, log = inputs.year, inputs.windows.lookback, inputs.log
    config = {"model": name, "year": year, "seed": seed, "lookback": lookback, **spec.model_dump()}
    with inputs.tracking.run(name=f"{name}/{year}/{seed}", group=name, config=config, log=log) as record:

        def on_epoch(epoch: Mapping[str, float]) -> None:
            record(epoch)
            log.debug(
                f"{name} {year} seed {seed}: epoch {epoch['epoch'] + 1:.0f} of {spec.epochs}, "
                f"validation pinball {epoch['validation_pinball']:.5f}, {epoch['seconds']:.0f} s"
            )

        while True:
            try:
                return fit(
                    name,
                    spec,
                    panel=panel,
                    fold=fold,
                    stats=stats,
                    lookback=lookback,
                    seed=seed,
                    hardware=inputs.hardware,
                    on_epoch=on_epoch,
                    # The folder belongs to these very settings, code and rows; the seed and the batch are all that is left.
                    checkpoint=Resumable(inputs.checkpoints / f"{seed}-{spec.batch_size}", key=inputs.checkpoints.name),
                )
            except torch.OutOfMemoryError:
                if spec.batch_size <= spec.ends_per_run:
                    raise
                spec = spec.model_copy(update={"batch_size": max(spec.ends_per_run, spec.batch_size // 2)})
                log.warning(
                    f"{name} {year} seed {seed}: the device's memory does not hold a batch of "
                    f"{2 * spec.batch_size} windows; trying {spec.batch_size}"
                )


EXPLAINED = 256
"""Test decisions, evenly spaced, whose explanations are averaged."""


def looked_at(
    name: str,
    spec: FitSpec,
    weights: Any,
    *,
    panel: "PanelTensors",
    fold: "Fold",
    stats: "FoldStats",
    lookback: int,
) -> dict[str, Any]:
    """The variables a model selected and the sessions it attended to in the test year; empty if it can't tell.

    ``variables``, ``ahead`` and ``static`` by name, ``attention`` by session of the window, oldest first: each adds up to
    1 (or is empty). ``decisions`` is how many are averaged.
    """
    from forecast_assets.core.training.fit import explain_decisions, trained_model

    model = trained_model(name, spec, weights, stats=stats, lookback=lookback)
    ends = fold.test[:: max(1, len(fold.test) // EXPLAINED)]
    found = explain_decisions(model, ends, panel=panel, stats=stats)
    if found is None:
        return {}
    means = {
        "variables": (found.encoder_names, found.encoder),
        "ahead": (found.decoder_names, found.decoder),
        "static": (found.static_names, found.static),
    }
    return {
        "decisions": len(ends),
        "attention": found.attention.mean(dim=0).tolist(),
        **{key: dict(zip(names, w.mean(dim=0).tolist(), strict=True)) for key, (names, w) in means.items()},
    }


def importance_plot(title: str, seen: Mapping[str, Any]) -> "Figure":
    """``looked_at``, drawn."""
    from forecast_assets.core.evaluation.explanations import explanation_figure, ranked

    variables = seen["variables"]
    return explanation_figure(
        title, variables=ranked(list(variables.values()), list(variables)), attention=seen["attention"]
    )
