"""The fits of one model on one fold, as work that any machine can do."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.assets.framework.inputs import Checkpoints, FitEngine, Log, Tracking, TrainingHardware, Year
from forecast_assets.assets.framework.parameters import Parameters
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.specs import FoldSpec, WindowSpec
from forecast_assets.resources.engine import Needs, ProgressCallback, fit_needs
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Fit, Hardware
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors


@dataclass(frozen=True)
class FoldInputs(Parameters):
    """What every network is trained with on a fold, and where it is logged."""

    windowed_tensors: Version
    folds: FoldSpec
    windows: WindowSpec
    year: Year
    hardware: TrainingHardware
    engine: FitEngine
    checkpoints: Checkpoints
    tracking: Tracking
    log: Log


class FoldData(NamedTuple):
    """A fold, opened."""

    panel: "PanelTensors"
    fold: "Fold"
    stats: "FoldStats"


class Running(NamedTuple):
    """Message of a fit: what of a model of one's own runs now."""

    function: str


class Fitted(NamedTuple):
    """One fit, and its forecasts at the fold's origins."""

    fit: "Fit"
    quantiles: NDArray[np.float64]  # (validation + test, 3, 7), raw


@dataclass(frozen=True)
class FoldWork:
    """The fits of one model on one fold: from a seed to a ``Fitted``, on any machine.

    Only references are sent: what it reads is opened where it runs, once.
    """

    name: str
    spec: ModelSpec
    year: int
    folds: FoldSpec
    lookback: int
    windowed_tensors: Version
    hardware: "Hardware"
    checkpoints: Path

    @cached_property
    def data(self) -> FoldData:
        """The fold and its training data, read from the store."""
        import torch

        from forecast_assets.core.windows.folds import make_fold
        from forecast_assets.core.windows.graph import with_graph_if_read
        from forecast_assets.core.windows.stats import fit_stats
        from forecast_assets.core.windows.tensors import PanelTensors

        panel = PanelTensors.load(self.windowed_tensors.path(TENSORS))
        fold = make_fold(panel, year=self.year, spec=self.folds, lookback=self.lookback)
        panel = with_graph_if_read(
            self.spec.reads, panel, ends=torch.cat([fold.train, fold.origins]), lookback=self.lookback
        )
        return FoldData(panel, fold, fit_stats(panel, fold))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "data"}

    def needs(self) -> Needs:
        """Return the resources that a fit takes."""
        return fit_needs(self.hardware, tensor_bytes=self.windowed_tensors.manifest.files[TENSORS].bytes)

    def __call__(self, seed: int, report: ProgressCallback) -> Fitted:
        """Run one fit, report its epochs (mappings), warnings (texts) and, of a model of one's own, the function that runs;
        halve the batch where memory is short.
        """
        import torch

        from forecast_assets.core.training.fit import FoldTrainer, Resumable

        trainer, spec = FoldTrainer(self.name, self.spec, *self.data, self.lookback, self.hardware), self.spec
        running = (lambda function: report(Running(function))) if MODELS[self.name].file else None
        if running is not None:
            running("training")
        while True:
            try:
                trained = replace(trainer, spec=spec).fit(
                    seed,
                    on_epoch=report,
                    on_call=running,
                    # The folder belongs to these very settings, code and rows; the seed and the batch are all that is left.
                    checkpoint=Resumable(self.checkpoints / f"{seed}-{spec.attempt}", key=self.checkpoints.name),
                )
                break
            except torch.OutOfMemoryError:
                if (smaller := spec.with_less_memory()) is None:
                    raise
                report(f"the device's memory does not hold a batch of {spec.attempt} windows; trying {smaller.attempt}")
                spec = smaller
        return Fitted(trained, trainer.forecasts(trained))
