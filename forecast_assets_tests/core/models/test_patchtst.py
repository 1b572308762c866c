from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from forecast_assets.core.models.base import Batch, QuantileHead, make_batch, standardised_pinball
from forecast_assets.core.models.catalogue import PatchTstSpec
from forecast_assets.core.models.patchtst import EncoderSizes, PatchTst
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, single_windows
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.patchtst_forecaster import PatchTstForecaster
from forecast_assets_tests.helpers.small_specs import small_fold
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 14
SPEC = PatchTstSpec(
    epochs=6,
    patience=6,
    samples_per_epoch=1024,
    batch_size=64,
    learning_rate=0.02,
    shape_shrink=1.0,
    volatility_weight=0.0,  # what is planted is in the outcomes alone
    patch_sessions=4,
    patch_stride=2,
    hidden=8,
    heads=2,
    layers=2,
    feed_forward=16,
    channel_width=4,
    head_hidden=16,
    observed=("log_return", "noise_1"),
    known=("noise_2",),
)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    """A quarter of all labels come with ``noise_1`` ten times as wide as the volatility forecast says."""
    made = random_panel(tickers=4, sessions=620)
    wide = made.column("noise_1") > 0.67
    return replace(made, targets=torch.where(wide[:, None], 10 * made.targets, made.targets))


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    return fit_stats(panel, fold)


def batch_of(panel: PanelTensors, ends: Tensor, stats: FoldStats) -> Batch:
    layout = Layout(ends=1, stride=1)
    return make_batch(panel, single_windows(ends), layout=layout, stats=stats, reads=SPEC.reads, lookback=LOOKBACK)


def trained_network(stats: FoldStats) -> PatchTst:
    """In eval mode, with an output layer that is no longer zero and BatchNorm statistics of some windows."""
    torch.manual_seed(0)
    model = PatchTst(SPEC, stats=stats, lookback=LOOKBACK)
    nn.init.normal_(model.network.output.weight, std=0.3)
    with torch.no_grad():
        model.network.encoder(torch.randn(64, LOOKBACK))
    return model.eval()


