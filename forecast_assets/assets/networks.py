"""The trained models: one asset per model, one fold per year, several fits per fold."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.causality import PURGED, purge_check
from forecast_assets.assets.decisions import calibrated_files, fold_table
from forecast_assets.assets.exhibits import IMPORTANCE, exhibits
from forecast_assets.assets.followed import Followed
from forecast_assets.assets.partitions import years
from forecast_assets.assets.pool import SKIPPED, why_skipped
from forecast_assets.assets.product import TABLE, Content, Product
from forecast_assets.assets.stage import Parameters, stage
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.specs import (
    CalibrationSpec,
    FitSpec,
    FoldSpec,
    GraphSpec,
    MamlSpec,
    MlpSpec,
    MoeSpec,
    PatchTstSpec,
    TftSpec,
    WindowSpec,
)
from forecast_assets.resources.engine import Engine, Needs, Say, fit_needs, in_order
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Fit, Hardware
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.resources.tracking import TrackingResource

FITS = "fits.parquet"
"""Forecasts of every single fit, ``model`` being ``<asset key>/<seed>``."""

TRAINING = "training.json"


@dataclass(frozen=True)
class FoldInputs(Parameters):
    """What every network is trained with on a fold, and where that is told."""

    windowed_tensors: Version
    folds: FoldSpec
    windows: WindowSpec
    year: int
    hardware: "Hardware"
    engine: Engine
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


@network
def b5_moe(b5_moe_spec: MoeSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B5: B3 with a mixture of experts that VIX and interest rates choose from; skipped, with the reason, without them."""
    return train_fold("b5_moe", b5_moe_spec, inputs, calibration=calibration)


