"""Partial pooling: known scores stay, a new listing moves as the average of its sector, and learns its own ways."""

import numpy as np
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.pooling import Pooled, pooled
from forecast_assets.core.specs import ScenarioSpec

SPEC = ScenarioSpec()


def scores(*, days: int = 600, tickers: int = 12, seed: int = 0) -> np.ndarray:
    """Two sectors of opposite signs: the first half has a correlation of .64 with each other and -.64 with the rest."""
    rng = np.random.default_rng(seed)
    sign = np.where(np.arange(tickers) < tickers // 2, 1.0, -1.0)
    common, own = rng.normal(size=(days, 1, 3)), rng.normal(size=(days, tickers, 3))
    return (0.8 * common * sign[:, None] + 0.6 * own).astype(np.float32)


SECTORS = np.repeat([0, 1], 6)


def split(given: np.ndarray, spec: ScenarioSpec = SPEC) -> Pooled:
    return pooled(given, sectors=SECTORS, spec=spec, generator=np.random.default_rng(1))


def test_known_scores_stay_as_they_are_and_nothing_is_left_open() -> None:
    given = scores()
    given[:400, 0] = np.nan
    found = split(given).scores
    known = np.isfinite(given)
    assert found[known] == pytest.approx(given[known], abs=1e-5)
    assert np.isfinite(found).all()


def test_a_ticker_without_a_day_of_its_own_moves_with_its_sector() -> None:
    given = scores()
    given[:, 0] = np.nan
    found = split(given).scores[:, :, 0]
    with_sector, with_others = (np.corrcoef(found[:, 0], found[:, at])[0, 1] for at in (1, 7))
    assert 0.45 < with_sector < 0.75
    assert -0.75 < with_others < -0.45
    assert found[:, 0].std() == pytest.approx(1.0, abs=0.1)


def test_a_young_ticker_takes_over_its_own_correlation_with_its_days() -> None:
    """One that has nothing to do with its sector: with 10 days the average is believed, with 600 its own."""
    given = scores()
    given[:, 0] = np.random.default_rng(5).normal(size=given[:, 0].shape)
    loadings = []
    for days in (0, 10, 100, 600):
        young = given.copy()
        young[: 600 - days, 0] = np.nan
        loadings.append(float(np.sqrt(1 - split(young).deviation[0, 0] ** 2)))
    assert loadings == sorted(loadings, reverse=True)
    assert loadings[0] > 0.6
    assert loadings[-1] < 0.2


def test_without_a_sector_of_its_own_a_ticker_follows_the_panel() -> None:
    rng = np.random.default_rng(2)
    given = (0.8 * rng.normal(size=(600, 1, 3)) + 0.6 * rng.normal(size=(600, 8, 3))).astype(np.float32)
    given[:, 0] = np.nan
    alone = pooled(given, sectors=np.array([9, *[0] * 7]), spec=SPEC, generator=np.random.default_rng(1)).scores
    assert np.corrcoef(alone[:, 0, 0], alone[:, 1, 0])[0, 1] > 0.45


def test_a_drawn_rest_over_five_sessions_holds_the_first_one() -> None:
    given = scores(days=4000)
    given[:, 0] = np.nan
    own = split(given).own[:, 0]
    for k, h in enumerate(HORIZONS):
        assert np.corrcoef(own[:, 0], own[:, k])[0, 1] == pytest.approx(1 / np.sqrt(h), abs=0.04)


def test_the_more_outcomes_overlap_the_more_of_the_rest_is_drawn_anew() -> None:
    renewed = split(scores(days=500)).renewed
    assert renewed[0] == pytest.approx([60 / (60 + 500 / h) for h in HORIZONS], rel=1e-6)
    assert (split(scores(days=500), SPEC.model_copy(update={"prior_days": 0.0})).renewed == 0).all()


def test_a_day_without_any_outcome_and_no_prior_leave_the_tickers_to_themselves() -> None:
    given = np.full((50, 12, 3), np.nan, dtype=np.float32)
    none = SPEC.model_copy(update={"prior_days": 0.0, "prior_tickers": 0.0})
    found = split(given, none)
    assert (found.common == 0).all()
    assert np.isfinite(found.scores).all()
