"""Fit one network on one fold with early stopping on validation pinball, and forecast with it.

Lightning runs the loop: device, precision, gradient clipping, optimiser steps. Its checkpoints are off because they are
pickles without the state of the random number generators, and a resumed fit has to end in the same bits (``checkpoint``).
Its progress bar and loggers are off because fits run in other processes and on other machines: ``on_epoch`` reports to the
caller, who logs and tracks. Early stopping is our own: the initial weights of a warm start compete with the epochs, and a
finished fit that is resumed trains no further.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.models.base import ForecastModel, make_batch, standardised_pinball
from forecast_assets.core.models.catalogue import MODELS, FitSpec
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.training.checkpoint import Checkpoint, Stateful, load_checkpoint, save_checkpoint
from forecast_assets.core.training.estimator import fit_estimator
from forecast_assets.core.training.location import EarnedLocation, earned_location
from forecast_assets.core.training.trained import load_weights, trained_model
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.labels import training_labels
from forecast_assets.core.windows.sampler import WindowSampler, sample_of_tickers
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, WindowBatch, check_windows, cover

logger = logging.getLogger(__name__)
# Available accelerators and advertisements are not worth a line for every fit of every fold.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)

INFERENCE_BATCH = 1024  # windows per call; a network may compute fewer at a time
INFERENCE_ENDS = 256  # of a block at most: more ends share more work, and waste more where a ticker has fewer
START = -1  # epoch number of the weights that a warm-started fit begins with


@dataclass(frozen=True)
class Hardware:
    """Where a fit runs: Lightning's accelerator and precision."""

    accelerator: str
    precision: str


@dataclass(frozen=True)
class Resumable:
    """Folder of a fit's last finished epoch, and the fit's identity: a digest of settings, data, code and seed."""

    folder: Path
    key: str


@dataclass(frozen=True)
class Fit:
    """One trained model: the weights of its best epoch and the curve of all epochs; an estimator has one epoch."""

    seed: int
    weights: dict[str, Tensor]
    best_epoch: int  # START: no epoch was better than the initial weights
    validation_pinball: float  # standardised, mean over levels, horizons and matured validation labels
    location: EarnedLocation | None = None  # of the learned location, published with it; None without a quantile head
    curve: list[dict[str, float]] = field(default_factory=list)
    """Per epoch: epoch, train_loss, validation_pinball of the origins that epochs are compared on, ..."""
    validation_quantiles: NDArray[np.float64] | None = None
    """At the fold's validation rows, (M, 3, 7); None where the best epoch was judged by no more than the others."""
    origin_quantiles: NDArray[np.float64] | None = None
    """At the fold's origins, (validation + test, 3, 7): what an estimator without a network leaves; it has no weights."""
    samples: int = 0  # training rows or windows that were read, over all epochs


