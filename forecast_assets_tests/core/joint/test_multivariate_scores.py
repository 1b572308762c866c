"""Energy and variogram scores against scoringrules, and the shrunk correlation against scikit-learn."""

import numpy as np
import pytest
import scoringrules
from sklearn.covariance import ledoit_wolf

from forecast_assets.core.joint.copulas import gaussian, independent, shrunk_correlation
from forecast_assets.core.joint.multivariate_scores import energy_score, some_pairs, variogram_score
from forecast_assets_tests.helpers.joint_panel import correlations

RNG = np.random.default_rng(3)
DRAWS, OUTCOME = RNG.normal(size=(6, 50)), RNG.normal(size=6)  # (N, n), (N,)


def test_the_energy_score_is_that_of_scoringrules() -> None:
    assert energy_score(DRAWS, OUTCOME) == pytest.approx(scoringrules.es_ensemble(OUTCOME, DRAWS.T))


def test_the_energy_score_of_one_ticker_is_its_crps() -> None:
    expected = scoringrules.crps_ensemble(OUTCOME[0], DRAWS[0], estimator="nrg")
    assert energy_score(DRAWS[:1], OUTCOME[:1]) == pytest.approx(expected)


def test_the_variogram_score_of_all_pairs_is_that_of_scoringrules() -> None:
    found = variogram_score(DRAWS, OUTCOME, pairs=some_pairs(6, most=100, generator=RNG))
    assert found * 2 * 15 == pytest.approx(scoringrules.vs_ensemble(OUTCOME, DRAWS.T, p=0.5))


def test_some_pairs_are_distinct_and_of_two_members() -> None:
    pairs = some_pairs(50, most=100, generator=RNG)
    assert pairs.shape == (100, 2)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len({tuple(pair) for pair in pairs.tolist()}) == 100


def test_the_shrunk_correlation_is_that_of_scikit_learn() -> None:
    mixed = RNG.normal(size=(80, 12)) @ RNG.normal(size=(12, 12)) * np.arange(1, 13)
    standardised = (mixed - mixed.mean(axis=0)) / mixed.std(axis=0)
    covariance, _ = ledoit_wolf(standardised)
    deviation = np.sqrt(np.diag(covariance))
    assert shrunk_correlation(mixed) == pytest.approx(covariance / np.outer(deviation, deviation))
    with pytest.raises(ValueError, match="1 rows, at least two"):
        shrunk_correlation(mixed[:1])


def test_a_gaussian_copula_has_the_correlation_of_the_past_and_independence_none() -> None:
    common = RNG.normal(size=(2000, 1))
    past = 0.8 * common + 0.6 * RNG.normal(size=(2000, 4))
    drawn = gaussian(past.astype(np.float32), count=20_000, generator=RNG)
    assert correlations(drawn) == pytest.approx(0.64, abs=0.04)
    assert correlations(independent((4, 20_000), generator=RNG)) == pytest.approx(0.0, abs=0.03)
