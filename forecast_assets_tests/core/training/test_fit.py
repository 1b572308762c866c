from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.models.base import QuantileHead, make_batch, single_batch, standardised_pinball
from forecast_assets.core.models.catalogue import MODELS, TftSpec
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.reads import Reads
from forecast_assets.core.training.fit import Fit, FoldTrainer, Hardware
from forecast_assets.core.training.trained import trained_model, with_slope
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.sampler import WindowSampler
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.small_specs import GRAPH, SPECS, TFT, small_fold
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 10
CPU = Hardware(accelerator="cpu", precision="32-true")
OUR_LOOP = [name for name, model in MODELS.items() if model.estimator is None]


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    """With a graph, which the other networks do not read."""
    return with_graph(random_panel(tickers=4, sessions=620), GRAPH.graph)


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    return fit_stats(panel, fold)


def trained(name: str, panel: PanelTensors, fold: Fold, stats: FoldStats, *, seed: int = 3) -> Fit:
    return FoldTrainer(name, SPECS[name], panel, fold, stats, LOOKBACK, CPU).fit(seed)


def forecast(name: str, done: Fit, panel: PanelTensors, ends: torch.Tensor, stats: FoldStats) -> torch.Tensor:
    return predict(
        name, SPECS[name], done.weights, panel=panel, ends=ends, stats=stats, lookback=LOOKBACK, device="cpu"
    )


