"""The best epoch is chosen by the validation rows, and by them alone."""

from dataclasses import replace

import pytest
import torch

from forecast_assets.core.models.base import standardised_pinball
from forecast_assets.core.models.catalogue import MlpSpec
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.tensors import random_panel

SPEC = MlpSpec(epochs=4, samples_per_epoch=256, hidden=8, learning_rate=0.05)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return random_panel(tickers=4, sessions=620)


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    spec = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
    return make_fold(panel, year=2019, spec=spec, lookback=LOOKBACK)


def test_the_score_of_a_fit_is_its_pinball_on_the_validation_rows(panel: PanelTensors, fold: Fold) -> None:
    hardware, stats = Hardware(CPU.accelerator, CPU.precision), fit_stats(panel, fold)
    done = FoldTrainer("b0_mlp", SPEC, panel, fold, stats, LOOKBACK, hardware).fit(1)
    scores = {}
    for split, ends in (("validation", fold.validation), ("test", fold.test)):
        quantiles = predict(
            "b0_mlp", SPEC, done.weights, panel=panel, ends=ends, stats=stats, lookback=LOOKBACK, device="cpu"
        )
        scores[split] = float(standardised_pinball(quantiles, panel.targets[ends], stats.volatility(panel, ends)))
    assert done.validation_pinball == pytest.approx(scores["validation"], rel=1e-5)
    assert done.validation_pinball != pytest.approx(scores["test"], rel=1e-3)


def test_labels_of_the_test_year_move_neither_the_chosen_epoch_nor_its_score(panel: PanelTensors, fold: Fold) -> None:
    targets = panel.targets.clone()
    targets[fold.test] = torch.flip(targets[fold.test], dims=(0,)) * -50
    fits = [
        FoldTrainer("b0_mlp", SPEC, version, fold, fit_stats(version, fold), LOOKBACK, CPU).fit(1)
        for version in (panel, replace(panel, targets=targets))
    ]
    assert fits[0].best_epoch == fits[1].best_epoch
    assert fits[0].validation_pinball == fits[1].validation_pinball