class _Epochs:
    """Training batches, drawn anew each epoch from a generator of its own."""

    def __init__(self, sampler: WindowSampler, *, spec: FitSpec, seed: int) -> None:
        self.sampler = sampler
        self.runs = sampler.blocks_for(spec.samples_per_epoch)
        self.batch_runs = max(1, spec.batch_size // sampler.layout.ends)
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[WindowBatch]:
        drawn = self.sampler.draw(self.runs, generator=self.generator)
        for k in range(0, self.runs, self.batch_runs):
            yield drawn[k : k + self.batch_runs]

    def __len__(self) -> int:
        return -(-self.runs // self.batch_runs)


class _Loop(lightning.LightningModule):
    """One training step and one validation epoch; the network itself stays a plain torch module."""

    def __init__(
        self, model: ForecastModel, *, panel: PanelTensors, fold: Fold, stats: FoldStats, spec: FitSpec, epochs: _Epochs
    ) -> None:
        super().__init__()
        self.model, self.spec, self.epochs = model, spec, epochs
        self.panel, self.fold, self.stats = panel, fold, stats
        self.compared = sample_of_tickers(panel, fold.validation, origins=spec.compared_origins)
        self.labels = training_labels(panel, fold.sampled, stats=stats)
        self.on_epoch: Callable[[Mapping[str, float]], None] | None = None
        self.checkpoint: Resumable | None = None
        self.resumed: Checkpoint | None = None
        self.is_warm = False
        self.curve: list[dict[str, float]] = []
        self.best: Fit | None = None
        self._losses: list[Tensor] = []
        self._started = time.perf_counter()

    def on_fit_start(self) -> None:
        self.panel, self.stats = self.panel.to(self.device), self.stats.to(self.device)
        self.labels = self.labels.to(self.device)

    def on_train_start(self) -> None:
        if self.resumed is not None:
            self.resumed.restore(states=self._states(), generators={"draws": self.epochs.generator})
        elif self.is_warm:
            self.model.eval()
            self._keep_if_best(START, *self._score())
            self.model.train()

    def _keep_if_best(self, epoch: int, score: float, location: EarnedLocation | None) -> None:
        if math.isfinite(score) and (self.best is None or score < self.best.validation_pinball):
            weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = Fit(seed=-1, weights=weights, best_epoch=epoch, validation_pinball=score, location=location)

    def _score(self) -> tuple[float, EarnedLocation | None]:
        """Return the validation pinball and the location, which a warm start does not earn anew: the few sessions that a
        night validates on could not tell, and so it keeps the slope that it began with.
        """
        ends = self.compared.to(self.device)
        earns = not self.is_warm
        score, location, _ = judge(self.model, ends, scored=len(ends), panel=self.panel, stats=self.stats, earns=earns)
        return score, location

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint."""
        self.resumed = checkpoint
        self.curve, best = list(checkpoint.record["curve"]), checkpoint.record["best"]
        if best is not None:
            location = best["location"] and EarnedLocation(*best["location"])
            self.best = Fit(seed=-1, **{**best, "location": location})

    @property
    def is_over(self) -> bool:
        """Whether all epochs were run, or ``patience`` epochs brought no improvement."""
        done = len(self.curve)
        since = done - 1 - self.best.best_epoch if self.best is not None else done
        return done >= self.spec.epochs or since >= self.spec.patience

    def _states(self) -> dict[str, Stateful]:
        optimiser: Any = self.optimizers(use_pl_optimizer=False)
        schedule: Any = self.lr_schedulers()
        return {"model": self.model, "optimiser": optimiser, "schedule": schedule}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        kept = ("weights", "best_epoch", "validation_pinball", "location")
        best = None if self.best is None else {name: getattr(self.best, name) for name in kept}
        save_checkpoint(
            self.checkpoint.folder,
            key=self.checkpoint.key,
            epochs=len(self.curve),
            states=self._states(),
            generators={"draws": self.epochs.generator},
            record={"curve": self.curve, "best": best},
        )

    def training_step(self, runs: WindowBatch, _index: int) -> Tensor:
        layout, reads, lookback = self.epochs.sampler.layout, self.model.reads, self.model.lookback
        batch = make_batch(
            self.panel, runs, layout=layout, stats=self.stats, reads=reads, lookback=lookback, labels=self.labels
        )
        loss = self.model.loss(batch)
        self._losses.append(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        """Score the epoch on the fold's validation rows; keep its weights if it is the best so far."""
        self.model.eval()
        score, location = self._score()
        self.model.train()
        train_loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        seconds = time.perf_counter() - self._started
        epoch = len(self.curve)
        metrics = {"epoch": epoch, "train_loss": train_loss, "validation_pinball": score, "seconds": seconds}
        self.curve.append(metrics | ({} if location is None else location.slopes()))
        self._keep_if_best(epoch, score, location)
        self._save()
        if self.on_epoch is not None:
            self.on_epoch(self.curve[-1])
        self.trainer.should_stop = self.is_over

    def configure_optimizers(self) -> Any:
        rate, decay = self.spec.learning_rate, self.spec.weight_decay
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=decay, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.spec.epochs * len(self.epochs))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@torch.no_grad()
def forecast(model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Tensor:
    """Return quantiles of the log return for the forecast origins at rows ``ends``: (B,) -> (B, 3, 7), in their order.

    Windows are computed in blocks of consecutive ends; ``ends`` may come in any order. All on one device.
    """
    layout, runs, place = cover(panel, ends, longest=INFERENCE_ENDS)
    size = max(1, INFERENCE_BATCH // layout.ends)
    gather = partial(make_batch, panel, layout=layout, stats=stats, reads=model.reads, lookback=model.lookback)
    return torch.cat([model(gather(runs[k : k + size])) for k in range(0, len(runs), size)])[place]


def judge(
    model: ForecastModel, ends: Tensor, *, scored: int, panel: PanelTensors, stats: FoldStats, earns: bool
) -> tuple[float, EarnedLocation | None, Tensor]:
    """Return the standardised pinball loss of the last ``scored`` of the rows ``ends`` (M,), as they are published, and
    their quantiles (scored, 3, 7).

    A quantile head's location is earned first, on all of the rows, and the model publishes that slope from then on; unless
    ``earns`` is off: then it keeps its own. All on one device.
    """
    scale, target = stats.volatility(panel, ends), panel.targets[ends]
    head, location = model.quantile_head(), None
    if head is not None and earns:
        head.location_slope.fill_(1.0)  # as learned
    quantiles = forecast(model, ends, panel=panel, stats=stats)
    if head is not None and earns:
        location = earned_location(
            head.deviation(quantiles, scale).float().cpu(),
            (target / scale - head.base_median).float().cpu(),
            session=torch.searchsorted(panel.sessions(), panel.date[ends]).cpu(),
            exchange=panel.exchange[ends].cpu(),
        )
        head.publish(*location)
        quantiles = head.published(quantiles, scale)
    elif head is not None:
        location = EarnedLocation(tuple(head.location_slope.tolist()), tuple(head.location_error.tolist()))
    quantiles = quantiles[-scored:]
    return float(standardised_pinball(quantiles, target[-scored:], scale[-scored:])), location, quantiles


@dataclass(frozen=True)
class FoldTrainer:
    """Fits one model with its settings on one fold, and forecasts with the weights of a fit."""

    name: str
    spec: ModelSpec
    panel: PanelTensors  # with the graph that the model reads, see ``with_graph_if_read``
    fold: Fold
    stats: FoldStats
    lookback: int
    hardware: Hardware

    def fit(
        self,
        seed: int,
        *,
        start: Mapping[str, Tensor] | None = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        on_call: Callable[[str], object] | None = None,
        checkpoint: Resumable | None = None,
    ) -> Fit:
        """Train the model and return its best epoch; ``on_epoch`` is called with each epoch's metrics, ``on_call`` with the
        function of an estimator that runs now.

        Every epoch is compared on the same validation origins, at most about ``compared_origins``; the best one is scored on
        all of them.

        With a ``checkpoint``, a killed fit continues from its last finished epoch and ends with the same weights;
        ``on_epoch`` is called for the finished epochs again.

        ``start``: initial weights, trained with these very ``stats``, so that ids and scales mean the same. They are scored
        on validation before the first step and returned, as epoch ``START``, unless an epoch is better. A checkpoint's key
        has to depend on them too.

        A model that an estimator fits has one epoch and no checkpoint, and keeps the weights of a ``start``.

        Deterministic given ``seed`` on a CPU. Raises FloatingPointError where no epoch has a finite validation loss, and
        BadModel where a model of one's own fails.
        """
        spec, fold = self.spec, self.fold
        if MODELS[self.name].estimator is not None:
            return self._fit_estimator(seed, start=start, on_epoch=on_epoch, on_call=on_call)
        assert isinstance(spec, FitSpec)  # by the catalogue: a network that our loop trains
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = MODELS[self.name].build(spec, stats=self.stats, lookback=self.lookback)
            columns = self.panel.columns(model.reads.complete)
            for ends in (fold.train, fold.origins):
                check_windows(self.panel, ends, lookback=self.lookback, columns=columns)
            if start is not None:
                load_weights(model, start)
            layout = Layout(ends=spec.ends_per_block, stride=spec.stride_sessions)
            epochs = _Epochs(WindowSampler.over(self.panel, fold.sampled, layout=layout), spec=spec, seed=seed)
            loop = _Loop(model, panel=self.panel, fold=fold, stats=self.stats, spec=spec, epochs=epochs)
            loop.on_epoch, loop.checkpoint, loop.is_warm = on_epoch, checkpoint, start is not None
            if checkpoint is not None and (saved := load_checkpoint(checkpoint.folder, key=checkpoint.key)) is not None:
                loop.resume(saved)
            if on_epoch is not None:
                for entry in loop.curve:
                    on_epoch(entry)
            trainer = lightning.Trainer(
                max_epochs=max(1, spec.epochs - len(loop.curve)),
                accelerator=self.hardware.accelerator,
                devices=1,
                precision=self.hardware.precision,  # type: ignore[arg-type]
                gradient_clip_val=spec.gradient_clip,
                deterministic=self.hardware.accelerator == "cpu",
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
            )
            with warnings.catch_warnings():
                # Lightning uses a deprecated function of torch's pytree.
                warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
                if not loop.is_over:
                    trainer.fit(loop, epochs)
        which = f"{self.name}, fold {fold.year}, seed {seed}"
        if (best := loop.best) is None:
            raise FloatingPointError(f"{which}: no epoch had a finite validation loss")
        at = f"epoch {best.best_epoch + 1} of {len(loop.curve)}"
        logger.info("%s: validation pinball %.5f at %s", which, best.validation_pinball, at)
        best = replace(best, seed=seed, curve=loop.curve, samples=len(loop.curve) * spec.samples_per_epoch)
        spans = bool(fold.spans) and start is None
        if not spans and len(loop.compared) == len(fold.validation):
            return best
        return self._judged_on_all(best, earns=start is None, spans=spans)

    def forecasts(self, trained: Fit) -> NDArray[np.float64]:
        """Return quantiles of the log return of a fit's best epoch at the fold's origins, (validation + test, 3, 7)."""
        if trained.origin_quantiles is not None:
            return trained.origin_quantiles
        if trained.validation_quantiles is None:
            return self.predict(trained.weights, self.fold.origins)
        return np.concatenate([trained.validation_quantiles, self.predict(trained.weights, self.fold.test)])

    def _fit_estimator(
        self,
        seed: int,
        *,
        start: Mapping[str, Tensor] | None,
        on_epoch: Callable[[Mapping[str, float]], None] | None,
        on_call: Callable[[str], object] | None,
    ) -> Fit:
        """Return the fit of a model that our loop does not train."""
        entry, fold, begun = MODELS[self.name], self.fold, time.perf_counter()
        weights, quantiles, epoch = dict(start or {}), None, START
        if start is None:
            epoch = 0
            given, quantiles = fit_estimator(
                entry,
                self.spec,
                self.panel,
                fold=fold,
                stats=self.stats,
                lookback=self.lookback,
                seed=seed,
                on_call=on_call,
            )
            if entry.constructor is not None:
                network = entry.build(self.spec, stats=self.stats, lookback=self.lookback)
                weights = {name: value.clone() for name, value in (network.state_dict() | given).items()}
        on_validation = (
            self.predict(weights, fold.validation) if quantiles is None else quantiles[: len(fold.validation)]
        )
        scale, target = self.stats.volatility(self.panel, fold.validation), self.panel.targets[fold.validation]
        score = float(standardised_pinball(torch.from_numpy(on_validation).float(), target, scale))
        seconds = time.perf_counter() - begun
        curve = [{"epoch": 0, "validation_pinball": score, "seconds": seconds}]
        if on_epoch is not None:
            on_epoch(curve[0])
        return Fit(
            seed=seed,
            weights=weights,
            best_epoch=epoch,
            validation_pinball=score,
            curve=curve,
            validation_quantiles=on_validation,
            origin_quantiles=quantiles,
            samples=len(fold.train) if start is None else 0,
        )

    def _judged_on_all(self, fit: Fit, *, earns: bool, spans: bool) -> Fit:
        """Return ``fit`` judged by all validation rows; with ``spans`` its location is earned on those of the spans too.

        A warm start has none, and keeps the slope that it began with.
        """
        device = self.hardware.accelerator
        model = trained_model(self.name, self.spec, fit.weights, stats=self.stats, lookback=self.lookback).to(device)
        panel, stats, scored = self.panel.to(device), self.stats.to(device), len(self.fold.validation)
        ends = (self.fold.held_out if spans else self.fold.validation).to(device)
        score, location, quantiles = judge(model, ends, scored=scored, panel=panel, stats=stats, earns=earns)
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        return replace(
            fit,
            weights=weights,
            validation_pinball=score,
            location=location,
            validation_quantiles=quantiles.float().cpu().double().numpy(),
        )

    def predict(self, weights: Mapping[str, Tensor], ends: Tensor) -> NDArray[np.float64]:
        """Return quantiles of the log return at rows ``ends``: (M,) -> (M, 3, 7)."""
        device = self.hardware.accelerator
        model = trained_model(self.name, self.spec, weights, stats=self.stats, lookback=self.lookback).to(device)
        quantiles = forecast(model, ends.to(device), panel=self.panel.to(device), stats=self.stats.to(device))
        return quantiles.float().cpu().double().numpy()
