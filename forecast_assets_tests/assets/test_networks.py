"""Around a fit: its epochs are tracked and logged, and a batch that does not fit into memory is halved."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from forecast_assets.assets.fold.fit_monitor import FitMonitor
from forecast_assets.assets.fold.fold_work import Fitted, FoldData, FoldWork
from forecast_assets.core.models.catalogue import MlpSpec
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.resources.tracking import TrackingResource
from forecast_assets_tests.helpers.graph import environment
from forecast_assets_tests.helpers.offline_runs import offline_runs
from forecast_assets_tests.helpers.tensors import random_panel

FOLDS = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
CPU = Hardware(accelerator="cpu", precision="32-true")
LOOKBACK = 10
NOTHING: Any = None
log = logging.getLogger("networks")


def fitted(tmp_path: Path, seed: int, *, mode: Any = "offline", batch_size: int = 64, times: int = 1) -> Fitted:
    """Fit on a small panel under a monitor, ``times`` times, as a machine does that starts again."""
    spec = MlpSpec(epochs=3, samples_per_epoch=256, hidden=8, batch_size=batch_size)
    work = FoldWork("b0_mlp", spec, 2019, FOLDS, LOOKBACK, NOTHING, CPU, tmp_path / "checkpoints")
    panel = random_panel(tickers=3, sessions=620)
    fold = make_fold(panel, year=2019, spec=FOLDS, lookback=LOOKBACK)
    vars(work)["data"] = FoldData(panel, fold, fit_stats(panel, fold))
    tracking = TrackingResource(mode=mode)
    with environment(WANDB_DIR=tmp_path), FitMonitor(work, [seed], tracking=tracking, log=log) as monitor:
        for _ in range(times):
            done = work(seed, lambda message: monitor.on_message(0, message))
        monitor.on_fit_end(seed, done.fit)
    return done


@pytest.mark.parametrize("times", [1, 2])
def test_each_epoch_of_a_fit_is_tracked_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    with caplog.at_level("DEBUG", "networks"):
        done = fitted(tmp_path, 0, times=times)
    messages = [record.getMessage() for record in caplog.records if record.name == "networks"]
    assert [line.split(",")[0] for line in messages[:3]] == [f"b0_mlp 2019 seed 0: epoch {k} of 3" for k in (1, 2, 3)]
    assert [line.split(" 0.")[0] for line in messages[3:]] == ["b0_mlp 2019 seed 0: validation pinball"]
    assert len(offline_runs(tmp_path, holding=b"validation_pinball")) == 1
    assert len(done.fit.curve) == 3


def test_the_opened_data_are_not_sent_with_the_work(tmp_path: Path) -> None:
    work = FoldWork("b0_mlp", MlpSpec(), 2019, FOLDS, LOOKBACK, NOTHING, CPU, tmp_path)
    vars(work)["data"] = lambda: "a function can't be sent"
    sent = copy.copy(work)
    assert sent == work
    assert "data" not in vars(sent)


def test_a_batch_that_does_not_fit_into_memory_is_halved_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sizes, whole = [], FoldTrainer.fit

    def fit(trainer: FoldTrainer, seed: int, **kwargs: Any) -> Any:
        sizes.append(int(trainer.spec.attempt))
        if sizes[-1] > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(trainer, seed, **kwargs)

    monkeypatch.setattr(FoldTrainer, "fit", fit)
    assert len(fitted(tmp_path, 7, mode="disabled").fit.curve) == 3
    assert sizes == [64, 32, 16]
    messages = [record.getMessage() for record in caplog.records if record.name == "networks"]
    assert messages[0] == "b0_mlp 2019 seed 7: the device's memory does not hold a batch of 64 windows; trying 32"


def test_a_single_window_that_does_not_fit_into_memory_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FoldTrainer, "fit", fit)
    with pytest.raises(torch.OutOfMemoryError):
        fitted(tmp_path, 7, mode="disabled", batch_size=1)
