"""What surrounds a fit: its epochs are tracked, and a batch that memory does not hold is halved."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from forecast_assets.assets.fold.fit_monitor import FitMonitor
from forecast_assets.assets.fold.fold_work import Fitted, FoldData, FoldWork
from forecast_assets.core.specs import FoldSpec, MlpSpec
from forecast_assets.core.training.fit import FoldTrainer
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.resources.tracking import TrackingResource
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK
from forecast_assets_tests.helpers.offline_runs import offline_runs
from forecast_assets_tests.helpers.tensors import random_panel

FOLDS = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
log = logging.getLogger("networks")


NOTHING: Any = None


def fitted(tmp_path: Path, seed: int, *, mode: Any = "offline", batch_size: int = 64, times: int = 1) -> Fitted:
    """A fit on a small panel, followed; told ``times`` over, as by a machine that began again."""
    spec = MlpSpec(epochs=3, samples_per_epoch=256, hidden=8, batch_size=batch_size)
    work = FoldWork("b0_mlp", spec, 2019, FOLDS, LOOKBACK, NOTHING, CPU, tmp_path / "checkpoints")
    panel = random_panel(tickers=3, sessions=620)
    fold = make_fold(panel, year=2019, spec=FOLDS, lookback=LOOKBACK)
    vars(work)["data"] = FoldData(panel, fold, fit_stats(panel, fold))
    tracking = TrackingResource(mode=mode, folder=str(tmp_path))
    with FitMonitor(work, [seed], tracking=tracking, log=log) as followed:
        for _ in range(times):
            done = work(seed, lambda message: followed.on_message(0, message))
        followed.over(seed, done.fit)
    return done


@pytest.mark.parametrize("times", [1, 2])
def test_each_epoch_of_a_fit_is_tracked_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    with caplog.at_level("DEBUG", "networks"):
        done = fitted(tmp_path, 0, times=times)
    said = [record.getMessage() for record in caplog.records if record.name == "networks"]
    assert [line.split(",")[0] for line in said[:3]] == [f"b0_mlp 2019 seed 0: epoch {k} of 3" for k in (1, 2, 3)]
    assert [line.split(" 0.")[0] for line in said[3:]] == ["b0_mlp 2019 seed 0: validation pinball"]
    assert len(offline_runs(tmp_path, holding=b"validation_pinball")) == 1
    assert len(done.fit.curve) == 3


def test_what_a_fold_was_opened_with_stays_behind_when_the_work_is_sent(tmp_path: Path) -> None:
    work = FoldWork("b0_mlp", MlpSpec(), 2019, FOLDS, LOOKBACK, NOTHING, CPU, tmp_path)
    vars(work)["data"] = lambda: "a function can't be sent"
    sent = copy.copy(work)
    assert sent == work
    assert "data" not in vars(sent)


def test_a_batch_that_memory_does_not_hold_is_halved_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried, whole = [], FoldTrainer.fit

    def fit(trainer: FoldTrainer, seed: int, **kwargs: Any) -> Any:
        tried.append(trainer.spec.batch_size)
        if trainer.spec.batch_size > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(trainer, seed, **kwargs)

    monkeypatch.setattr(FoldTrainer, "fit", fit)
    assert len(fitted(tmp_path, 7, mode="disabled").fit.curve) == 3
    assert tried == [64, 32, 16]
    said = [record.getMessage() for record in caplog.records if record.name == "networks"]
    assert said[0] == "b0_mlp 2019 seed 7: the device's memory does not hold a batch of 64 windows; trying 32"


def test_a_single_window_that_memory_does_not_hold_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FoldTrainer, "fit", fit)
    with pytest.raises(torch.OutOfMemoryError):
        fitted(tmp_path, 7, mode="disabled", batch_size=1)
