"""Warm-started retraining of the champion's members into a challenger, and the forecasts to compare the two by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.champion.bundle import Bundle
from forecast_assets.core.specs import NightlySpec
from forecast_assets.core.training.ensemble import median_of_means
from forecast_assets.core.training.fit import START, FoldTrainer, Hardware
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.graph import with_graph_if_read
from forecast_assets.core.windows.tensors import PanelTensors


@dataclass(frozen=True)
class Retrained:
    """The retrained members, in the champion's order (best first)."""

    weights: list[dict[str, Tensor]]
    members: list[dict[str, Any]]  # fit, seed, best_epoch, validation_pinball, curve
    champion: list[NDArray[np.float64]]  # of each member, (M, 3, 7) on the comparison rows
    challenger: list[NDArray[np.float64]]

    def combined(self, *, groups: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ensemble forecasts of champion and challenger, 2 x (M, 3, 7)."""
        before, after = (median_of_means(np.stack(of), groups=groups) for of in (self.champion, self.challenger))
        return before, after


def retrain(
    bundle: Bundle, panel: PanelTensors, fold: Fold, *, nightly: NightlySpec, hardware: Hardware, log: Any
) -> Retrained:
    """Train every member on from the champion's weights; forecast the comparison rows before and after."""
    card, stats = bundle.card, bundle.stats_for(panel)
    panel = with_graph_if_read(card.reads, panel, ends=torch.cat([fold.train, fold.origins]), lookback=card.lookback)
    settings = nightly.model_dump(include={"epochs", "samples_per_epoch", "learning_rate"})
    done = Retrained([], [], [], [])
    for member, start in zip(card.members, bundle.trained.current_weights(), strict=True):
        spec, seed = member.spec.retrained_by(settings), int(member.fit.partition("/")[2])
        trainer = FoldTrainer(member.model, spec, panel, fold, stats, card.lookback, hardware)
        trained = trainer.fit(seed, start=start)
        before = trainer.predict(start, fold.test)
        kept = trained.best_epoch == START
        done.weights.append(trained.weights)
        done.champion.append(before)
        done.challenger.append(before if kept else trainer.predict(trained.weights, fold.test))
        done.members.append(
            {
                "fit": member.fit,
                "seed": seed,
                "best_epoch": trained.best_epoch,
                "validation_pinball": trained.validation_pinball,
                "curve": [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in trained.curve],
            }
        )
        log.info(
            f"challenger, {member.fit}: "
            + ("unchanged" if kept else f"validation pinball {trained.validation_pinball:.5f}")
            + f" ({trained.curve[-1]['seconds']:.1f} s)"
        )
    return done


def names_missing_from_panel(vocabularies: Mapping[str, Mapping[str, int]], panel: PanelTensors) -> list[str]:
    """Return the tickers, sectors and exchanges that have an embedding but are not in the panel."""
    return [name for kind, ids in vocabularies.items() for name in sorted(ids.keys() - {*getattr(panel, f"{kind}s")})]