@network
def b6_graph(b6_graph_spec: GraphSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B6: B3 with messages of the most correlated names, along a graph of the last 60 sessions as known at each decision."""
    return train_fold("b6_graph", b6_graph_spec, inputs, calibration=calibration)


@network
def b7_maml(b7_maml_spec: MamlSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> Product:
    """B7: the TFT without a ticker embedding, with a head that adapts to the ticker's last sessions by meta-learnt steps."""
    return train_fold("b7_maml", b7_maml_spec, inputs, calibration=calibration)


NETWORK_ASSETS = [b0_mlp, b1_tft, b2_tft_ticker, b3_tft_sector, b4_patchtst, b5_moe, b6_graph, b7_maml]


def train_fold(name: str, spec: FitSpec, inputs: FoldInputs, *, calibration: CalibrationSpec | None) -> Product:
    """Train all fits of one model on one fold and forecast the fold's decisions; skipped where the panel lacks what the
    model cannot do without.

    The asset's own forecast is that of its best fit by validation pinball, calibrated where ``calibration`` says so
    (None: the rival is left as it comes); the fits, candidates for the ensemble, stay raw, so that calibration has no say
    in who is chosen.
    """
    year, lookback = inputs.year, inputs.windows.lookback
    from forecast_assets.core.evaluation.plots import training_curves
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
    started, visits = time.perf_counter(), 0
    with Followed(work, seeds, tracking=inputs.tracking, log=inputs.log) as followed:
        for seed, (trained, quantiles) in zip(
            seeds, in_order(inputs.engine, work, seeds, needs=work.needs(), hear=followed.hear), strict=True
        ):
            followed.over(seed, trained)
            visits += len(trained.curve) * spec.visits_per_epoch
            forecasts.append(quantiles)
            tables.append(fold_table(panel, fold, quantiles, model=f"{name}/{seed}"))
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
    weights: Any = files[f"weights-{fits[best]['seed']}.safetensors"]
    model = trained_model(name, spec, weights, stats=stats, lookback=lookback)
    shown = exhibits(model, title=f"{name} {year}", panel=panel, fold=fold, stats=stats)
    published: dict[str, Content] = {TABLE: tables[best].with_columns(model=pl.lit(name))}
    if calibration is not None and calibration.enabled:
        online = calibrate_fold(forecasts[best], panel=panel, fold=fold, spec=calibration)
        published = calibrated_files(panel, fold, forecasts[best], online, model=name)
    return Product(
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
            "visits": visits,
            "visits_per_second": round(visits / seconds, 1),
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


def skipped_fold(name: str, why: str, *, work: "FoldWork", log: logging.Logger) -> Product:
    """A fold without fits and forecasts, and why; what is made of several models is made of the others."""
    panel, fold, _ = work.data
    log.warning(f"skipped: {why}")
    undecided = replace(fold, validation=fold.validation[:0], test=fold.test[:0])
    nothing = fold_table(panel, undecided, np.empty((0, len(HORIZONS), len(QUANTILES))), model=name)
    return Product(
        files={TABLE: nothing, FITS: nothing, IMPORTANCE: {}, TRAINING: training_record(work.data, fits=[], curve=[])},
        facts={SKIPPED: why},
        checks=purge_check(panel, fold),
    )


def timeless(epoch: Mapping[str, float]) -> dict[str, float]:
    """An epoch's metrics without how long it took."""
    return {name: value for name, value in epoch.items() if name != "seconds"}


class FoldData(NamedTuple):
    """A fold, opened."""

    panel: "PanelTensors"
    fold: "Fold"
    stats: "FoldStats"


class Fitted(NamedTuple):
    """One fit, and its forecasts of the fold's decisions."""

    fit: "Fit"
    quantiles: NDArray[np.float64]  # (validation + test, 3, 7), raw


@dataclass(frozen=True)
class FoldWork:
    """The fits of one model on one fold: from a seed to a ``Fitted``, on any machine.

    It is sent by name: what it reads is opened where it runs, once, and stays behind when it is sent on.
    """

    name: str
    spec: FitSpec
    year: int
    folds: FoldSpec
    lookback: int
    windowed_tensors: Version
    hardware: "Hardware"
    checkpoints: Path

    @cached_property
    def data(self) -> FoldData:
        """The fold and what it is trained with, read from the store."""
        import torch

        from forecast_assets.core.windows.folds import make_fold
        from forecast_assets.core.windows.graph import as_read_by
        from forecast_assets.core.windows.stats import fit_stats
        from forecast_assets.core.windows.tensors import PanelTensors

        panel = PanelTensors.load(self.windowed_tensors.path(TENSORS))
        fold = make_fold(panel, year=self.year, spec=self.folds, lookback=self.lookback)
        panel = as_read_by(self.spec, panel, ends=torch.cat([fold.train, fold.decisions]), lookback=self.lookback)
        return FoldData(panel, fold, fit_stats(panel, fold))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "data"}

    def needs(self) -> Needs:
        """What a fit takes of a machine."""
        return fit_needs(self.hardware, tensor_bytes=self.windowed_tensors.manifest.files[TENSORS].bytes)

    def __call__(self, seed: int, say: Say) -> Fitted:
        """One fit, which says each epoch (a mapping) and what is worth a warning (a text); where the device's memory
        does not suffice, with half the batch.
        """
        import torch

        from forecast_assets.core.training.fit import Resumable, fit, predict

        spec, (panel, fold, stats), lookback = self.spec, self.data, self.lookback
        while True:
            try:
                trained = fit(
                    self.name,
                    spec,
                    panel=panel,
                    fold=fold,
                    stats=stats,
                    lookback=lookback,
                    seed=seed,
                    hardware=self.hardware,
                    on_epoch=say,
                    # The folder belongs to these very settings, code and rows; the seed and the batch are all that is left.
                    checkpoint=Resumable(self.checkpoints / f"{seed}-{spec.batch_size}", key=self.checkpoints.name),
                )
                break
            except torch.OutOfMemoryError:
                if spec.batch_size <= spec.ends_per_run:
                    raise
                spec = spec.model_copy(update={"batch_size": max(spec.ends_per_run, spec.batch_size // 2)})
                say(
                    f"the device's memory does not hold a batch of {2 * spec.batch_size} windows; trying {spec.batch_size}"
                )
        quantiles = predict(
            self.name,
            self.spec,
            trained.weights,
            panel=panel,
            ends=fold.decisions,
            stats=stats,
            lookback=lookback,
            device=self.hardware.accelerator,
        )
        return Fitted(trained, quantiles.double().numpy())