def test_an_untrained_network_forecasts_the_base_distribution(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    batch = batch_of(panel, fold.validation[:8], stats)
    quantiles = PatchTst(SPEC, stats=stats, lookback=LOOKBACK).eval()(batch)
    torch.testing.assert_close(quantiles, stats.base_quantiles * batch.scale[..., None], rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss_below_the_base_distribution_and_is_the_same_again(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    hardware = Hardware(accelerator="cpu", precision="32-true")
    first, again = (FoldTrainer("b4_patchtst", SPEC, panel, fold, stats, LOOKBACK, hardware).fit(3) for _ in range(2))
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    losses = [epoch["train_loss"] for epoch in first.curve]
    base = stats.base_quantiles * stats.volatility(panel, fold.train)[..., None]
    untrained = standardised_pinball(base, panel.targets[fold.train], stats.volatility(panel, fold.train))
    assert losses[-1] < min(losses[0], 0.85 * float(untrained))
    quantiles = predict(
        "b4_patchtst", SPEC, first.weights, panel=panel, ends=fold.test, stats=stats, lookback=LOOKBACK, device="cpu"
    )
    assert quantiles.shape == (len(fold.test), 3, 7)
    assert torch.isfinite(quantiles).all()
    assert (quantiles.diff(dim=-1) > 0).all()
    width = quantiles[:, 0, -1] - quantiles[:, 0, 0]
    wide = panel.column("noise_1")[fold.test] > 0.67
    assert width[wide].mean() > 2 * width[~wide].mean()  # what was planted was learned


@torch.no_grad()
def test_the_level_that_normalisation_takes_away_reaches_the_forecast(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    model, batch = trained_network(stats), batch_of(panel, fold.validation[:8], stats)
    raised = batch.rows.clone()
    raised[..., 0] += 1.0
    stretched = batch.rows.clone()
    stretched[..., 0] *= 2.0
    for changed in (raised, stretched):
        assert (model(replace(batch, rows=changed)) - model(batch)).abs().max() > 1e-4


@torch.no_grad()
def test_of_the_known_columns_only_the_last_row_of_a_window_counts(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    model, batch = trained_network(stats), batch_of(panel, fold.validation[:8], stats)
    earlier, last = batch.rows.clone(), batch.rows.clone()
    earlier[:, :-1, -1] += 1.0
    last[:, -1, -1] += 1.0
    assert torch.equal(model(replace(batch, rows=earlier)), model(batch))
    assert not torch.equal(model(replace(batch, rows=last)), model(batch))


@torch.no_grad()
@pytest.mark.parametrize("name", ["ticker", "sector", "exchange"])
def test_every_static_id_counts_and_an_unknown_one_is_forecast(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    model, batch = trained_network(stats), batch_of(panel, fold.validation[:8], stats)
    ids: Any = {name: torch.full_like(batch.ticker, UNKNOWN_ID)}
    unknown = model(replace(batch, **ids))
    assert torch.isfinite(unknown).all()
    assert not torch.equal(unknown, model(batch))


def test_some_ids_are_shown_as_unknown_in_training_only(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    torch.manual_seed(0)
    model = PatchTst(SPEC.model_copy(update={"unknown_share": 0.25}), stats=stats, lookback=LOOKBACK)
    batch = batch_of(panel, fold.train[:800], stats)
    hidden = (model.ids(batch) == UNKNOWN_ID).float().mean(dim=0)
    assert ((hidden > 0.18) & (hidden < 0.32)).all()
    assert not (model.eval().ids(batch) == UNKNOWN_ID).any()


@torch.no_grad()
def test_a_forecaster_is_equivariant_to_shift_and_scale_of_its_window() -> None:
    torch.manual_seed(0)
    sizes = EncoderSizes(30, 6, 3, 8, 2, 2, 16, 0.0, True)
    model = PatchTstForecaster(sizes, horizon=5).eval()
    window = torch.randn(4, 30, 2)
    shift, stretch = torch.tensor([5.0, -3.0]), torch.tensor([2.0, 0.5])
    forecast = model(window)
    assert forecast.shape == (4, 5, 2)
    torch.testing.assert_close(model(window * stretch + shift), forecast * stretch + shift, rtol=1e-3, atol=1e-3)
    other = window.clone()
    other[..., 1] = torch.randn(4, 30)
    assert torch.equal(model(other)[..., 0], forecast[..., 0])  # channels do not see each other


class Served(nn.Module):
    """What a service holds: tensors in, quantiles out."""

    def __init__(self, model: PatchTst) -> None:
        super().__init__()
        self.network, self.head = model.network, model.head
        assert isinstance(self.head, QuantileHead)

    def forward(self, window: Tensor, ids: Tensor, scale: Tensor) -> Tensor:
        return self.head(self.network(window, ids), scale, torch.ones(1, 3, 6))


def served_inputs(size: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    window = torch.randn(size, LOOKBACK, 3, generator=generator)
    ids = torch.randint(2, (size, 3), generator=generator)
    return window, ids, 0.01 + torch.rand(size, 3, generator=generator)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning")
def test_traced_saved_and_loaded_it_gives_the_same_numbers(stats: FoldStats, tmp_path: Path) -> None:
    original = Served(trained_network(stats)).eval()
    torch.jit.save(torch.jit.trace(original, served_inputs(5)), tmp_path / "traced.pt")
    loaded = torch.jit.load(tmp_path / "traced.pt")
    for size in (5, 1, 64):
        torch.testing.assert_close(loaded(*served_inputs(size)), original(*served_inputs(size)), rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("residual_attention", [True, False])
def test_exported_saved_and_loaded_it_gives_the_same_numbers(
    residual_attention: bool, stats: FoldStats, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"residual_attention": residual_attention})
    original = Served(PatchTst(spec, stats=stats, lookback=LOOKBACK)).eval()
    nn.init.normal_(original.network.output.weight, std=0.3)
    size = torch.export.Dim("size", min=1, max=4096)
    exported = torch.export.export(original, served_inputs(5), dynamic_shapes=({0: size}, {0: size}, {0: size}))
    torch.export.save(exported, tmp_path / "exported.pt2")
    loaded = torch.export.load(tmp_path / "exported.pt2").module()
    for count in (5, 1, 64):
        torch.testing.assert_close(loaded(*served_inputs(count)), original(*served_inputs(count)), rtol=0, atol=1e-6)
