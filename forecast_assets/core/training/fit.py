"""Fit one network on one fold, with Lightning's loop; the best epoch by validation loss is what remains."""

import logging
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor

from forecast_assets.core.models.base import Batch, ForecastModel, make_batch, standardised_pinball
from forecast_assets.core.models.registry import MODELS
from forecast_assets.core.specs import FitSpec
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.sampler import draw_epoch
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

logger = logging.getLogger(__name__)
# Which accelerators exist and where to sign up is not news for every fit of every fold.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)

INFERENCE_BATCH = 1024


@dataclass(frozen=True)
class Hardware:
    """Where a fit runs: what Lightning calls accelerator and precision."""

    accelerator: str
    precision: str


@dataclass(frozen=True)
class Fit:
    """One trained network: the weights of its best epoch and how it got there."""

    seed: int
    weights: dict[str, Tensor]
    best_epoch: int
    validation_pinball: float  # standardised, mean over levels, horizons and matured validation labels
    curve: list[dict[str, float]] = field(default_factory=list)  # per epoch: epoch, train_loss, validation_pinball, ...


class _EpochOfEnds:
    """Batches of window ends, drawn anew each epoch from a generator of its own."""

    def __init__(self, ends: Tensor, ticker: Tensor, *, spec: FitSpec, seed: int) -> None:
        self.ends, self.ticker, self.spec = ends, ticker, spec
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[Tensor]:
        drawn = draw_epoch(self.ends, self.ticker, visits=self.spec.visits_per_epoch, generator=self.generator)
        yield from drawn.split(self.spec.batch_size)

    def __len__(self) -> int:
        return -(-self.spec.visits_per_epoch // self.spec.batch_size)


class _Loop(lightning.LightningModule):
    """What one training step and one validation epoch are; the network itself stays a plain torch module."""

    feature_columns: Tensor

    def __init__(
        self, model: ForecastModel, *, panel: PanelTensors, fold: Fold, stats: FoldStats, spec: FitSpec
    ) -> None:
        super().__init__()
        self.model, self.spec = model, spec
        self.panel, self.fold, self.stats = panel, fold, stats
        self.register_buffer("feature_columns", panel.columns(model.columns), persistent=False)
        self.curve: list[dict[str, float]] = []
        self.best: Fit | None = None
        self._losses: list[Tensor] = []
        self._started = time.perf_counter()

    def on_fit_start(self) -> None:
        self.panel, self.stats = self.panel.to(self.device), self.stats.to(self.device)

    def gather(self, ends: Tensor) -> Batch:
        return make_batch(
            self.panel, ends, stats=self.stats, columns=self.feature_columns, lookback=self.model.lookback
        )

    def training_step(self, ends: Tensor, _index: int) -> Tensor:
        loss = self.model.loss(self.gather(ends))
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
        self.curve.append(
            {"epoch": self.current_epoch, "train_loss": train_loss, "validation_pinball": score, "seconds": seconds}
        )
        if math.isfinite(score) and (self.best is None or score < self.best.validation_pinball):
            weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = Fit(seed=-1, weights=weights, best_epoch=self.current_epoch, validation_pinball=score)
        self.log("validation_pinball", score)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.spec.learning_rate, weight_decay=self.spec.weight_decay
        )
        steps = self.spec.epochs * -(-self.spec.visits_per_epoch // self.spec.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@torch.no_grad()
def validation_pinball(loop: _Loop) -> float:
    """Standardised pinball over all matured validation labels."""
    total, count = 0.0, 0
    for ends in loop.fold.validation.to(loop.device).split(INFERENCE_BATCH):
        batch = loop.gather(ends)
        labels = int(torch.isfinite(batch.target).sum())
        total += float(standardised_pinball(loop.model(batch), batch.target, batch.scale)) * labels
        count += labels
    return total / count


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
    callbacks: tuple[Callback, ...] = (),
) -> Fit:
    """Train model ``name`` on ``fold`` and return its best epoch.

    Deterministic given ``seed`` on a CPU. Raises FloatingPointError when the loss stops being finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[name](spec, stats=stats, lookback=lookback)
        loop = _Loop(model, panel=panel, fold=fold, stats=stats, spec=spec)
        trainer = lightning.Trainer(
            max_epochs=spec.epochs,
            accelerator=hardware.accelerator,
            devices=1,
            precision=hardware.precision,  # type: ignore[arg-type]
            gradient_clip_val=spec.gradient_clip,
            deterministic=hardware.accelerator == "cpu",
            callbacks=[
                EarlyStopping("validation_pinball", patience=spec.patience, check_on_train_epoch_end=True),
                *callbacks,
            ],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        with warnings.catch_warnings():
            # Lightning asks torch's pytree the old way, once per process and fit.
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            trainer.fit(loop, _EpochOfEnds(fold.train, panel.ticker[fold.train], spec=spec, seed=seed))
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
    model = MODELS[name](spec, stats=stats, lookback=lookback)
    model.load_state_dict(dict(weights))
    model.eval().to(device)
    panel, stats = panel.to(device), stats.to(device)
    columns = panel.columns(model.columns).to(device)
    parts = [
        model(make_batch(panel, part, stats=stats, columns=columns, lookback=model.lookback)).float().cpu()
        for part in ends.to(device).split(INFERENCE_BATCH)
    ]
    return torch.cat(parts)
