from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import (
    ANNOUNCEMENTS,
    FLOOR,
    LAGS,
    LONG_LAGS,
    MARKET_LAGS,
    MAX_RETURN,
    RETURNS,
    RIDGE,
    SHORT,
    USUAL_VIX,
    VARIANCES,
    VIX_CHANGES,
    VIX_MEANS,
    fit_volatility,
    log_excess,
    plain_regressors,
    realised_log_variance,
    regressor_names,
    volatility,
)
from forecast_assets_tests.helpers.tensors import random_panel

SESSIONS = 400
ADDED = tuple(f"announcement_variance_{h}d" for h in HORIZONS)


def noisy_panel(*, tickers: int = 2, seed: int = 0) -> PanelTensors:
    """Every regressor random, two of the rows filled, a border between segments in the first ticker."""
    panel = random_panel(tickers=tickers, sessions=SESSIONS, features=1)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(panel.features.shape, generator=generator)
    names = panel.feature_names
    for name in LAGS:
        features[:, names.index(name)] -= 9.0
    for name in {name for name, _ in RETURNS.values()}:
        features[:, names.index(name)] *= 0.03
    further = ("volume_z_20", "kurt_60", "market_return", *ANNOUNCEMENTS, *VARIANCES, "large_moves", *ADDED, "vix")
    extra = torch.randn(panel.rows, len(further), generator=generator)
    extra[:, -1] = 0.15 * (0.3 * extra[:, -1]).exp()
    extra[:40, -1] = torch.nan  # the feed begins later
    observed, starts = panel.observed.clone(), panel.segment_start.clone()
    observed[[150, 151]] = False
    starts[200] = True
    run = panel.run_length.clone()
    run[200:SESSIONS] -= 200
    return replace(
        panel,
        features=torch.cat([features, extra], dim=1),
        feature_names=(*names, *further),
        observed=observed,
        segment_start=starts,
        run_length=run,
        scale=torch.rand(panel.rows, generator=generator) * 0.02 + 0.005,
    )


def naive_regressors(panel: PanelTensors, row: int) -> list[float]:
    reach = int(panel.run_length[row]) - 1

    def value(name: str, lag: int = 0) -> float:
        return float(panel.column(name)[row - min(lag, reach)])

    scale = float(panel.scale[row])

    def mean(name: str, lags: tuple[int, ...]) -> float:
        return float(np.mean([value(name, lag) for lag in lags]))

    def signed(sessions: int, low: float, high: float) -> float:
        name, lags = RETURNS[sessions]
        return float(np.clip(sum(value(name, lag) for lag in lags) / (scale * sessions**0.5), low, high))

    def log_vix(lags: tuple[int, ...]) -> float:
        return float(np.mean([np.log(value("vix", lag)) for lag in lags]))

    vix = [log_vix(lags) - USUAL_VIX for lags in ((0,), *VIX_MEANS)]
    vix += [log_vix((0,)) - log_vix((lag,)) for lag in VIX_CHANGES]
    long = [n for n in RETURNS if n not in SHORT]
    return [
        *(value(name, lag) for name, lags in LAGS.items() for lag in lags),
        *(mean("har_22", lags) for lags in LONG_LAGS),
        *(mean(name, lags) for name, groups in MARKET_LAGS.items() for lags in groups),
        float(np.log(scale)),
        *(signed(n, -MAX_RETURN, 0.0) for n in SHORT),
        value("volume_z_20"),
        value("kurt_60"),
        *(signed(n, 0.0, MAX_RETURN) for n in SHORT),
        *(part for n in long for part in (signed(n, -MAX_RETURN, 0.0), signed(n, 0.0, MAX_RETURN))),
        *(100 * min(0.0, sum(value("market_return", lag) for lag in range(n))) for n in SHORT),
        *(value(name) for name in ANNOUNCEMENTS),
        *(value(name) - value(other) for name, other in VARIANCES.items()),
        100 * value("large_moves"),
        *(term if np.isfinite(term) else 0.0 for term in vix),
        *(value(name) for name in ADDED),
    ]


def naive_log_variance(panel: PanelTensors, row: int, k: int) -> float:
    ahead = [i for i in range(row + 1, row + HORIZONS[k] + 1) if i < panel.rows and panel.observed[i]]
    if not np.isfinite(float(panel.targets[row, k])) or not ahead:
        return float("nan")
    return float(np.log(np.mean(np.exp(panel.column("har_1").double().numpy()[ahead]))))


