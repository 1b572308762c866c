"""Normal scores of outcomes in a forecast, and the values at scores: each undoes the other."""

import numpy as np
import pytest

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.normal_scores import interpolation_weights, normal_score, value_at_score
from forecast_assets_tests.helpers.scores import normal_quantiles

AT = np.linspace(-5, 5, 41)


def test_a_normal_has_its_own_scores_and_values_tails_included() -> None:
    q = normal_quantiles(0.3, 2.0)
    assert normal_score(0.3 + 2.0 * AT, np.broadcast_to(q, (41, 7))) == pytest.approx(AT, abs=1e-12)
    assert value_at_score(AT, q) == pytest.approx(0.3 + 2.0 * AT, abs=1e-12)


def test_each_undoes_the_other_where_a_forecast_is_skewed() -> None:
    q = np.array([[-3.0, -1.0, -0.2, 0.0, 0.1, 0.9, 1.0], [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]])
    values = value_at_score(AT, q)
    assert values.shape == (2, 41)
    assert (np.diff(values, axis=1) > 0).all()
    assert normal_score(values, np.broadcast_to(q[:, None], (2, 41, 7))) == pytest.approx(np.tile(AT, (2, 1)))


def test_at_the_levels_own_scores_the_quantiles_themselves_are_the_values() -> None:
    from scipy.special import ndtri

    assert interpolation_weights(ndtri(QUANTILES)) == pytest.approx(np.eye(7), abs=1e-12)


def test_where_quantiles_coincide_the_score_is_that_of_the_jump_and_beyond_infinite() -> None:
    assert normal_score([0.0, 1.0, -1.0, np.nan], np.zeros((4, 7))).tolist()[:3] == [0.0, np.inf, -np.inf]
    assert np.isnan(normal_score([np.nan], np.zeros((1, 7)))).all()


def test_quantiles_that_do_not_fit_the_levels_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) do not fit 7 levels"):
        value_at_score([0.0], np.zeros((2, 3)))
