"""The best epoch is chosen, and its location earned, by the rows that are held out, and by them alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.models.base import QuantileHead, standardised_pinball
from forecast_assets.core.models.catalogue import MlpSpec, TftSpec
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import Fit, FoldTrainer, Hardware
from forecast_assets.core.training.location import earned_location
from forecast_assets.core.training.trained import trained_model
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.core.training.test_fit import CPU, LOOKBACK
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.small_specs import small_fold
from forecast_assets_tests.helpers.tensors import panel_of, random_panel, weekdays

SPEC = MlpSpec(epochs=4, samples_per_epoch=256, hidden=8, learning_rate=0.05)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return random_panel(tickers=4, sessions=620)


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


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


SPANS = FoldSpec(first_test_year=2020, validation_sessions=60, spans=2, span_sessions=20, span_stride_sessions=120)
TFT = TftSpec(
    epochs=2, samples_per_epoch=2_048, hidden=4, hidden_continuous=4, heads=2, observed=("log_return", "signal"),
    known=("noise",), learning_rate=0.003, ends_per_block=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def planted() -> PanelTensors:
    """``signal`` is half of the next return's standard deviation; it says nothing of longer horizons."""
    rng = np.random.default_rng(0)
    returns, columns = [], []
    for _ in range(8):
        signal, noise = rng.normal(size=(2, 900))
        own = 0.01 * noise
        own[1:] += 0.005 * signal[:-1]
        own[2:] -= 0.005 * signal[:-2]
        returns.append(own)
        columns.append(np.column_stack([own, signal, rng.normal(size=900)]))
    return panel_of(weekdays(900), returns, columns, names=("log_return", "signal", "noise"))


def fitted(panel: PanelTensors, spec: FoldSpec) -> tuple[Fold, Fit]:
    fold = make_fold(panel, year=2020, spec=spec, lookback=LOOKBACK)
    return fold, FoldTrainer("b1_tft", TFT, panel, fold, fit_stats(panel, fold), LOOKBACK, CPU).fit(1)


@pytest.mark.parametrize("spec", [SPANS.model_copy(update={"spans": 0}), SPANS])
def test_a_location_is_earned_on_all_rows_that_are_held_out(planted: PanelTensors, spec: FoldSpec) -> None:
    fold, done = fitted(planted, spec)
    stats = fit_stats(planted, fold)
    assert done.location is not None
    assert done.location.slope[0] > 0.5
    assert done.location.slope[2] == 0
    learned = done.weights | {"head.location_slope": torch.ones(3)}
    model = trained_model("b1_tft", TFT, learned, stats=stats, lookback=LOOKBACK)
    head = model.quantile_head()
    assert isinstance(head, QuantileHead)
    ends = fold.held_out
    scale, quantiles = stats.volatility(planted, ends), forecasts(learned, planted, ends, fold)
    expected = earned_location(
        head.deviation(quantiles, scale),
        planted.targets[ends] / scale - head.base_median,
        session=torch.searchsorted(planted.sessions(), planted.date[ends]),
        exchange=planted.exchange[ends],
    )
    assert done.location.slope == pytest.approx(expected.slope, abs=1e-4)
    assert done.location.error == pytest.approx(expected.error, rel=1e-4)
    assert done.weights["head.location_slope"].tolist() == pytest.approx(done.location.slope)
    published = forecasts(done.weights, planted, fold.validation, fold)
    scale = stats.volatility(planted, fold.validation)
    score = float(standardised_pinball(published, planted.targets[fold.validation], scale))
    assert done.validation_pinball == pytest.approx(score, rel=1e-5)


def test_labels_of_the_test_year_do_not_move_a_location(planted: PanelTensors) -> None:
    fold, before = fitted(planted, SPANS)
    targets = planted.targets.clone()
    targets[fold.test] = torch.flip(targets[fold.test], dims=(0,)) * -50
    _, after = fitted(replace(planted, targets=targets), SPANS)
    assert before.location == after.location
    assert before.validation_pinball == after.validation_pinball


def forecasts(weights: dict[str, torch.Tensor], panel: PanelTensors, ends: torch.Tensor, fold: Fold) -> torch.Tensor:
    stats = fit_stats(panel, fold)
    return predict("b1_tft", TFT, weights, panel=panel, ends=ends, stats=stats, lookback=LOOKBACK, device="cpu")