@pytest.mark.parametrize("name", OUR_LOOP)
def test_a_fit_is_the_same_again_with_its_seed_and_differs_with_another(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    first, again, other = (trained(name, panel, fold, stats, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(first.weights[key], again.weights[key]) for key in first.weights)
    assert any(not torch.equal(first.weights[key], other.weights[key]) for key in first.weights)
    assert [epoch["epoch"] for epoch in first.curve] == [0, 1]
    assert first.validation_pinball == min(epoch["validation_pinball"] for epoch in first.curve)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_quantiles_are_finite_and_in_order_for_every_forecast(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    quantiles = forecast(name, trained(name, panel, fold, stats), panel, fold.origins, stats)
    assert quantiles.shape == (len(fold.origins), 3, 7)
    assert torch.isfinite(quantiles).all()
    assert (quantiles.diff(dim=-1) > 0).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_rows_after_the_forecast_origin_change_no_forecast(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    done = trained(name, panel, fold, stats)
    ends = fold.test[:5]
    late = panel.date > panel.date[ends].max()
    if name != "b6_graph":  # the others read no other ticker's rows
        late |= panel.ticker != panel.ticker[ends[0]]
    poisoned = replace(panel, features=torch.where(late[:, None], float("nan"), panel.features))
    assert torch.equal(
        forecast(name, done, panel, ends, stats),
        forecast(name, done, with_graph(poisoned, GRAPH.graph), ends, stats),
    )


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_test_year_a_thousand_times_larger_changes_no_weight(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    later = panel.date >= panel.date[fold.test].min()
    features, targets = panel.features.clone(), panel.targets.clone()
    features[later] *= 1000
    targets[later] *= 1000
    scaled = with_graph(replace(panel, features=features, targets=targets), GRAPH.graph)
    before, after = trained(name, panel, fold, stats), trained(name, scaled, fold, fit_stats(scaled, fold))
    assert before.best_epoch == after.best_epoch
    assert all(torch.equal(before.weights[key], after.weights[key]) for key in before.weights)


def test_an_unseen_ticker_is_forecast_with_the_unknown_id(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    done = trained("b2_tft_ticker", panel, fold, stats)
    ids = stats.ticker_ids.clone()
    ids[0] = UNKNOWN_ID
    of_first = fold.test[panel.ticker[fold.test] == 0][:5]
    known = forecast("b2_tft_ticker", done, panel, of_first, stats)
    unknown = forecast("b2_tft_ticker", done, panel, of_first, replace(stats, ticker_ids=ids))
    assert torch.isfinite(unknown).all()
    assert not torch.equal(known, unknown)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_forecasts_do_not_depend_on_which_are_asked_for_together(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    done = trained(name, panel, fold, stats)
    together = forecast(name, done, panel, fold.origins, stats)
    order = torch.randperm(len(fold.origins), generator=torch.Generator().manual_seed(0))[:50]
    shuffled = forecast(name, done, panel, fold.origins[order], stats)
    alone = torch.cat([forecast(name, done, panel, fold.origins[k : k + 1], stats) for k in order.tolist()])
    assert together.std() > 0.001
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=1e-6)
    torch.testing.assert_close(alone, together[order], rtol=0, atol=1e-6)


SHAPELESS = torch.ones(1, 3, 6)  # no group of forecasts has a shape of its own


def test_zero_raw_numbers_give_the_base_distribution_times_the_volatility_forecast(stats: FoldStats) -> None:
    head = QuantileHead(stats.base_quantiles, shape_shrink=0.1)
    scale = torch.tensor([[0.01, 0.02, 0.04]])
    quantiles = head(torch.zeros(1, 3, 7), scale, SHAPELESS[:1])
    assert torch.allclose(quantiles[0], stats.base_quantiles * scale[0][:, None], atol=1e-6)


def test_the_head_keeps_quantiles_apart_for_any_raw_numbers(stats: FoldStats) -> None:
    head = QuantileHead(stats.base_quantiles, shape_shrink=1.0)
    raw = torch.randn(200, 3, 7, generator=torch.Generator().manual_seed(0)) * 20
    assert (head(raw, torch.full((200, 3), 0.01), SHAPELESS.expand(200, -1, -1)).diff(dim=-1) > 0).all()


def test_the_mean_of_the_gap_numbers_is_the_scale_and_what_they_differ_by_is_shrunk(stats: FoldStats) -> None:
    head = QuantileHead(stats.base_quantiles, shape_shrink=0.1)
    raw = torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(0))
    gaps = torch.cat([raw[..., :3], raw[..., 4:]], dim=-1)
    log_scale = gaps.mean(dim=-1, keepdim=True)
    wider = torch.rand(5, 3, 6, generator=torch.Generator().manual_seed(1)) + 1.0
    expected = stats.base_quantiles.diff(dim=-1) * wider * torch.exp(log_scale + 0.1 * (gaps - log_scale))
    actual = head(raw, torch.ones(5, 3), wider)
    torch.testing.assert_close(actual.diff(dim=-1), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head.log_scale(raw), log_scale[..., 0])


def test_a_forecasts_location_is_the_learned_one_times_the_slope_of_its_horizon(stats: FoldStats) -> None:
    head = QuantileHead(stats.base_quantiles, shape_shrink=0.1)
    raw = torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(0))
    scale, plain = torch.full((5, 3), 0.02), SHAPELESS.expand(5, -1, -1)
    base, slope = stats.base_quantiles[:, 3], torch.tensor([1.0, 0.25, 0.0])
    learned = head.eval()(raw, scale, plain)
    torch.testing.assert_close(head.deviation(learned, scale), raw[..., 3], rtol=1e-4, atol=1e-5)
    head.publish(slope.tolist(), [0.1, 0.1, 0.1])
    actual = head(raw, scale, plain)
    torch.testing.assert_close(actual[..., 3], (base + slope * raw[..., 3]) * scale)
    torch.testing.assert_close(actual.diff(dim=-1), learned.diff(dim=-1), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(head.published(learned, scale), actual, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head.train()(raw, scale, plain), learned)  # training is free


def test_a_fit_of_an_earlier_release_has_the_slope_of_its_settings(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    new = {"head.location_slope", "head.location_error", "location.weight", "location.bias"}
    done = trained("b1_tft", panel, fold, stats)
    earlier = {name: value for name, value in done.weights.items() if name not in new}
    settings = TFT.model_dump() | {"location_shrink": 0.1}
    spec = TftSpec.published(settings)
    model = trained_model("b1_tft", spec, with_slope(earlier, settings), stats=stats, lookback=LOOKBACK)
    assert isinstance(model, Tft)
    batch = single_batch(model, fold.test[:5], panel=panel, stats=stats)
    median = (model.head.base_median + 0.1 * model.outputs(batch).raw[..., 3]) * batch.scale
    torch.testing.assert_close(model(batch)[..., 3], median)
    assert with_slope(done.weights, TFT.model_dump()) == done.weights


def test_pinball_by_hand_and_missing_labels_do_not_count() -> None:
    quantiles = torch.zeros(2, 3, 7)
    target = torch.tensor([[1.0, float("nan"), float("nan")], [float("nan")] * 3])
    loss = standardised_pinball(quantiles, target, torch.full((2, 3), 0.5))
    assert loss.item() == pytest.approx(2.0 * (0.025 + 0.05 + 0.25 + 0.5 + 0.75 + 0.95 + 0.975) / 7)


def test_no_batch_of_a_fold_holds_a_missing_feature(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    layout, reads = Layout(ends=4, stride=3), Reads(panel.feature_names)
    runs = WindowSampler.over(panel, fold.train, layout=layout).draw(200, generator=torch.Generator().manual_seed(0))
    batch = make_batch(panel, runs, layout=layout, stats=stats, reads=reads, lookback=LOOKBACK)
    assert torch.isfinite(batch.rows).all()
    assert (batch.scale > 0).all()
    assert torch.isnan(batch.log_excess).all()  # a forecast reads nothing that lies ahead


def test_epochs_are_compared_on_some_tickers_and_the_best_is_scored_on_all(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    spec = TFT.model_copy(update={"compared_origins": 1})
    trainer = FoldTrainer("b1_tft", spec, panel, fold, stats, LOOKBACK, CPU)
    done = trainer.fit(3)
    forecasts = trainer.forecasts(done)
    expected = trainer.predict(done.weights, fold.origins)
    assert done.validation_quantiles is not None
    assert np.allclose(forecasts, expected, rtol=0, atol=1e-6)
    quantiles = torch.from_numpy(expected[: len(fold.validation)]).float()
    scale = stats.volatility(panel, fold.validation)
    whole = float(standardised_pinball(quantiles, panel.targets[fold.validation], scale))
    assert done.validation_pinball == pytest.approx(whole, rel=1e-5)
    assert done.validation_pinball != min(epoch["validation_pinball"] for epoch in done.curve)
    same = trained("b1_tft", panel, fold, stats)  # compared on all origins: the epochs themselves do not differ
    assert [epoch["train_loss"] for epoch in same.curve] == [epoch["train_loss"] for epoch in done.curve]
    assert same.validation_quantiles is None
