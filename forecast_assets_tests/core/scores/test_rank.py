"""Rank IC against scipy's Spearman, day by day."""

import numpy as np
from scipy.stats import spearmanr

from forecast_assets.core.scores.rank import rank_ic


def test_rank_ic_equals_spearman_on_every_day_with_ties_and_gaps() -> None:
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(12), 15)[rng.permutation(180)]
    forecast = rng.integers(0, 6, size=180).astype(float)  # many ties
    y = rng.normal(size=180).round(1)
    y[::17] = np.nan
    ours = rank_ic(forecast, y, day=day)
    assert ours.shape == (12,)
    for d in range(12):
        pair = (day == d) & ~np.isnan(y)
        np.testing.assert_allclose(ours[d], spearmanr(forecast[pair], y[pair]).statistic)


def test_a_perfect_order_scores_one_and_its_reverse_minus_one() -> None:
    ic = rank_ic([1.0, 2.0, 3.0, 3.0, 2.0, 1.0], [0.1, 0.5, 9.0, 0.1, 0.5, 9.0], day=[0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(ic, [1.0, -1.0])


def test_a_day_of_two_names_or_of_one_forecast_has_no_correlation() -> None:
    ic = rank_ic([1.0, 2.0, 5.0, 5.0, 5.0], [1.0, 2.0, 1.0, 2.0, 3.0], day=[0, 0, 1, 1, 1])
    assert np.isnan(ic).all()
