"""Fit one network on one fold, with Lightning's loop; the best epoch by validation loss is what remains."""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from forecast_assets.core.models.attribution import Neighbours, influence
from forecast_assets.core.models.base import Batch, ForecastModel, make_batch, message_columns, standardised_pinball
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.tft.explain import Explanation, explain
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.specs import FitSpec
from forecast_assets.core.training.checkpoint import Checkpoint, Stateful, load_checkpoint, save_checkpoint
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.sampler import RunSampler
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, Runs, check_windows, cover, single_windows

logger = logging.getLogger(__name__)
# Which accelerators exist and where to sign up is not news for every fit of every fold.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)

INFERENCE_BATCH = 1024
"""Windows per call."""

INFERENCE_ENDS = 256
"""Consecutive window ends that a run has at most: the more, the more is shared, and the more is computed in vain where
a ticker's decisions are fewer."""


INFLUENCE_BATCH = 128
"""Windows whose gradients are held at once."""

START = -1
"""Epoch number of the weights that a warm-started fit begins with."""


@dataclass(frozen=True)
class Hardware:
    """Where a fit runs: what Lightning calls accelerator and precision."""

    accelerator: str
    precision: str


@dataclass(frozen=True)
class Resumable:
    """Where a fit keeps its last finished epoch, and which fit it is: settings, data, code and seed in a digest."""

    folder: Path
    key: str


@dataclass(frozen=True)
class Fit:
    """One trained network: the weights of its best epoch and how it got there."""

    seed: int
    weights: dict[str, Tensor]
    best_epoch: int  # START: no epoch was better than the weights it was started from
    validation_pinball: float  # standardised, mean over levels, horizons and matured validation labels
    curve: list[dict[str, float]] = field(default_factory=list)  # per epoch: epoch, train_loss, validation_pinball, ...


