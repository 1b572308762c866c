"""G0: the trees as tensors against LightGBM's own, and what they are fitted to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.models.boosted import SMALLEST_LEAF, BoostedTrees, FittedTrees, TreeNetwork, empty_trees
from forecast_assets.core.models.catalogue import BoostedSpec
from forecast_assets.core.models.protocol import Origins, Training
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.labels import training_labels
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.small_specs import small_fold
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 10
CPU = Hardware(accelerator="cpu", precision="32-true")
SPEC = BoostedSpec(rounds=12, leaves=6, leaf_rows=1, stride=1)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    """The second feature announces the log variance of the next session."""
    panel = random_panel(tickers=6, sessions=700)
    skew = torch.from_numpy(np.random.default_rng(1).normal(size=panel.rows)).float()
    names = tuple("skew_60" if name == "noise_1" else name for name in panel.feature_names)
    features = panel.features.clone()
    features[:, names.index("skew_60")] = skew
    features[1:, names.index("har_1")] += skew[:-1]
    return replace(panel, features=features, feature_names=names)


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    return fit_stats(panel, fold)


def training(panel: PanelTensors, fold: Fold, stats: FoldStats) -> Training:
    labels = training_labels(panel, fold.train, stats=stats)
    return Training(panel, fold.train, stats=stats, columns=("log_return",), lookback=LOOKBACK, labels=labels)


def test_the_network_forecasts_what_lightgbm_does(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    fitted = BoostedTrees(SPEC).fit(training(panel, fold, stats), seed=0)
    done = FoldTrainer("g0_lightgbm", SPEC, panel, fold, stats, LOOKBACK, CPU)
    made = done.fit(0)
    origins = Origins(panel, fold.origins, stats=stats, columns=("log_return",), lookback=LOOKBACK)
    theirs, ours = fitted.predict(origins), done.forecasts(made)
    assert ours.shape == (len(fold.origins), 3, 7)
    assert np.ptp(theirs[:, 0, 0] / origins.volatility[:, 0]) > 0.1  # the trees say something
    np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-9)


def test_a_value_on_a_threshold_goes_left_in_both(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    fitted = BoostedTrees(SPEC).fit(training(panel, fold, stats), seed=0)
    network = network_of(fitted, stats)
    thresholds = network.threshold[0, :, 0]
    rows = torch.zeros(len(thresholds), len(stats.summary_mean), dtype=torch.float32)
    for row, (column, threshold) in enumerate(zip(network.column[0, :, 0], thresholds, strict=True)):
        rows[row, column] = threshold.float()
    theirs = np.stack([booster.predict(rows.numpy()) for booster in fitted.boosters], axis=1)
    np.testing.assert_allclose(network.log_scale(rows).numpy(), theirs, rtol=1e-5, atol=1e-8)


def network_of(fitted: FittedTrees, stats: FoldStats) -> TreeNetwork:
    network = TreeNetwork(SPEC, stats=stats, lookback=LOOKBACK)
    network.load_state_dict(network.state_dict() | fitted.weights())
    return network.eval()


def test_trees_without_a_split_give_their_one_value(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    few = training(panel, fold, stats).part(slice(0, 2 * SMALLEST_LEAF - 1))
    fitted = BoostedTrees(SPEC.model_copy(update={"leaf_rows": 2_000})).fit(few, seed=0)
    theirs = np.stack([booster.predict(few.summary) for booster in fitted.boosters], axis=1)
    assert np.ptp(theirs, axis=0).tolist() == [0.0, 0.0, 0.0]
    ours = network_of(fitted, stats).log_scale(torch.from_numpy(few.summary))
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-9)


def test_what_the_summary_announces_is_found(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    origins = Origins(panel, fold.test, stats=stats, columns=("skew_60",), lookback=LOOKBACK)
    fitted = BoostedTrees(SPEC.model_copy(update={"rounds": 60})).fit(training(panel, fold, stats), seed=0)
    found = fitted.boosters[0].predict(origins.summary)
    assert np.corrcoef(found, origins.features[:, 0])[0, 1] > 0.9
    assert np.std(found) > 0.3  # of 0.5, half the deviation of the log variance, less what the tickers share


def test_trees_are_the_same_for_a_seed_and_others_for_another(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    train = training(panel, fold, stats)
    first, again, other = (BoostedTrees(SPEC).fit(train, seed=seed).weights() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["value"], other["value"])


def test_trees_of_zero_leave_the_volatility_forecast_as_it_is(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    trainer = FoldTrainer("g0_lightgbm", SPEC, panel, fold, stats, LOOKBACK, CPU)
    network = TreeNetwork(SPEC, stats=stats, lookback=LOOKBACK)
    found = trainer.predict(network.state_dict(), fold.test)
    np.testing.assert_allclose(found, stats.harx(panel, fold.test).double().numpy(), rtol=1e-5, atol=1e-8)


def test_every_state_of_the_network_is_of_a_tree_or_of_the_head(stats: FoldStats) -> None:
    state = TreeNetwork(SPEC, stats=stats, lookback=LOOKBACK).state_dict()
    assert {name for name in state if not name.startswith("head.")} == empty_trees(SPEC, horizons=3).keys()
