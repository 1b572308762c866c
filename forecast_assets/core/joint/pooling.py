"""Scores of tickers on days without an outcome of theirs, drawn from what their sector and the panel did on the day.

A one-factor model with partial pooling. The factor of a day is the mean score of the ticker's sector, shrunk towards the
panel's mean by ``prior_tickers`` of its tickers; a ticker's correlation with it is its own, shrunk towards the average
ticker's by ``prior_days`` days. A ticker that has just listed gets the average correlation, and takes over its own with
each day that matures.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.past import Scores
from forecast_assets.core.specs import ScenarioSpec

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]


class Sums(NamedTuple):
    """Per day and horizon: sum of the known scores and how many there are, of each ticker's sector and of the panel."""

    sector: Floats  # (D, N, H)
    sector_count: Floats
    panel: Floats  # (D, 1, H)
    panel_count: Floats

    def mean(self, *, prior: float) -> Floats:
        """Return the sector's mean shrunk towards the panel's, (D, N, H); 0 on a day without any score."""
        whole = self.panel / np.maximum(self.panel_count, 1.0)
        return (self.sector + prior * whole) / np.maximum(self.sector_count + prior, 1.0 if prior == 0 else prior)


def completed(scores: Scores, *, sectors: Codes, spec: ScenarioSpec, generator: np.random.Generator) -> Scores:
    """Return scores (D, N, H) with every NaN drawn from the factor of its day; known ones are left as they are.

    ``sectors`` (N,) codes. A ticker's own part is a random walk: over 5 sessions it shares the first with that over 1.
    """
    known = np.isfinite(scores)
    filled = np.where(known, scores, 0.0).astype(np.float64)
    sums = _sums(filled, known, sectors)
    factor = sums.mean(prior=spec.prior_tickers)  # of a missing ticker it is that of the others
    deviation = np.sqrt((factor**2).mean(axis=0, keepdims=True))
    correlation = factor_correlations(filled, known, sums, spec=spec)  # (N, H)
    own = _random_walks(generator, scores.shape)
    common = factor / np.where(deviation > 0, deviation, 1.0)
    drawn = correlation * common + np.sqrt(1.0 - correlation**2) * own
    return np.where(known, scores, drawn.astype(np.float32))


def factor_correlations(filled: Floats, known: NDArray[np.bool_], sums: Sums, *, spec: ScenarioSpec) -> Floats:
    """Return each ticker's correlation with the factor that the others of its sector make, (N, H), in [0, .99].

    ``filled`` (D, N, H) scores with 0 where not ``known``.
    """
    others = Sums(
        sums.sector - filled, sums.sector_count - known, sums.panel - filled, sums.panel_count - known
    )  # the factor without the ticker itself
    factor = np.where(known, others.mean(prior=spec.prior_tickers), 0.0)
    days = known.sum(axis=0)  # (N, H)
    product, square = (factor * filled).sum(axis=0), (factor**2).sum(axis=0) * (filled**2).sum(axis=0)
    own = np.where(square > 0, product / np.sqrt(np.where(square > 0, square, 1.0)), 0.0)
    average = (own * days).sum(axis=0) / np.maximum(days.sum(axis=0), 1)  # (H,)
    shrunk = (own * days + average * spec.prior_days) / np.maximum(days + spec.prior_days, 1e-9)
    return np.clip(shrunk, 0.0, 0.99)


def _sums(filled: Floats, known: NDArray[np.bool_], sectors: Codes) -> Sums:
    code = np.unique(sectors, return_inverse=True)[1]
    member = (code[:, None] == np.arange(code.max(initial=0) + 1)).astype(np.float64)  # (N, G)
    total, count = (np.einsum("dnh,ng->dgh", part, member)[:, code] for part in (filled, known.astype(np.float64)))
    return Sums(total, count, filled.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True).astype(np.float64))


def _random_walks(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return standard Normal sums over each of ``HORIZONS``, (D, N, H), each continuing the one before."""
    shocks = generator.standard_normal(shape)
    steps = np.sqrt(np.diff(HORIZONS, prepend=0))  # (H,)
    walks: Floats = np.cumsum(shocks * steps, axis=-1) / np.sqrt(HORIZONS)
    return walks