class _Epochs:
    """Batches of runs, drawn anew each epoch from a generator of its own."""

    def __init__(self, sampler: RunSampler, *, spec: FitSpec, seed: int) -> None:
        self.sampler = sampler
        self.runs = sampler.runs_for(spec.samples_per_epoch)
        self.batch_runs = max(1, spec.batch_size // sampler.layout.ends)
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Runs]:
        drawn = self.sampler.draw(self.runs, generator=self.generator)
        for k in range(0, self.runs, self.batch_runs):
            yield drawn[k : k + self.batch_runs]

    def __len__(self) -> int:
        return -(-self.runs // self.batch_runs)


class _Loop(lightning.LightningModule):
    """What one training step and one validation epoch are; the network itself stays a plain torch module."""

    feature_columns: Tensor
    messages: Tensor | None
    decisions: Tensor

    def __init__(
        self, model: ForecastModel, *, panel: PanelTensors, fold: Fold, stats: FoldStats, spec: FitSpec, epochs: _Epochs
    ) -> None:
        super().__init__()
        self.model, self.spec, self.epochs = model, spec, epochs
        self.panel, self.fold, self.stats = panel, fold, stats
        self.register_buffer("feature_columns", panel.columns(model.columns), persistent=False)
        self.register_buffer("messages", message_columns(model, panel), persistent=False)
        decisions = torch.zeros(panel.rows, dtype=torch.bool)
        decisions[fold.train] = True
        self.register_buffer("decisions", decisions, persistent=False)
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

    def on_train_start(self) -> None:
        if self.resumed is not None:
            self.resumed.restore(states=self._states(), generators={"draws": self.epochs.generator})
        elif self.is_warm:
            self.model.eval()
            self._keep_if_best(START, validation_pinball(self))
            self.model.train()

    def _keep_if_best(self, epoch: int, score: float) -> None:
        if math.isfinite(score) and (self.best is None or score < self.best.validation_pinball):
            weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = Fit(seed=-1, weights=weights, best_epoch=epoch, validation_pinball=score)

    def take_up(self, checkpoint: Checkpoint | None) -> None:
        """Go on from a checkpoint, if there is one."""
        self.resumed = checkpoint
        if checkpoint is not None:
            self.curve, best = list(checkpoint.record["curve"]), checkpoint.record["best"]
            self.best = None if best is None else Fit(seed=-1, **best)

    @property
    def is_over(self) -> bool:
        """Whether all epochs were run, or none of the last ones was better than the best."""
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
        best = None if self.best is None else {k: v for k, v in vars(self.best).items() if k not in ("seed", "curve")}
        save_checkpoint(
            self.checkpoint.folder,
            key=self.checkpoint.key,
            epochs=len(self.curve),
            states=self._states(),
            generators={"draws": self.epochs.generator},
            record={"curve": self.curve, "best": best},
        )

    def training_step(self, runs: Runs, _index: int) -> Tensor:
        batch = make_batch(
            self.panel,
            runs,
            layout=self.epochs.sampler.layout,
            stats=self.stats,
            columns=self.feature_columns,
            lookback=self.model.lookback,
            messages=self.messages,
            support_sessions=self.model.support_sessions,
            decisions=self.decisions,
        )
        loss = self.model.loss(batch)
        self._losses.append(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        """Score the epoch on the fold's validation decisions; keep its weights if it is the best so far."""
        self.model.eval()
        score = validation_pinball(self)
        self.model.train()
        train_loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        seconds = time.perf_counter() - self._started
        epoch = len(self.curve)
        self.curve.append({"epoch": epoch, "train_loss": train_loss, "validation_pinball": score, "seconds": seconds})
        self._keep_if_best(epoch, score)
        self._save()
        if self.on_epoch is not None:
            self.on_epoch(self.curve[-1])
        self.trainer.should_stop = self.is_over

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.spec.learning_rate, weight_decay=self.spec.weight_decay
        )
        steps = self.spec.epochs * len(self.epochs)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@torch.no_grad()
def forecast(
    model: ForecastModel,
    ends: Tensor,
    *,
    panel: PanelTensors,
    stats: FoldStats,
    columns: Tensor,
    messages: Tensor | None = None,
) -> Tensor:
    """Quantiles of the log return for the decisions at rows ``ends``: (B,) -> (B, 3, 7), in their order.

    Windows are computed in runs of consecutive ends; ``ends`` may come in any order. All on one device.
    """
    layout, runs, place = cover(panel, ends, longest=INFERENCE_ENDS)
    size = max(1, INFERENCE_BATCH // layout.ends)
    parts = [
        model(
            make_batch(
                panel,
                runs[k : k + size],
                layout=layout,
                stats=stats,
                columns=columns,
                lookback=model.lookback,
                messages=messages,
                support_sessions=model.support_sessions,
            )
        )
        for k in range(0, len(runs), size)
    ]
    return torch.cat(parts)[place]


def validation_pinball(loop: _Loop) -> float:
    """Standardised pinball over all matured validation labels."""
    ends = loop.fold.validation.to(loop.device)
    quantiles = forecast(
        loop.model,
        ends,
        panel=loop.panel,
        stats=loop.stats,
        columns=loop.feature_columns,
        messages=loop.messages,
    )
    return float(standardised_pinball(quantiles, loop.panel.targets[ends], loop.stats.volatility(loop.panel, ends)))


def fit(
    name: str,
    spec: FitSpec,
    *,
    panel: PanelTensors,
    fold: Fold,
    stats: FoldStats,
    lookback: int,
    seed: int,
    hardware: Hardware,
    start: Mapping[str, Tensor] | None = None,
    callbacks: tuple[Callback, ...] = (),
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    checkpoint: Resumable | None = None,
) -> Fit:
    """Train model ``name`` on ``fold`` and return its best epoch; ``on_epoch`` is told the curve's entry of each.

    With a ``checkpoint``, a fit that was killed goes on from its last finished epoch and ends with the same weights;
    ``on_epoch`` is told the finished epochs again.

    ``start``: weights to begin with, trained with these very ``stats``, so that ids and scales mean the same. They are
    scored on validation before the first step and come back, as epoch ``START``, unless an epoch is better. A
    checkpoint's key has to name them too.

    Deterministic given ``seed`` on a CPU. Raises FloatingPointError when the loss stops being finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[name].build(spec, stats=stats, lookback=lookback)
        for ends in (fold.train, fold.origins):
            check_windows(panel, ends, lookback=lookback, columns=panel.columns(model.required))
        if start is not None:
            model.load_state_dict(dict(start))
        layout = Layout(ends=spec.ends_per_block, stride=spec.stride_sessions)
        epochs = _Epochs(RunSampler.over(panel, fold.train, layout=layout), spec=spec, seed=seed)
        loop = _Loop(model, panel=panel, fold=fold, stats=stats, spec=spec, epochs=epochs)
        loop.on_epoch, loop.checkpoint, loop.is_warm = on_epoch, checkpoint, start is not None
        if checkpoint is not None:
            loop.take_up(load_checkpoint(checkpoint.folder, key=checkpoint.key))
        if on_epoch is not None:
            for entry in loop.curve:
                on_epoch(entry)
        trainer = lightning.Trainer(
            max_epochs=max(1, spec.epochs - len(loop.curve)),
            accelerator=hardware.accelerator,
            devices=1,
            precision=hardware.precision,  # type: ignore[arg-type]
            gradient_clip_val=spec.gradient_clip,
            deterministic=hardware.accelerator == "cpu",
            callbacks=list(callbacks),
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        with warnings.catch_warnings():
            # Lightning asks torch's pytree the old way, once per process and fit.
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            if not loop.is_over:
                trainer.fit(loop, epochs)
    if loop.best is None:
        raise FloatingPointError(f"{name}, fold {fold.year}, seed {seed}: no epoch had a finite validation loss")
    best = loop.best
    logger.info("%s fold %d seed %d: validation pinball %.5f at epoch %d of %d", name, fold.year, seed,
                best.validation_pinball, best.best_epoch + 1, len(loop.curve))  # fmt: skip
    return Fit(seed, best.weights, best.best_epoch, best.validation_pinball, loop.curve)


@torch.no_grad()
def predict(
    name: str,
    spec: FitSpec,
    weights: Mapping[str, Tensor],
    *,
    panel: PanelTensors,
    ends: Tensor,
    stats: FoldStats,
    lookback: int,
    device: str,
) -> Tensor:
    """Quantiles of the log return for the decisions at rows ``ends``: (M,) -> (M, 3, 7) float32 on the CPU."""
    model = trained_model(name, spec, weights, stats=stats, lookback=lookback).to(device)
    panel, stats = panel.to(device), stats.to(device)
    columns, messages = panel.columns(model.columns).to(device), message_columns(model, panel)
    if messages is not None:
        messages = messages.to(device)
    quantiles = forecast(model, ends.to(device), panel=panel, stats=stats, columns=columns, messages=messages)
    return quantiles.float().cpu()


def trained_model(
    name: str, spec: FitSpec, weights: Mapping[str, Tensor], *, stats: FoldStats, lookback: int
) -> ForecastModel:
    """Model ``name`` with the ``weights`` of a fit, in evaluation mode."""
    model = MODELS[name].build(spec, stats=stats, lookback=lookback)
    model.load_state_dict(dict(weights))
    return model.eval()


def explain_forecasts(
    model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats
) -> Explanation | None:
    """What a trained model looked at for the decisions at rows ``ends`` (B,); None for a model that can't tell."""
    if not isinstance(model, Tft):
        return None
    return explain(model, single_batch(model, ends, panel=panel, stats=stats))


def neighbours_of(model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Neighbours | None:
    """Who spoke to the decisions at rows ``ends`` (B,), and what it did to a trained model's forecast; None for a model that
    reads no neighbours. Takes some twenty times as long as the forecast.
    """
    if not model.messages or panel.graph is None:
        return None
    graph = panel.graph.of(ends[:, None] + torch.arange(1 - model.lookback, 1))  # (B, L, k)
    moved = []
    for part in ends.split(INFLUENCE_BATCH):
        batch = single_batch(model, part, panel=panel, stats=stats)
        moved.append(influence(model, batch) * batch.scale[:, :1, None])
    return Neighbours(graph.neighbour, graph.weight, torch.cat(moved))


def single_batch(model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Batch:
    """The decisions at rows ``ends`` (B,), each a run of its own."""
    return make_batch(
        panel,
        single_windows(ends),
        layout=Layout(ends=1, stride=1),
        stats=stats,
        columns=panel.columns(model.columns),
        lookback=model.lookback,
        messages=message_columns(model, panel),
        support_sessions=model.support_sessions,
    )
