"""Promotion of a challenger, and its reasons."""

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast_assets.core.evaluation.champion_challenger import ChallengerScores, challenger_scores, challenger_table
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import NightlySpec
from forecast_assets_tests.helpers.scores import mean_pinball, normal_quantiles

Floats = NDArray[np.float64]

DAYS, NAMES = 60, 40
SPEC = NightlySpec(bootstrap_samples=200, coverage_tolerance=0.01)
DATE = np.repeat(np.arange(18_000, 18_000 + DAYS), NAMES)
SIGMA = 0.01 * np.sqrt(np.array(HORIZONS))  # (3,)
Y: Floats = np.random.default_rng(0).normal(size=(DAYS * NAMES, 3)) * SIGMA


def normal(*, mean: Floats | float = 0.0, width: float = 1.0) -> Floats:
    return normal_quantiles(np.zeros_like(Y) + mean, np.zeros_like(Y) + SIGMA * width)


def compared(champion: Floats, challenger: Floats, **settings: float) -> ChallengerScores:
    return challenger_scores(champion, challenger, y=Y, date=DATE, spec=SPEC.model_copy(update=settings))


def test_a_challenger_that_sees_half_of_the_outcome_is_promoted() -> None:
    found = compared(normal(), normal(mean=0.5 * Y, width=0.5))
    assert found.promoted
    assert (found.sessions, found.decisions) == (DAYS, DAYS * NAMES)
    assert all(score.ratio.high < 0.7 for score in found.horizons)
    assert found.why == (
        f"pinball is {found.ratio:.4f} of the champion's over 60 sessions and 2400 matured decisions, "
        "and no coverage is further from nominal by more than 0.01",
    )


def test_the_scores_are_a_table_of_one_row_per_horizon() -> None:
    found = compared(normal(), normal(mean=0.5 * Y, width=0.5))
    table = challenger_table(found)
    assert table["horizon"].to_list() == list(HORIZONS)
    assert table["pinball_ratio"].mean() == pytest.approx(found.ratio)
    for row, score in zip(table.iter_rows(named=True), found.horizons, strict=True):
        assert (row["ratio_low"], row["ratio_high"]) == (score.ratio.low, score.ratio.high)
        assert (row["champion_pinball"], row["challenger_pinball"]) == (
            score.champion_pinball,
            score.challenger_pinball,
        )
        assert {0.95: row["champion_coverage_95"], 0.90: row["champion_coverage_90"]} == score.champion_coverage
        assert {0.95: row["challenger_coverage_95"], 0.90: row["challenger_coverage_90"]} == score.challenger_coverage


def test_a_challenger_that_is_overconfident_is_not_promoted_and_each_reason_is_named() -> None:
    found = compared(normal(), normal(width=0.4))
    assert not found.promoted
    assert found.worse
    assert found.why[0].startswith("pinball is worse: 1.")
    coverage = [sentence.split(" is worse")[0] for sentence in found.why if sentence.startswith("coverage")]
    assert coverage == [f"coverage at h={h}" for h in HORIZONS for _ in range(2)]
    assert sum("significantly worse" in sentence for sentence in found.why) == 3


def test_better_pinball_does_not_make_up_for_coverage() -> None:
    found = compared(normal(), normal(mean=0.5 * Y, width=0.3))
    assert found.ratio < 1.0
    assert not found.promoted
    assert all(sentence.startswith("coverage at h=") for sentence in found.why)


def test_the_tolerance_decides_how_much_coverage_may_be_lost() -> None:
    challenger = normal(mean=0.5 * Y, width=0.42)
    lost = max(
        abs(score.challenger_coverage[band] - band) - abs(score.champion_coverage[band] - band)
        for score in compared(normal(), challenger).horizons
        for band in (0.95, 0.90)
    )
    assert lost > 0
    assert compared(normal(), challenger, coverage_tolerance=lost + 1e-9).promoted
    assert not compared(normal(), challenger, coverage_tolerance=lost - 1e-9).promoted


def test_one_horizon_that_is_significantly_worse_is_enough() -> None:
    challenger = normal(mean=0.5 * Y, width=0.5)
    challenger[:, 2] = normal(mean=2 * SIGMA)[:, 2]
    found = compared(normal(), challenger, coverage_tolerance=1.0)
    assert found.ratio < 1.0 or "pinball is worse" in found.why[0]
    assert not found.promoted
    assert any(sentence.startswith("pinball at h=20 is significantly worse") for sentence in found.why)


def test_the_same_forecasts_are_no_challenger() -> None:
    found = compared(normal(), normal())
    assert not found.promoted
    assert not found.worse
    assert found.why == ("no member became better than the champion's on validation: the forecasts are the same",)


def test_pinball_is_the_mean_of_daily_means_and_coverage_the_share_inside() -> None:
    champion = normal(width=1.3)
    score = compared(champion, normal()).horizons[1]
    assert score.champion_pinball == pytest.approx(
        mean_pinball(Y[:, 1], champion[:, 1], levels=(0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975))
    )  # as many names on each day
    inside = (Y[:, 1] >= champion[:, 1, 0]) & (Y[:, 1] <= champion[:, 1, 6])
    assert score.champion_coverage[0.95] == pytest.approx(inside.mean())
    assert score.ratio.low <= score.ratio.estimate <= score.ratio.high


def test_an_outcome_that_has_not_matured_is_an_error() -> None:
    y = Y.copy()
    y[3, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 7200 outcome values are not finite"):
        challenger_scores(normal(), normal(width=2), y=y, date=DATE, spec=SPEC)
