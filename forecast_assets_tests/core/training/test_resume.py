"""A fit that was killed goes on from its last finished epoch and ends where it would have ended."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import Fit, FoldTrainer, Resumable
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK, SPECS
from forecast_assets_tests.helpers.tensors import random_panel

EPOCHS, KILLED_AFTER = 5, 2


def run(name: str, *, checkpoint: Resumable | None = None, die_after: int = EPOCHS, patience: int = EPOCHS) -> Fit:
    panel = random_panel(tickers=4, sessions=620)
    folds = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
    fold = make_fold(panel, year=2019, spec=folds, lookback=LOOKBACK)
    spec = SPECS[name].model_copy(update={"epochs": EPOCHS, "patience": patience})

    def on_epoch(epoch: Mapping[str, float]) -> None:
        if epoch["epoch"] + 1 == die_after < EPOCHS:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer = FoldTrainer(name, spec, panel, fold, fit_stats(panel, fold), LOOKBACK, CPU)
    return trainer.fit(3, on_epoch=on_epoch, checkpoint=checkpoint)


def killed(name: str, checkpoint: Resumable) -> None:
    torch.set_num_threads(1)
    run(name, checkpoint=checkpoint, die_after=KILLED_AFTER)


def without_seconds(fit: Fit) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in fit.curve]


@pytest.mark.parametrize("name", ["b0_mlp", "b3_tft_sector"])
def test_a_killed_fit_resumes_to_the_same_weights(name: str, tmp_path: Path) -> None:
    checkpoint = Resumable(tmp_path / "fit", key="a")
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(name, checkpoint))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    whole, resumed = run(name), run(name, checkpoint=checkpoint)
    assert without_seconds(resumed) == without_seconds(whole)
    assert resumed.best_epoch == whole.best_epoch
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)


def test_a_finished_fit_is_not_trained_again(tmp_path: Path) -> None:
    checkpoint = Resumable(tmp_path / "fit", key="a")
    first = run("b0_mlp", checkpoint=checkpoint)
    again = run("b0_mlp", checkpoint=checkpoint)
    assert again.curve == first.curve
    assert all(torch.equal(again.weights[key], first.weights[key]) for key in first.weights)


def test_the_checkpoint_of_another_fit_is_an_error(tmp_path: Path) -> None:
    run("b0_mlp", checkpoint=Resumable(tmp_path / "fit", key="a"))
    with pytest.raises(BadInput, match="belongs to another fit"):
        run("b0_mlp", checkpoint=Resumable(tmp_path / "fit", key="b"))


def test_training_stops_after_the_epochs_of_patience(tmp_path: Path) -> None:
    whole = run("b0_mlp")
    done = run("b0_mlp", patience=1)
    scores = [epoch["validation_pinball"] for epoch in whole.curve]
    worse = next((k for k in range(1, EPOCHS) if scores[k] >= min(scores[:k])), EPOCHS - 1)
    assert len(done.curve) == worse + 1
