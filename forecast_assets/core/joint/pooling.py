"""Partial pooling of past scores: what a day's factor says of a ticker, and the rest that is the ticker's own.

The factor of a day is the mean score of the ticker's sector, shrunk towards the panel's mean by ``prior_tickers`` of its
tickers. A ticker's correlation with it is its own, shrunk towards the average ticker's by ``prior_days`` days. On a day
without an outcome of the ticker the rest is drawn: so a ticker that has just listed moves as the average one does with the
factor, and takes over its own ways with each day that matures.

Outcomes over 20 sessions overlap: 500 days of them are worth 25. A few days make tickers seem related that are not. So a
share of the rest, ``prior_days / (prior_days + days)`` of its variance with days counted apart, is drawn anew by each
scenario, which shrinks the correlations that the factor does not explain as Ledoit and Wolf (2003) do towards a one-factor
model; what all tickers of a day share, volatility and tails included, stays as it was.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.past import Scores
from forecast_assets.core.specs import ScenarioSpec

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]


class Pooled(NamedTuple):
    """Scores of S days, N tickers and H horizons in two parts, without a NaN. Their sum is the score where it is known."""

    common: Scores  # (S, N, H) what the day's factor says of the ticker
    own: Scores  # (S, N, H) the rest; drawn where the score is not known
    deviation: Scores  # (N, H) standard deviation of the rest by the factor model
    renewed: Scores  # (N, H) share of the rest's variance that each scenario draws anew

    @property
    def scores(self) -> Scores:
        """The scores (S, N, H)."""
        return self.common + self.own


class Sums(NamedTuple):
    """By day and horizon: sum of the known scores and how many there are, of each ticker's sector and of the panel."""

    sector: Floats  # (S, N, H)
    sector_count: Floats
    panel: Floats  # (S, 1, H)
    panel_count: Floats

    def mean(self, *, prior: float) -> Floats:
        """Return the sector's mean shrunk towards the panel's, (S, N, H); 0 on a day without any score."""
        whole = self.panel / np.maximum(self.panel_count, 1.0)
        return (self.sector + prior * whole) / np.maximum(self.sector_count + prior, prior or 1.0)

    def without(self, filled: Floats, known: NDArray[np.bool_]) -> "Sums":
        """Return for each ticker the sums of the others."""
        return Sums(self.sector - filled, self.sector_count - known, self.panel - filled, self.panel_count - known)


def pooled(scores: Scores, *, sectors: Codes, spec: ScenarioSpec, generator: np.random.Generator) -> Pooled:
    """Split scores (S, N, H) into what the factor of the day explains and the rest; a NaN gets a rest that is drawn.

    ``sectors`` (N,) codes. A drawn rest is a random walk: over 5 sessions it shares the first with that over 1.
    """
    known = np.isfinite(scores)
    filled = np.where(known, scores, 0.0).astype(np.float64)
    sums = _sums(filled, known, sectors)
    factor = sums.mean(prior=spec.prior_tickers)  # where a ticker has no score it is that of the others
    scale = np.sqrt((factor**2).mean(axis=0))
    days = known.sum(axis=0) / np.array(HORIZONS)  # (N, H) days that do not overlap
    correlation = factor_correlations(filled, known, sums, days=days, spec=spec)
    common = factor * (correlation / np.where(scale > 0, scale, 1.0))
    deviation = np.sqrt(1.0 - correlation**2)
    own = np.where(known, filled - common, deviation * _random_walks(generator, scores.shape))
    renewed = spec.prior_days / np.maximum(spec.prior_days + days, 1e-9)
    return Pooled(*(part.astype(np.float32) for part in (common, own, deviation, renewed)))


def factor_correlations(
    filled: Floats, known: NDArray[np.bool_], sums: Sums, *, days: Floats, spec: ScenarioSpec
) -> Floats:
    """Return each ticker's correlation with the factor that the others of its sector make, (N, H), in [0, .99].

    ``filled`` (S, N, H) scores with 0 where not ``known``; ``days`` (N, H) by which a ticker's own counts.
    """
    factor = np.where(known, sums.without(filled, known).mean(prior=spec.prior_tickers), 0.0)
    product, square = (factor * filled).sum(axis=0), (factor**2).sum(axis=0) * (filled**2).sum(axis=0)
    own = np.where(square > 0, product / np.sqrt(np.where(square > 0, square, 1.0)), 0.0)
    average = (own * days).sum(axis=0) / np.maximum(days.sum(axis=0), 1e-9)  # (H,)
    shrunk = (own * days + average * spec.prior_days) / np.maximum(days + spec.prior_days, 1e-9)
    return np.clip(shrunk, 0.0, 0.99)


def _sums(filled: Floats, known: NDArray[np.bool_], sectors: Codes) -> Sums:
    code = np.unique(sectors, return_inverse=True)[1]
    member = (code[:, None] == np.arange(code.max(initial=0) + 1)).astype(np.float64)  # (N, G)
    total, count = ((member.T @ part)[:, code] for part in (filled, known.astype(np.float64)))  # (S, N, H)
    return Sums(total, count, filled.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True).astype(np.float64))


def _random_walks(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return standard Normal sums over each of ``HORIZONS``, (S, N, H), each continuing the one before."""
    shocks = generator.standard_normal(shape)
    steps = np.sqrt(np.diff(HORIZONS, prepend=0))  # (H,)
    walks: Floats = np.cumsum(shocks * steps, axis=-1) / np.sqrt(HORIZONS)
    return walks
