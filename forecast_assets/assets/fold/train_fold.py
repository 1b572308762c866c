"""Train one model on one fold, and what the fold publishes."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.fold.candidates import SKIPPED, why_skipped
from forecast_assets.assets.fold.diagnostics import diagnostics
from forecast_assets.assets.fold.fit_monitor import FitMonitor
from forecast_assets.assets.fold.fold_work import FoldData, FoldInputs, FoldWork
from forecast_assets.assets.fold.forecast_files import calibrated_files, fold_table
from forecast_assets.assets.framework.causality_checks import purge_check
from forecast_assets.assets.framework.output import Content, StageOutput
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.specs import CalibrationSpec, FitSpec
from forecast_assets.resources.engine import in_order
from forecast_assets.store.artefact_files import FITS, IMPORTANCE, TABLE, TRAINING, weights_file


def train_fold(name: str, spec: FitSpec, inputs: FoldInputs, *, calibration: CalibrationSpec | None) -> StageOutput:
    """Train all fits of one model on one fold and forecast the fold's decisions; skipped where the panel lacks what the
    model cannot do without.

    The asset's own forecast is that of its best fit by validation pinball, calibrated where ``calibration`` says so
    (None: the rival is left as it comes); the fits, candidates for the ensemble, stay raw, so that calibration has no say
    in who is chosen.
    """
    year, lookback = inputs.year, inputs.windows.lookback
    from forecast_assets.core.report.figures import training_curves
    from forecast_assets.core.training.calibrate import calibrate_fold
    from forecast_assets.core.training.fit import trained_model

    work = FoldWork(
        name, spec, year, inputs.folds, lookback, inputs.windowed_tensors, inputs.hardware, inputs.checkpoints
    )
    seeds = range(spec.seed, spec.seed + spec.fits)
    panel, fold, stats = work.data
    if why := why_skipped(name, spec, panel, fold.train):
        return skipped_fold(name, why, work=work, log=inputs.log)
    files: dict[str, Content] = {}
    tables: list[pl.DataFrame] = []
    forecasts: list[NDArray[np.float64]] = []
    curves: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    started, samples = time.perf_counter(), 0
    with FitMonitor(work, seeds, tracking=inputs.tracking, log=inputs.log) as followed:
        for seed, (trained, quantiles) in zip(
            seeds, in_order(inputs.engine, work, seeds, needs=work.needs(), on_message=followed.on_message), strict=True
        ):
            followed.over(seed, trained)
            samples += len(trained.curve) * spec.samples_per_epoch
            forecasts.append(quantiles)
            tables.append(fold_table(panel, fold, quantiles, model=f"{name}/{seed}"))
            files[weights_file(seed)] = trained.weights
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
    weights: Any = files[weights_file(fits[best]["seed"])]
    model = trained_model(name, spec, weights, stats=stats, lookback=lookback)
    shown = diagnostics(model, title=f"{name} {year}", panel=panel, fold=fold, stats=stats)
    published: dict[str, Content] = {TABLE: tables[best].with_columns(model=pl.lit(name))}
    if calibration is not None and calibration.enabled:
        online = calibrate_fold(forecasts[best], panel=panel, fold=fold, spec=calibration)
        published = calibrated_files(panel, fold, forecasts[best], online, model=name)
    return StageOutput(
        files={
            **files,
            **published,
            FITS: pl.concat(tables),
            **shown.files,
            TRAINING: training_record(work.data, fits=fits, curve=curves),
        },
        facts={
            **shown.facts,
            "best_validation_pinball": fits[best]["validation_pinball"],
            "train_decisions": len(fold.train),
            "validation_decisions": len(fold.validation),
            "test_decisions": len(fold.test),
            "samples": samples,
            "visits_per_second": round(samples / seconds, 1),
        },
        plots={"training": training_curves(pl.DataFrame(curves)), **shown.plots},
        checks=purge_check(panel, fold),
        seeds=tuple(f["seed"] for f in fits),
    )


def training_record(data: "FoldData", *, fits: list[dict[str, Any]], curve: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``TRAINING`` holds."""
    panel, _, stats = data
    return {
        "fits": fits,
        "curve": curve,
        "unconditional_mean": list(stats.unconditional_mean),
        "tickers_known": [t for t, i in zip(panel.tickers, stats.ticker_ids.tolist(), strict=True) if i],
    }


def skipped_fold(name: str, why: str, *, work: "FoldWork", log: logging.Logger) -> StageOutput:
    """A fold without fits and forecasts, and why; what is made of several models is made of the others."""
    panel, fold, _ = work.data
    log.warning(f"skipped: {why}")
    undecided = replace(fold, validation=fold.validation[:0], test=fold.test[:0])
    nothing = fold_table(panel, undecided, np.empty((0, len(HORIZONS), len(QUANTILES))), model=name)
    return StageOutput(
        files={TABLE: nothing, FITS: nothing, IMPORTANCE: {}, TRAINING: training_record(work.data, fits=[], curve=[])},
        facts={SKIPPED: why},
        checks=purge_check(panel, fold),
    )


def timeless(epoch: Mapping[str, float]) -> dict[str, float]:
    """An epoch's metrics without how long it took."""
    return {name: value for name, value in epoch.items() if name != "seconds"}
