"""Champion-challenger comparison on the same matured forecasts, and whether the challenger is promoted."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.evaluation.significance import Interval, bootstrap_interval
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.scores.quantile import Floats, coverage, pinball
from forecast_assets.core.specs import NightlySpec

BANDS = {0.95: (0.025, 0.975), 0.90: (0.05, 0.95)}  # nominal coverage of each band -> its levels


@dataclass(frozen=True)
class HorizonScore:
    """Scores of one horizon. Pinball in log-return units, mean over levels, tickers, then days."""

    horizon_sessions: int
    champion_pinball: float
    challenger_pinball: float
    ratio: Interval  # challenger's pinball over the champion's, 95 % stationary-bootstrap interval
    champion_coverage: dict[float, float]  # nominal coverage -> observed
    challenger_coverage: dict[float, float]


@dataclass(frozen=True)
class ChallengerScores:
    """The result of a champion-challenger comparison."""

    promoted: bool
    worse: bool  # neither promoted nor worse: the same forecasts
    why: tuple[str, ...]
    ratio: float  # mean over horizons of the ratios of pinball
    sessions: int
    decisions: int
    horizons: tuple[HorizonScore, ...]


def challenger_scores(
    champion: Floats, challenger: Floats, *, y: Floats, date: NDArray[np.int64], spec: NightlySpec
) -> ChallengerScores:
    """Score both on M matured forecasts, and decide on promotion.

    ``champion`` and ``challenger`` (M, 3, 7) quantiles, ``y`` (M, 3) outcomes, ``date`` (M,) days. The challenger is
    promoted where its pinball, as the mean over horizons of its ratio to the champion's (so that the longest horizon
    does not drown the others), is at most 1; no horizon's interval of the ratio lies above 1; and no band's coverage
    lies further from nominal than the champion's by more than ``spec.coverage_tolerance``. A challenger with exactly the
    champion's forecasts is not promoted. Raises ValueError on a value that is not finite.
    """
    for name, values in (("champion", champion), ("challenger", challenger), ("outcome", y)):
        if (bad := int((~np.isfinite(values)).sum())) or not values.size:
            raise ValueError(f"champion-challenger comparison: {bad} of {values.size} {name} values are not finite")
    days, day = np.unique(date, return_inverse=True)
    scores = tuple(
        _score(champion[:, k], challenger[:, k], y=y[:, k], day=day, horizon=horizon, spec=spec)
        for k, horizon in enumerate(HORIZONS)
    )
    ratio = float(np.mean([score.ratio.estimate for score in scores]))
    reasons = _reasons_against(scores, ratio=ratio, tolerance=spec.coverage_tolerance)
    same = np.array_equal(champion, challenger)
    summary = (
        "no member became better than the champion's on validation: the forecasts are the same"
        if same
        else f"pinball is {ratio:.4f} of the champion's over {len(days)} sessions and {len(date)} matured decisions, and "
        f"no coverage is further from nominal by more than {spec.coverage_tolerance:g}"
    )
    return ChallengerScores(
        promoted=not reasons and not same,
        worse=bool(reasons),
        why=tuple(reasons or [summary]),
        ratio=ratio,
        sessions=len(days),
        decisions=len(date),
        horizons=scores,
    )


def challenger_table(comparison: ChallengerScores) -> pl.DataFrame:
    """Return the scores as one row per horizon."""
    return pl.DataFrame(
        {
            "horizon": score.horizon_sessions,
            "champion_pinball": score.champion_pinball,
            "challenger_pinball": score.challenger_pinball,
            "pinball_ratio": score.ratio.estimate,
            "ratio_low": score.ratio.low,
            "ratio_high": score.ratio.high,
            **{f"champion_coverage_{band:.0%}"[:-1]: share for band, share in score.champion_coverage.items()},
            **{f"challenger_coverage_{band:.0%}"[:-1]: share for band, share in score.challenger_coverage.items()},
        }
        for score in comparison.horizons
    )


def _score(
    champion: Floats, challenger: Floats, *, y: Floats, day: NDArray[np.intp], horizon: int, spec: NightlySpec
) -> HorizonScore:
    pair = np.stack([pinball(y, q, levels=QUANTILES).mean(axis=-1) for q in (champion, challenger)], axis=1)  # (M, 2)
    daily = np.stack([np.bincount(day, weights=pair[:, k]) for k in range(2)], axis=1) / np.bincount(day)[:, None]

    def statistic(table: Floats) -> float:
        return float(table[:, 1].mean() / table[:, 0].mean())

    ratio = bootstrap_interval(daily, statistic, samples=spec.bootstrap_samples, seed=spec.seed)
    old, new = map(float, daily.mean(axis=0))
    return HorizonScore(horizon, old, new, ratio, _coverage(y, champion), _coverage(y, challenger))


def _coverage(y: Floats, quantiles: Floats) -> dict[float, float]:
    low_high = {level: [quantiles[:, QUANTILES.index(q)] for q in band] for level, band in BANDS.items()}
    return {level: coverage(y, low, high) for level, (low, high) in low_high.items()}


def _reasons_against(scores: tuple[HorizonScore, ...], *, ratio: float, tolerance: float) -> list[str]:
    """Return one sentence per reason against promotion."""
    found = []
    if not ratio <= 1.0:
        found.append(f"pinball is worse: {ratio:.4f} of the champion's, mean over horizons")
    for score in scores:
        h = score.horizon_sessions
        if score.ratio.low > 1.0:
            found.append(
                f"pinball at h={h} is significantly worse: {score.ratio.estimate:.4f} of the champion's, "
                f"95 % interval {score.ratio.low:.4f} to {score.ratio.high:.4f}"
            )
        for nominal, new in score.challenger_coverage.items():
            old = score.champion_coverage[nominal]
            if abs(new - nominal) > abs(old - nominal) + tolerance:
                found.append(
                    f"coverage at h={h} is worse: the {nominal:.0%} band covers {new:.3f}, the champion's {old:.3f} "
                    f"(tolerance {tolerance:g})"
                )
    return found
