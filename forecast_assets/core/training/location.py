"""Earn a location: how much of what a network learned of the mean is published, decided by validation outcomes.

A network learns its location freely, and most of what it learns of real returns is noise. So outcomes on rows that it was
not trained on are regressed on the location it gives there, both standardised by the volatility forecast, and the slope is
the factor on what is published: about 1 where the location is right, 0 where it predicts nothing.

A market's own move on a day is the larger part of all outcomes of that day, and a few hundred days say little about it. So
there are two regressions, of differences within a day and exchange and of those groups' means. In each, errors are
clustered by day and summed over neighbouring days whose labels overlap (Newey and West 1987). A slope b with a standard
error s counts as b max(0, 1 - (c s / b)^2): nothing within c standard errors, nearly all far beyond. c is the quantile of
Student's t at three standard deviations, with the degrees of freedom of that error (Kiefer and Vogelsang 2005), so that
noise earns nothing in all but two or three cases of a thousand, with 126 sessions and labels of 20 too. One factor
multiplies both parts, since a forecast is published for a ticker alone: it is the least-squares one, each part's slope
weighted by the variance of what was learned of it. The mean of a few tickers varies without anything common to them, and so
much of it is left to the first part.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import HORIZONS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TAIL = 0.00135  # of a Normal beyond three standard deviations
OUTCOME_CLIP = 8.0  # in volatility forecasts: one bad print must not decide


class EarnedLocation(NamedTuple):
    """The factors on a network's learned location, per horizon."""

    slope: tuple[float, ...]  # (3,) between 0 and 1
    error: tuple[float, ...]  # (3,) standard error of the unshrunk slope; infinite where there is nothing to tell by

    def slopes(self) -> dict[str, float]:
        """Return the slopes by name, ``location_slope_1d``, ..."""
        return {f"location_slope_{horizon}d": slope for horizon, slope in zip(HORIZONS, self.slope, strict=True)}

    def in_words(self) -> str:
        """Return slopes and standard errors in one line.

        >>> EarnedLocation((0.92, 0.0, 0.0), (0.075, 0.324, float("inf"))).in_words()
        '1d 0.92 (se 0.07), 5d 0.00 (se 0.32), 20d 0.00 (se inf)'
        """
        each = zip(HORIZONS, self.slope, self.error, strict=True)
        return ", ".join(f"{horizon}d {slope:.2f} (se {error:.2f})" for horizon, slope, error in each)


def earned_in_words(slopes: Iterable[Sequence[float]]) -> str:
    """Say how many fits publish a location of their own at each horizon, and how much of it, from their ``slopes`` (3,).

    >>> earned_in_words([(0.9, 0.0, 0.0), (0.5, 0.1, 0.0)])
    'of 2 fits, 2 at 1 session (mean slope 0.70), 1 at 5 sessions (mean slope 0.10), 0 at 20 sessions'
    """
    of_fits = list(slopes)
    each = []
    for column, horizon in enumerate(HORIZONS):
        earned = [slope[column] for slope in of_fits if slope[column] > 0]
        mean = f" (mean slope {np.mean(earned):.2f})" if earned else ""
        each.append(f"{len(earned)} at {horizon} session{'s' * (horizon > 1)}{mean}")
    return f"of {len(of_fits)} fits, {', '.join(each)}"


class _Part(NamedTuple):
    """The regression of one part of the outcomes."""

    variance: float  # sum of squares of the learned location
    slope: float
    error: float
    freedom: float  # degrees of freedom of the error

    @property
    def earned(self) -> float:
        """The slope, between 0 and 1, shrunk by its standard error."""
        from scipy.stats import t as student

        if self.slope <= 0 or not np.isfinite(self.error):
            return 0.0
        critical = float(student.isf(TAIL, self.freedom)) * self.error / self.slope
        return min(self.slope, 1.0) * max(0.0, 1.0 - critical**2)


def earned_location(
    deviation: ArrayLike, outcome: ArrayLike, *, session: ArrayLike, exchange: ArrayLike
) -> EarnedLocation:
    """Return the factors on the location ``deviation`` (N, 3) that ``outcome`` (N, 3), NaN where unknown, bears out.

    Both are in volatility forecasts, from the base distribution's median. ``session`` (N,): number of the union session of
    each row, so that days between two spans count; ``exchange`` (N,): code.
    """
    x, y = np.asarray(deviation, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    day, code = np.asarray(session, dtype=np.int64), np.asarray(exchange, dtype=np.int64)
    found = []
    for column, horizon in enumerate(HORIZONS):
        known = np.isfinite(y[:, column])
        outcomes = y[known, column].clip(-OUTCOME_CLIP, OUTCOME_CLIP)
        found.append(_of_horizon(x[known, column], outcomes, day=day[known], exchange=code[known], horizon=horizon))
    slopes, errors = zip(*found, strict=True)
    return EarnedLocation(slopes, errors)


def _of_horizon(x: Floats, y: Floats, *, day: Integers, exchange: Integers, horizon: int) -> tuple[float, float]:
    """Return slope and standard error of one horizon, of N known outcomes ``y`` on locations ``x``."""
    if not len(x):
        return 0.0, float("inf")
    _, group = np.unique(np.stack([day, exchange]), axis=1, return_inverse=True)
    within, between = (_split(values, group.ravel()) for values in (x, y))
    parts = [_regress(a, b, day=day, horizon=horizon) for a, b in zip(within, between, strict=True)]
    total = sum(part.variance for part in parts)
    if not total > 0:
        return 0.0, float("inf")
    groups = int(group.max()) + 1
    chance = (
        (groups - 1) * parts[0].variance / max(len(x) - groups, 1)
    )  # of the means, if tickers had nothing in common
    common = max(0.0, parts[1].variance - chance) / total
    shares = [1.0 - common, common]
    slope = sum(share * part.earned for share, part in zip(shares, parts, strict=True))
    error = np.sqrt(sum((share * part.error) ** 2 for share, part in zip(shares, parts, strict=True) if share > 0))
    return float(slope), float(error)


def _split(values: Floats, group: Integers) -> tuple[Floats, Floats]:
    """Return the differences of ``values`` (N,) from their group's mean, and those means less the mean of all, 2 x (N,)."""
    means = (np.bincount(group, values) / np.bincount(group))[group]
    return values - means, means - values.mean()


def _regress(x: Floats, y: Floats, *, day: Integers, horizon: int) -> _Part:
    """Regress ``y`` on ``x`` (N,) without a constant, errors clustered by ``day`` and correlated over overlapping labels."""
    variance = float(x @ x)
    if variance <= len(x) * 1e-16:  # all the same: what is left is rounding
        return _Part(0.0, 0.0, float("inf"), 1.0)
    slope = float(x @ y) / variance
    score = np.bincount(day - day.min(), x * (y - slope * x))  # (sessions,) 0 on one between two spans
    lags = 2 * horizon  # twice the overlap: the kernel's weights take a sixth off the variance, instead of a third
    spread = float(score @ score)
    for lag in range(1, min(lags, len(score) - 1) + 1):
        spread += 2 * (1 - lag / (lags + 1)) * float(score[lag:] @ score[:-lag])
    freedom = 1.5 * len(np.unique(day)) / (lags + 1)
    return _Part(variance, slope, float(np.sqrt(max(spread, 0.0))) / variance, max(freedom, 1.0))
