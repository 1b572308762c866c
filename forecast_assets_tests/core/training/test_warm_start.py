"""A fit from given weights: never worse on validation, and what has not matured changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.evaluation.champion_challenger import challenger_scores
from forecast_assets.core.specs import FoldSpec, NightlySpec
from forecast_assets.core.training.fit import START, Fit, FoldTrainer
from forecast_assets.core.windows.days import EPOCH
from forecast_assets.core.windows.folds import Fold, make_fold, recent_fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.core.training.test_fit import CPU, GRAPH, LOOKBACK, OUR_LOOP, SPECS
from forecast_assets_tests.core.windows.test_recent_fold import day_of
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.tensors import random_panel

SPEC = NightlySpec(comparison_sessions=15, validation_sessions=25, train_sessions=100)
UNTIL = 560


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return with_graph(random_panel(tickers=4, sessions=620), GRAPH.graph)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors) -> FoldStats:
    spec = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
    return fit_stats(panel, make_fold(panel, year=2019, spec=spec, lookback=LOOKBACK))


def night(panel: PanelTensors) -> Fold:
    return recent_fold(panel, until=day_of(panel, UNTIL), spec=SPEC, lookback=LOOKBACK)


def retrained(
    name: str, panel: PanelTensors, stats: FoldStats, *, start: dict[str, torch.Tensor] | None, **settings: float
) -> Fit:
    spec = SPECS[name].model_copy(update=settings)
    return FoldTrainer(name, spec, panel, night(panel), stats, LOOKBACK, CPU).fit(5, start=start)


def equal(one: Fit, other: Fit) -> bool:
    return all(torch.equal(one.weights[key], other.weights[key]) for key in one.weights)


def test_a_harmful_step_size_gives_the_start_back(panel: PanelTensors, stats: FoldStats) -> None:
    start = retrained("b2_tft_ticker", panel, stats, start=None, epochs=4)
    kept = retrained("b2_tft_ticker", panel, stats, start=start.weights, learning_rate=3.0)
    assert (kept.best_epoch, kept.validation_pinball) == (START, start.validation_pinball)
    assert equal(kept, start)
    assert min(epoch["validation_pinball"] for epoch in kept.curve) >= start.validation_pinball


def test_a_bad_start_is_improved_on(panel: PanelTensors, stats: FoldStats) -> None:
    start = retrained("b0_mlp", panel, stats, start=None, epochs=1)
    harmed = {name: weight + 0.5 for name, weight in start.weights.items()}
    better = retrained("b0_mlp", panel, stats, start=harmed)
    assert better.best_epoch >= 0
    assert not equal(better, start)


def test_a_model_that_our_loop_does_not_train_keeps_the_start(panel: PanelTensors, stats: FoldStats) -> None:
    start = retrained("g0_lightgbm", panel, stats, start=None)
    kept = retrained("g0_lightgbm", panel, stats, start=start.weights)
    assert (kept.best_epoch, kept.validation_pinball) == (START, start.validation_pinball)
    assert equal(kept, start)


@pytest.mark.parametrize("name", OUR_LOOP)
def test_what_had_not_matured_changes_no_weight(name: str, panel: PanelTensors, stats: FoldStats) -> None:
    start = {key: weight.clone() for key, weight in retrained(name, panel, stats, start=None, epochs=1).weights.items()}
    until = (day_of(panel, UNTIL) - EPOCH).days
    features, targets, scale = panel.features.clone(), panel.targets.clone(), panel.scale.clone()
    features[panel.date > until] = float("nan")
    scale[panel.date > until] = float("nan")
    targets[(panel.date > until) | (panel.label_end > until)] = 1e6
    poisoned = with_graph(replace(panel, features=features, targets=targets, scale=scale), GRAPH.graph)
    clean, dirty = (retrained(name, p, stats, start=start) for p in (panel, poisoned))
    assert equal(clean, dirty)
    assert clean.curve[0]["train_loss"] == dirty.curve[0]["train_loss"]


def test_the_comparison_rows_change_no_weight(panel: PanelTensors, stats: FoldStats) -> None:
    start = retrained("b1_tft", panel, stats, start=None, epochs=1).weights
    targets = panel.targets.clone()
    targets[night(panel).test] *= 100
    clean, dirty = (retrained("b1_tft", p, stats, start=start) for p in (panel, replace(panel, targets=targets)))
    assert equal(clean, dirty)


def test_a_matured_training_label_does_change_the_weights(panel: PanelTensors, stats: FoldStats) -> None:
    start = retrained("b1_tft", panel, stats, start=None, epochs=1).weights
    targets = panel.targets.clone()
    targets[night(panel).train] *= 3
    scaled = replace(panel, targets=targets)
    clean, dirty = (retrained("b1_tft", p, stats, start=start, learning_rate=1e-2) for p in (panel, scaled))
    assert clean.curve[0]["train_loss"] != dirty.curve[0]["train_loss"]


def test_a_harmed_challenger_is_not_promoted(panel: PanelTensors, stats: FoldStats) -> None:
    champion = retrained("b0_mlp", panel, stats, start=None, epochs=2).weights
    harmed = {name: weight + 0.5 for name, weight in champion.items()}
    compared = night(panel).test
    before, after = (
        predict(
            "b0_mlp", SPECS["b0_mlp"], weights, panel=panel, ends=compared, stats=stats, lookback=LOOKBACK,
            device="cpu",
        ).double().numpy()
        for weights in (champion, harmed)
    )  # fmt: skip
    y, date = panel.targets[compared].double().numpy(), panel.date[compared].numpy().astype(np.int64)
    verdict = challenger_scores(before, after, y=y, date=date, spec=SPEC)
    assert verdict.worse
    assert not verdict.promoted
    assert verdict.ratio > 1.0
