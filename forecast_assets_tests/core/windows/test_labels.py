from dataclasses import replace

import pytest
import torch

from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.labels import PRIOR_TICKERS, training_labels
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import random_panel

TICKERS, SHOCK = 12, 2.0


def shaken_panel() -> PanelTensors:
    """Return a panel whose tickers all have a more volatile session on every tenth day, and noise of their own."""
    panel = random_panel(tickers=TICKERS, sessions=700)
    day, own = panel.features.clone(), panel.feature_names.index("har_1")
    noise = torch.randn(panel.rows, generator=torch.Generator().manual_seed(1))
    shaken = torch.searchsorted(panel.sessions(), panel.date) % 10 == 0
    day[:, own] = day[:, own] + noise + SHOCK * shaken
    return replace(panel, features=day)


def fitted(panel: PanelTensors) -> tuple[Fold, FoldStats]:
    spec = FoldSpec(first_test_year=2019, validation_sessions=60, purge_sessions=21)
    fold = make_fold(panel, year=2019, spec=spec, lookback=20)
    return fold, fit_stats(panel, fold)


def test_what_all_tickers_of_an_exchange_share_is_taken_off_and_the_rest_stays() -> None:
    panel = shaken_panel()
    fold, stats = fitted(panel)
    rows, labels = fold.sampled, training_labels(panel, fold.sampled, stats=stats)
    forecast = stats.volatility(panel, rows)
    excess = stats.log_excess(panel, rows, forecast=forecast)[:, 0]
    label = labels.log_excess(panel, rows, forecast=forecast, stats=stats)[:, 0]
    for name, session in zip(("quiet", "shaken"), ((100, 101), (109, 110)), strict=True):
        day = panel.date[rows] == panel.sessions()[session[0]]
        assert int(day.sum()) == TICKERS, name
        kept = 1 - TICKERS / (TICKERS + PRIOR_TICKERS)
        assert label[day].mean().item() == pytest.approx(kept * excess[day].mean().item(), abs=1e-5), name
        own = excess[day] - excess[day].mean()
        torch.testing.assert_close(label[day] - label[day].mean(), own, rtol=0, atol=1e-5)
    # Half of the log variance: the shock of the session ahead is in the excess, and a quarter of it in the label.
    ahead = panel.date[rows] == panel.sessions()[109]
    others = panel.date[rows] == panel.sessions()[104]
    assert (excess[ahead].mean() - excess[others].mean()).item() > 0.3 * SHOCK
    assert abs((label[ahead].mean() - label[others].mean()).item()) < 0.2 * SHOCK


def test_the_error_of_the_only_ticker_of_an_exchange_is_mostly_its_own() -> None:
    panel = shaken_panel()
    panel = replace(
        panel, exchange=torch.where(panel.ticker == 0, 1, 0).to(panel.exchange.dtype), exchanges=("XNYS", "XPAR")
    )
    fold, stats = fitted(panel)
    rows = fold.sampled[panel.ticker[fold.sampled] == 0]
    labels, forecast = training_labels(panel, fold.sampled, stats=stats), stats.volatility(panel, rows)
    excess = stats.log_excess(panel, rows, forecast=forecast)
    label = labels.log_excess(panel, rows, forecast=forecast, stats=stats)
    torch.testing.assert_close(label, excess * PRIOR_TICKERS / (1 + PRIOR_TICKERS), rtol=1e-4, atol=1e-6)


def test_no_other_origins_outcome_is_read() -> None:
    panel = shaken_panel()
    fold, stats = fitted(panel)
    labels = training_labels(panel, fold.sampled, stats=stats)
    features, targets = panel.features.clone(), panel.targets.clone()
    features[panel.date > panel.label_end[fold.sampled].max()] *= 1000
    targets[panel.date > panel.date[fold.sampled].max()] = 99.0
    poisoned = training_labels(replace(panel, features=features, targets=targets), fold.sampled, stats=stats)
    assert torch.equal(labels.common, poisoned.common)
    assert torch.equal(labels.sessions, poisoned.sessions)
    assert not labels.origins[fold.validation].any()


def test_an_origin_without_a_label_has_none_and_adds_nothing() -> None:
    panel = shaken_panel()
    fold, stats = fitted(panel)
    first, others = fold.sampled[0], fold.sampled[1:]
    targets = panel.targets.clone()
    targets[first] = float("nan")
    labels = training_labels(replace(panel, targets=targets), fold.sampled, stats=stats)
    assert torch.isfinite(labels.common).all()
    assert torch.equal(labels.common, training_labels(panel, others, stats=stats).common)
