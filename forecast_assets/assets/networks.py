"""The trained models: one asset per model, one fold per year, several fits per fold."""

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.causality import PURGED, purge_check
from forecast_assets.assets.decisions import calibrated_files, fold_table
from forecast_assets.assets.partitions import years
from forecast_assets.assets.product import TABLE, Content, Product
from forecast_assets.assets.stage import stage
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.specs import CalibrationSpec, FitSpec, FoldSpec, MlpSpec, TftSpec, WindowSpec
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware

FITS = "fits.parquet"
"""Forecasts of every single fit, ``model`` being ``<asset key>/<seed>``."""

TRAINING = "training.json"


@stage(group="models", kinds={"torch"}, partitions=years, checks=(PURGED,), pool="gpu")
def b0_mlp(
    windowed_tensors: Version,
    b0_mlp_spec: MlpSpec,
    folds: FoldSpec,
    windows: WindowSpec,
    year: int,
    hardware: Any,
    log: Any,
) -> Product:
    """B0, the rival: the friend's 3-layer probabilistic MLP on 4 lagged returns, Normal output."""
    return train_fold("b0_mlp", b0_mlp_spec, windowed_tensors, folds, windows, year, hardware, log)


@stage(group="models", kinds={"torch"}, partitions=years, checks=(PURGED,), pool="gpu")
def b2_tft_ticker(
    windowed_tensors: Version,
    b2_tft_ticker_spec: TftSpec,
    folds: FoldSpec,
    windows: WindowSpec,
    calibration: CalibrationSpec,
    year: int,
    hardware: Any,
    log: Any,
) -> Product:
    """B2: the Temporal Fusion Transformer with a ticker embedding, 3 horizons, 7 quantiles."""
    return train_fold(
        "b2_tft_ticker", b2_tft_ticker_spec, windowed_tensors, folds, windows, year, hardware, log, calibration
    )


def train_fold(
    name: str,
    spec: FitSpec,
    windowed_tensors: Version,
    folds: FoldSpec,
    windows: WindowSpec,
    year: int,
    hardware: "Hardware",
    log: logging.Logger,
    calibration: CalibrationSpec | None = None,
) -> Product:
    """Train all fits of one model on one fold and forecast the fold's decisions.

    The asset's own forecast is that of its best fit by validation pinball, calibrated where ``calibration`` says so; the
    fits, candidates for the ensemble, stay raw, so that calibration has no say in who is chosen.
    """
    from forecast_assets.core.evaluation.plots import training_curves
    from forecast_assets.core.training.calibrate import calibrate_fold
    from forecast_assets.core.training.fit import fit, predict
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    fold = make_fold(panel, year=year, spec=folds, lookback=windows.lookback)
    stats = fit_stats(panel, fold)
    files: dict[str, Content] = {}
    tables: list[pl.DataFrame] = []
    forecasts: list[NDArray[np.float64]] = []
    curves: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    started, visits = time.perf_counter(), 0
    for seed in range(spec.seed, spec.seed + spec.fits):
        trained = fit(
            name, spec, panel=panel, fold=fold, stats=stats, lookback=windows.lookback, seed=seed, hardware=hardware
        )
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
            lookback=windows.lookback,
            device=hardware.accelerator,
        )
        forecasts.append(quantiles.double().numpy())
        tables.append(fold_table(panel, fold, forecasts[-1], model=f"{name}/{seed}"))
        files[f"weights-{seed}.safetensors"] = trained.weights
        curves += [{"fit": f"{name}/{seed}", **epoch} for epoch in trained.curve]
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
    published: dict[str, Content] = {TABLE: tables[best].with_columns(model=pl.lit(name))}
    if calibration is not None and calibration.enabled:
        online = calibrate_fold(forecasts[best], panel=panel, fold=fold, spec=calibration)
        published = calibrated_files(panel, fold, forecasts[best], online, model=name)
    return Product(
        files={
            **files,
            **published,
            FITS: pl.concat(tables),
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
        plots={"training": training_curves(pl.DataFrame(curves))},
        checks=purge_check(panel, fold),
        seeds=tuple(f["seed"] for f in fits),
    )