def test_realised_variance_equals_a_loop_over_the_observed_sessions_of_a_label() -> None:
    panel = noisy_panel()
    actual = realised_log_variance(panel, torch.arange(panel.rows)).numpy()
    expected = [[naive_log_variance(panel, row, k) for k in range(3)] for row in range(panel.rows)]
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert np.isnan(actual[149, 0])  # the next two sessions are filled ones
    assert not np.isnan(actual[149, 1])


def test_the_fit_is_least_squares_and_the_forecast_the_mean_of_a_log_normal_variance() -> None:
    panel = noisy_panel()
    train = torch.cat([torch.arange(100, 190), torch.arange(210, 370), torch.arange(500, 700)])
    weights, residual = fit_volatility(panel, train)
    design = np.array([[1.0, *naive_regressors(panel, row)] for row in train.tolist()])
    for k in range(len(HORIZONS)):
        outcome = np.array([naive_log_variance(panel, row, k) for row in train.tolist()])
        known = np.isfinite(outcome)
        own = design.copy()  # of the variances that announcements add, a horizon reads its own
        own[:, [-len(HORIZONS) + other for other in range(len(HORIZONS)) if other != k]] = 0.0
        ridge = np.zeros(own.shape[1])
        ridge[1 + plain_regressors() :] = RIDGE
        expected = np.linalg.lstsq(own[known].T @ own[known] + np.diag(ridge), own[known].T @ outcome[known])[0]
        variance = np.mean((outcome[known] - own[known] @ expected) ** 2)
        assert residual[k].item() == pytest.approx(variance, rel=1e-4)
        expected[0] += variance / 2
        np.testing.assert_allclose(design @ weights[k].numpy(), own @ expected, atol=1e-4)
    rows = torch.tensor([5, 205, 390, 700])  # the first two have less history than the lags
    actual = volatility(panel, rows, weights=weights)
    for b, row in enumerate(rows.tolist()):
        log_variance = weights.numpy() @ np.array([1.0, *naive_regressors(panel, row)])
        assert actual[b].tolist() == pytest.approx((np.exp(log_variance / 2) * np.sqrt(HORIZONS)).tolist(), rel=1e-5)


def test_the_plain_regression_reads_its_own_regressors_alone() -> None:
    panel, train = noisy_panel(), torch.arange(210, 370)
    plain, _ = fit_volatility(panel, train, plain=True)
    assert not plain[:, 1 + plain_regressors() :].any()
    bare = replace(panel, features=panel.features[:, :-22], feature_names=panel.feature_names[:-22])
    assert bare.feature_names[-1] == "market_return"
    torch.testing.assert_close(plain, fit_volatility(bare, train, plain=True)[0])


def test_a_regressor_that_hardly_varied_in_training_has_no_large_weight() -> None:
    panel = noisy_panel()
    features = panel.features.clone()
    quiet, plain = (panel.feature_names.index(name) for name in ("quiet_variance_5", "har_5"))
    features[:, quiet] = features[:, plain] + 1e-4 * features[:, quiet]
    weights, _ = fit_volatility(replace(panel, features=features), torch.arange(210, 370))
    assert weights[:, 1 + regressor_names().index("quiet_variance_5")].abs().max() < 0.01


def with_covariates(panel: PanelTensors, **columns: torch.Tensor) -> PanelTensors:
    added = torch.stack(list(columns.values()), dim=1)
    names = (*panel.feature_names, *(f"x_{name}" for name in columns))
    return replace(panel, features=torch.cat([panel.features, added], dim=1), feature_names=names)


def doubled(panel: PanelTensors, values: torch.Tensor) -> PanelTensors:
    """Return the panel with twice the variance on the session after each row whose value is above zero."""
    features = panel.features.clone()
    features[1:, panel.feature_names.index("har_1")] += np.log(2) * (torch.nan_to_num(values[:-1]) > 0)
    return replace(panel, features=features)


