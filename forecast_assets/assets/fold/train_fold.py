"""Train one model on one fold, and what the fold publishes."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forecast_assets.assets.fold.candidates import why_skipped
from forecast_assets.assets.fold.diagnostics import Diagnostics, diagnostics
from forecast_assets.assets.fold.first_use import audited, limited, stopped
from forecast_assets.assets.fold.fit_monitor import FitMonitor
from forecast_assets.assets.fold.fold_work import Fitted, FoldData, FoldInputs, FoldWork
from forecast_assets.assets.fold.forecast_files import calibrated_files, fold_table
from forecast_assets.assets.fold.reference_check import REFERENCE, reference_check
from forecast_assets.assets.framework.causality_checks import purge_check
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import SKIPPED, Check, Content, StageOutput
from forecast_assets.core.errors import BadModel, OutOfTime
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.specs import CalibrationSpec, OwnModelsSpec
from forecast_assets.resources.engine import ProcessEnded, in_order
from forecast_assets.store.artefact_files import FITS, IMPORTANCE, TABLE, TRAINING, weights_file

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Fit


FORECASTS = CheckSpec(
    "returns_forecasts",
    "the panel has what the model reads; the model could be trained, returned quantiles and, where it is one's own, does "
    "not look ahead",
    blocking=False,
)


def train_fold(
    name: str, spec: ModelSpec, inputs: FoldInputs, *, calibration: CalibrationSpec, own: OwnModelsSpec | None = None
) -> StageOutput:
    """Train all fits of one model on one fold and forecast the fold's origins; skipped where the panel lacks what it needs,
    or code of one's own (``own``: its limits) fails, looks ahead or takes too long.

    The asset's own forecast is that of its best fit by validation pinball, calibrated unless ``calibration`` is off; the
    fits, candidates for the ensemble, stay raw, so that calibration has no influence on the selection.
    """
    from forecast_assets.core.report.figures import training_curves
    from forecast_assets.core.training.calibrate import calibrate_fold
    from forecast_assets.core.training.trained import trained_model

    work = FoldWork(
        name, spec, inputs.year, inputs.folds, inputs.windows.lookback, inputs.windowed_tensors, inputs.hardware,
        inputs.checkpoints,
    )  # fmt: skip
    panel, fold, stats = work.data
    if why := why_skipped(name, spec, panel, fold.train):
        return skipped_fold(name, why, work=work, log=inputs.log)
    started = time.perf_counter()
    try:
        audit = None if own is None else audited(work, inputs, own=own)
        done = list(run_fits(work, inputs, own=own))
    except BadModel as error:  # the other models' forecasts do not wait for it
        return skipped_fold(name, str(error), work=work, log=inputs.log)
    seconds = time.perf_counter() - started
    best, quantiles = min(done, key=lambda each: each.fit.validation_pinball)
    shown, checks = Diagnostics(files={IMPORTANCE: {}}), purge_check(panel, fold)
    if best.weights:
        model = trained_model(name, spec, best.weights, stats=stats, lookback=work.lookback)
        shown = diagnostics(model, title=f"{name} {inputs.year}", panel=panel, fold=fold, stats=stats)
        if MODELS[name].family == "tft":
            checks |= reference_check(model, panel=panel, fold=fold, stats=stats)
    sentence = f"{len(done)} fits forecast {len(fold.origins)} origins each"
    if audit is not None:
        sentence += f"; {audit.in_words()}"
    checks[FORECASTS.name] = Check(audit is None or not audit.not_judged, sentence, warns=True)
    published: dict[str, Content] = {TABLE: fold_table(panel, fold, quantiles, model=name)}
    if calibration.enabled:
        online = calibrate_fold(quantiles, panel=panel, fold=fold, spec=calibration)
        published = calibrated_files(panel, fold, quantiles, online, model=name)
    tables = [fold_table(panel, fold, each.quantiles, model=f"{name}/{each.fit.seed}") for each in done]
    # Without the seconds: the same fit is the same bytes, or all that reads it would be made, and counted, again.
    curves = [{"fit": f"{name}/{fit.seed}", **timeless(epoch)} for fit, _ in done for epoch in fit.curve]
    samples = sum(fit.samples for fit, _ in done)
    return StageOutput(
        files={
            **{weights_file(fit.seed): fit.weights for fit, _ in done if fit.weights},
            **published,
            FITS: pl.concat(tables),
            **shown.files,
            TRAINING: training_record(work.data, fits=[fit_record(name, fit) for fit, _ in done], curve=curves),
        },
        facts={
            **shown.facts,
            "best_validation_pinball": best.validation_pinball,
            **({} if best.location is None else {"location": best.location.in_words()}),
            "train_origins": len(fold.train),
            "validation_origins": len(fold.validation),
            "test_origins": len(fold.test),
            **({"limits": " ".join(limits)} if (limits := MODELS[name].limits) else {}),
            **({} if audit is None else {"audit": audit.in_words()}),
            "samples": samples,
            "samples_per_second": round(samples / seconds, 1),
        },
        plots={"training": training_curves(pl.DataFrame(curves)), **shown.plots},
        checks=checks,
        seeds=tuple(fit.seed for fit, _ in done),
    )


def run_fits(work: FoldWork, inputs: FoldInputs, *, own: OwnModelsSpec | None = None) -> Iterator[Fitted]:
    """Yield the fits of a fold in the order of their seeds, logged and tracked.

    Raises BadModel where code of one's own fails, or takes longer than ``own`` allows.
    """
    seeds = range(work.spec.seed, work.spec.seed + work.spec.fits)
    needs = work.needs() if own is None else limited(work.needs(), own)
    with FitMonitor(work, seeds, tracking=inputs.tracking, log=inputs.log) as monitor:
        done = in_order(inputs.engine, work, seeds, needs=needs, on_message=monitor.on_message)
        try:
            for seed, fitted in zip(seeds, done, strict=True):
                monitor.on_fit_end(seed, fitted.fit)
                yield fitted
        except (OutOfTime, ProcessEnded) as problem:
            if own is None:
                raise
            raise stopped(MODELS[work.name], monitor.running[problem.position], problem, own) from problem


def fit_record(name: str, fit: "Fit") -> dict[str, Any]:
    """Return the entry of one fit in ``TRAINING``."""
    scores = {"best_epoch": fit.best_epoch, "validation_pinball": fit.validation_pinball}
    earned = {} if fit.location is None else {"location_slope": list(fit.location.slope)}
    return {"fit": f"{name}/{fit.seed}", "seed": fit.seed, **scores, **earned}


def training_record(data: "FoldData", *, fits: list[dict[str, Any]], curve: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of ``TRAINING``."""
    panel, _, stats = data
    return {
        "fits": fits,
        "curve": curve,
        "unconditional_mean": list(stats.unconditional_mean),
        "tickers_known": [t for t, i in zip(panel.tickers, stats.ticker_ids.tolist(), strict=True) if i],
    }


def skipped_fold(name: str, why: str, *, work: "FoldWork", log: logging.Logger) -> StageOutput:
    """Return a fold without fits and forecasts, with the reason; the ensemble is then made of the other models."""
    panel, fold, _ = work.data
    log.warning(f"skipped: {why}")
    empty = replace(fold, validation=fold.validation[:0], test=fold.test[:0])
    nothing = fold_table(panel, empty, np.empty((0, len(HORIZONS), len(QUANTILES))), model=name)
    checks = purge_check(panel, fold)
    if MODELS[name].family == "tft":
        checks |= {REFERENCE.name: Check(True, "there is no fit to compare")}
    checks[FORECASTS.name] = Check(False, why, warns=True)
    return StageOutput(
        files={TABLE: nothing, FITS: nothing, IMPORTANCE: {}, TRAINING: training_record(work.data, fits=[], curve=[])},
        facts={SKIPPED: why},
        checks=checks,
    )


def timeless(epoch: Mapping[str, float]) -> dict[str, float]:
    """Return an epoch's metrics without its duration."""
    return {name: value for name, value in epoch.items() if name != "seconds"}
