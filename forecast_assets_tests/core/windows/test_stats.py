from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import CLIP, UNKNOWN_ID, fit_stats
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


def test_the_base_distribution_is_the_pooled_quantiles_of_standardised_targets() -> None:
    panel = random_panel(tickers=3, sessions=700)
    fold, stats = stats_of(panel)
    targets = panel.targets[fold.train].double().numpy()
    for column, horizon in enumerate((1, 5, 20)):
        standardised = targets[:, column] / (0.01 * horizon**0.5)
        standardised = standardised[~np.isnan(standardised)]
        assert stats.base_quantiles[column, 3] == pytest.approx(np.median(standardised), abs=1e-4)
        assert stats.base_quantiles[column, 6] == pytest.approx(np.quantile(standardised, 0.975), abs=1e-3)


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
