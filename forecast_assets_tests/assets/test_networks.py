"""What surrounds a fit: its epochs are tracked, and a batch that memory does not hold is halved."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from forecast_assets.assets.networks import FoldInputs, tracked_fit
from forecast_assets.core.specs import FoldSpec, MlpSpec, WindowSpec
from forecast_assets.core.training import fit as module
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.resources.tracking import TrackingResource
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK
from forecast_assets_tests.offline_runs import offline_runs
from forecast_assets_tests.tensors import random_panel

FOLDS = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
log = logging.getLogger("networks")


NOTHING: Any = None


def fitted(tmp_path: Path, seed: int, *, mode: Any = "offline", batch_size: int = 64, **data: Any) -> Any:
    inputs = FoldInputs(
        windowed_tensors=NOTHING,
        folds=FOLDS,
        windows=WindowSpec(lookback=LOOKBACK),
        year=2019,
        hardware=CPU,
        checkpoints=tmp_path / "checkpoints",
        tracking=TrackingResource(mode=mode, folder=str(tmp_path)),
        log=log,
    )
    spec = MlpSpec(epochs=3, visits_per_epoch=256, hidden=8, batch_size=batch_size)
    return tracked_fit("b0_mlp", spec, seed, inputs, **({"panel": None, "fold": None, "stats": None} | data))


def test_each_epoch_of_a_fit_is_tracked_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    panel = random_panel(tickers=3, sessions=620)
    fold = make_fold(panel, year=2019, spec=FOLDS, lookback=LOOKBACK)
    with caplog.at_level("DEBUG", "networks"):
        done = fitted(tmp_path, 0, panel=panel, fold=fold, stats=fit_stats(panel, fold))
    said = [record.getMessage() for record in caplog.records if record.name == "networks"]
    assert [line.split(",")[0] for line in said] == [f"b0_mlp 2019 seed 0: epoch {k} of 3" for k in (1, 2, 3)]
    assert len(offline_runs(tmp_path, holding=b"validation_pinball")) == 1
    assert len(done.curve) == 3


def test_a_batch_that_memory_does_not_hold_is_halved_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def fit(_name: str, spec: MlpSpec, **_: Any) -> str:
        tried.append(spec.batch_size)
        if spec.batch_size > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "fitted"

    monkeypatch.setattr(module, "fit", fit)
    assert fitted(tmp_path, 7, mode="disabled") == "fitted"
    assert tried == [64, 32, 16]
    said = [record.getMessage() for record in caplog.records if record.name == "networks"]
    assert said[0] == "b0_mlp 2019 seed 7: the device's memory does not hold a batch of 64 windows; trying 32"


def test_a_single_window_that_memory_does_not_hold_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "fit", fit)
    with pytest.raises(torch.OutOfMemoryError):
        fitted(tmp_path, 7, mode="disabled", batch_size=1)
