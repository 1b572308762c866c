from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import CLIP, SHAPE_FEATURE, UNKNOWN_ID, fit_stats, weighted_quantiles
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import random_panel

SPEC = FoldSpec(first_test_year=2019, validation_sessions=60, purge_sessions=21)


def stats_of(panel: PanelTensors):  # type: ignore[no-untyped-def]
    fold = make_fold(panel, year=2019, spec=SPEC, lookback=20)
    return fold, fit_stats(panel, fold)


def test_scaling_uses_the_rows_up_to_the_last_training_origin() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold, stats = stats_of(panel)
    rows = panel.features[panel.date <= panel.date[fold.train].max()].double()
    assert stats.mean.tolist() == pytest.approx(rows.mean(dim=0).tolist(), abs=1e-6)
    assert stats.std[:3].tolist() == pytest.approx(rows.std(dim=0)[:3].tolist(), rel=1e-5)  # the others are constant


def test_nothing_after_the_last_training_origin_and_label_changes_a_statistic() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold, stats = stats_of(panel)
    features, targets = panel.features.clone(), panel.targets.clone()
    features[panel.date > panel.label_end[fold.train].max()] *= 1000
    targets[panel.date > panel.date[fold.train].max()] = 99.0
    _, poisoned = stats_of(replace(panel, features=features, targets=targets))
    for name, value in vars(stats).items():
        other = getattr(poisoned, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name


def test_a_ticker_that_lists_after_training_is_unknown_and_moves_no_other_id() -> None:
    panel = random_panel(tickers=3, sessions=700)
    new_listing = (panel.ticker == 1) & (panel.date < int(panel.date[600]))
    _, stats = stats_of(replace(panel, run_length=torch.where(new_listing, 0, panel.run_length)))
    assert stats.ticker_ids.tolist() == [1, UNKNOWN_ID, 2]
    assert stats.count("ticker") == 3


def test_quantiles_are_weighted() -> None:
    values, weights = np.array([3.0, -1.0, 0.0, 5.0]), np.array([1.0, 2.0, 1.0, 4.0])
    # Half of the weight lies between 3, whose middle is at 3.5 of 8, and 5, whose middle is at 6.
    assert weighted_quantiles(values, weights)[3] == pytest.approx(3.0 + 2.0 * (4.0 - 3.5) / (6.0 - 3.5))


def test_forecasts_before_an_announcement_have_a_shape_of_their_own() -> None:
    panel = random_panel(tickers=320, sessions=700)
    generator = torch.Generator().manual_seed(3)
    near = torch.rand(panel.rows, generator=generator)  # the twentieth part has fat tails
    shock = torch.randn(panel.rows, generator=generator) * (near > 0.98) * 0.1
    panel = replace(
        panel,
        features=torch.cat([panel.features, near[:, None]], dim=1),
        feature_names=(*panel.feature_names, SHAPE_FEATURE),
        targets=torch.cat([panel.targets[:, :1] + shock[:, None], panel.targets[:, 1:]], dim=1),
    )
    _, stats = stats_of(panel)
    assert stats.shape_borders.tolist() == pytest.approx([0.8, 0.93, 0.98], abs=0.01)
    base = stats.base(panel, torch.stack([near.argmin(), near.argmax()]))  # (2, 3, 7)
    torch.testing.assert_close(base[:, :, 3], stats.base_quantiles[:, 3].expand(2, -1))
    torch.testing.assert_close(base[:, 1:], stats.base_quantiles[1:].expand(2, -1, -1))
    far, close = (base[:, 0, 6] - base[:, 0, 0]).tolist()
    assert close > 3 * far


def test_the_base_distribution_is_the_pooled_quantiles_of_standardised_targets() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold, stats = stats_of(panel)
    targets = panel.targets[fold.train].double().numpy()
    for column, horizon in enumerate((1, 5, 20)):
        standardised = targets[:, column] / (0.01 * horizon**0.5)
        standardised = standardised[~np.isnan(standardised)]
        assert stats.base_quantiles[column, 3] == pytest.approx(np.median(standardised), abs=1e-4)
        assert stats.base_quantiles[column, 6] == pytest.approx(
            np.quantile(standardised, 0.975, method="hazen"), abs=1e-3
        )


def test_a_constant_feature_is_centred_and_not_scaled() -> None:
    panel = random_panel(tickers=2, sessions=700)
    features = panel.features.clone()
    features[:, 1] = 5.0
    _, stats = stats_of(replace(panel, features=features))
    window = stats.standardise(torch.full((1, 1, 1), 5.0), torch.tensor([1]))
    assert window.item() == pytest.approx(0.0, abs=1e-6)


def test_an_outlier_is_clipped() -> None:
    _, stats = stats_of(random_panel(tickers=2, sessions=700))
    assert stats.standardise(torch.full((1, 1, 1), 1e9), torch.tensor([0])).item() == CLIP