def test_a_covariate_that_doubles_the_next_variance_is_found_in_any_unit() -> None:
    generator = torch.Generator().manual_seed(2)
    values = (torch.rand(2 * SESSIONS, generator=generator) > 0.8).float()
    values[::5] = torch.nan
    train, later = torch.cat([torch.arange(0, 190), torch.arange(SESSIONS, 700)]), torch.arange(720, 790)
    quiet = random_panel(tickers=2, sessions=SESSIONS)
    quiet.features[:, quiet.feature_names.index("har_1")] += 0.1 * torch.randn(quiet.rows, generator=generator)
    planted = doubled(quiet, values)
    found = []
    for unit, zero in ((1.0, 0.0), (1e4, 0.0), (1e-4, 0.02)):
        panel = with_covariates(planted, planted=zero + unit * values, empty=torch.full_like(values, torch.nan))
        weights, _ = fit_volatility(panel, train)
        found.append(volatility(panel, later, weights=weights.float()))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=0)
    torch.testing.assert_close(found[2], found[0], rtol=1e-4, atol=0)
    known = torch.isfinite(values[later])
    raised, usual = found[0][known & (values[later] > 0), 0], found[0][known & (values[later] == 0), 0]
    assert float(2 * (raised.log().mean() - usual.log().mean())) == pytest.approx(np.log(2), abs=0.15)
    missing = found[0][~known, 0].log().mean()
    assert usual.log().mean() < missing < raised.log().mean()  # as the mean covariate


def test_a_covariate_that_is_never_there_changes_no_forecast_nor_does_their_order() -> None:
    panel, train, rows = noisy_panel(), torch.arange(100, 370), torch.arange(500, 700)
    none = torch.full((panel.rows,), torch.nan)
    own, other = panel.column("large_moves"), panel.column("vix")

    def forecast(panel: PanelTensors) -> torch.Tensor:
        return volatility(panel, rows, weights=fit_volatility(panel, train)[0])

    torch.testing.assert_close(forecast(with_covariates(panel, none=none)), forecast(panel), rtol=1e-5, atol=0)
    ordered, turned = with_covariates(panel, a=own, b=other), with_covariates(panel, b=other, a=own)
    assert torch.equal(forecast(ordered), forecast(turned))
    assert not torch.allclose(forecast(ordered), forecast(panel), rtol=1e-4)
    plain, _ = fit_volatility(ordered, train, plain=True)
    assert not plain[:, 1 + plain_regressors() :].any()


def test_a_panel_without_announcements_and_vix_has_a_regression_too() -> None:
    panel = random_panel(tickers=2, sessions=SESSIONS)
    weights, _ = fit_volatility(panel, torch.arange(100, 300))
    assert torch.isfinite(volatility(panel, torch.arange(5, 390), weights=weights)).all()


def test_the_mean_log_excess_over_the_training_rows_is_zero() -> None:
    panel, train = noisy_panel(), torch.arange(100, 190)
    weights, residual = fit_volatility(panel, train)
    excess = log_excess(panel, train, forecast=volatility(panel, train, weights=weights), residual=residual)
    assert excess.nanmean(dim=0).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert (2 * excess).square().nanmean(dim=0).tolist() == pytest.approx(residual.tolist(), rel=1e-4)


def test_no_row_after_a_forecast_origin_changes_its_forecast() -> None:
    panel = noisy_panel()
    weights, _ = fit_volatility(panel, torch.arange(100, 300))
    rows = torch.arange(120, 200)
    features = panel.features.clone()
    features[200:SESSIONS] = 1e3
    later = replace(panel, features=features)
    assert torch.equal(volatility(panel, rows, weights=weights), volatility(later, rows, weights=weights))


def test_another_ticker_does_not_change_the_fit() -> None:
    train = torch.arange(100, 300)
    fits = [fit_volatility(noisy_panel(), train)[0]]
    panel = noisy_panel()
    features = panel.features.clone()
    features[SESSIONS:] += 3.0
    fits.append(fit_volatility(replace(panel, features=features), train)[0])
    assert torch.equal(*fits)


def test_a_stale_price_has_a_volatility_above_zero() -> None:
    panel = random_panel(tickers=1, sessions=SESSIONS)
    weights = torch.zeros_like(fit_volatility(panel, torch.arange(100, 300))[0])
    weights[:, 0] = -40.0
    assert volatility(panel, torch.tensor([300]), weights=weights)[0, 0].item() == pytest.approx(FLOOR)


def test_no_usable_forecast_origin_is_an_error() -> None:
    panel = random_panel(tickers=1, sessions=SESSIONS)
    with pytest.raises(ValueError, match="no training forecast origin has a 20-session label"):
        fit_volatility(panel, torch.tensor([SESSIONS - 10]))
