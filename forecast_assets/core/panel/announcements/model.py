"""How likely an announcement is: given the past ones, the expectation, and given what a row shows, the likelihood.

One announcement a quarter is assumed. The expectation of a day is a sum of the posteriors of days about one, two, three,
four, eight, twelve and sixteen quarters before, with weights of their own: companies report on the same weekday of the same
week, or about it. The likelihood of a row is the exponential of a linear score of its evidence. Both are fitted in turn,
expectation maximisation by years: the weights by non-negative least squares, the score by logistic regression on the
posterior, with the expectation as its offset.

The weights are fitted to the posterior under an expectation that is the same for all days. Fitted to the posterior itself,
the expectation would find what it has put there, and fulfil itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from forecast_assets.core.panel.announcements.observations import Bools
from forecast_assets.core.panel.announcements.sums import Floats, Ints, centred_sum
from forecast_assets.core.panel.announcements.weekdays import HALF, QUARTER, YEAR, shortest_lag

SEASONS = (QUARTER, 2 * QUARTER, 3 * QUARTER, YEAR, 2 * YEAR, 3 * YEAR, 4 * YEAR)
AROUND = 12  # weekdays about a season that an announcement may have moved by
UNIFORM = 1.0 / QUARTER
FLOOR = 0.1 * UNIFORM  # of an expectation
LOG_LIKELIHOOD = (-6.0, 8.0)

FIT_DAYS = 5 * YEAR
PRIOR_ROWS = 50_000  # of all regions together, that a region's own rows are joined by
BLOCK_DAYS = 100  # days of the fit held at once
RIDGE, SMALL_RIDGE = 1.0, 1e-6
STEPS, ENOUGH = 12, 1e-9  # of Newton's method; relative gain at which it ends

EVERYWHERE = ""  # all regions together


@cache
def lags(shortest: int = shortest_lag()) -> tuple[int, ...]:
    """Return the weekdays back that an expectation reads, none of less than ``shortest``."""
    every = (season + move for season in SEASONS for move in range(-AROUND, AROUND + 1))
    return tuple(lag for lag in every if lag >= shortest)


@dataclass(frozen=True)
class Parameters:
    """Fitted on the days up to ``HALF`` weekdays before a year."""

    weights: Mapping[str, Floats]  # region -> (lags + 1,) non-negative, of the posteriors and of UNIFORM
    score: Floats  # (1 + EVIDENCE,) intercept and slopes

    def of_regions(self, regions: list[str]) -> Floats:
        """Return the weights of tickers of ``regions`` (T,), (lags + 1, T)."""
        return np.stack([self.weights.get(r, self.weights[EVERYWHERE]) for r in regions], axis=1)

    def likelihood(self, evidence: Floats) -> Floats:
        """Return how much likelier ``evidence`` (..., K) is with an announcement than without, (...)."""
        score = np.full(evidence.shape[:-1], self.score[0])
        for k, slope in enumerate(self.score[1:]):  # a matrix product would round by where the rows lie
            score += slope * evidence[..., k]
        return np.exp(np.clip(score, *LOG_LIKELIHOOD))


def expectation(posterior: Floats, weights: Floats, *, begin: int, days: int) -> Floats:
    """Return the expected number of announcements on ``days`` days from row ``begin`` of ``posterior`` (D, T) on, (days, T).

    Posteriors before the first row count as zero.
    """
    found = FLOOR + UNIFORM * np.broadcast_to(weights[-1], (days, posterior.shape[1]))
    for lag, weight in zip(lags(), weights, strict=False):
        start = max(begin - lag, 0)
        if begin + days > lag and weight.any():
            found[start + lag - begin :] += weight * posterior[start : begin + days - lag]
    return found


def posterior_of(joint: Floats, *, share: Floats) -> Floats:
    """Return each day's share of ``joint`` (D, T), expectation times likelihood, in the quarter around it.

    ``share`` (D, T): how much of that quarter lies in the ticker's history.
    """
    return share_of(joint, centred_sum(joint, HALF)) * share


def share_of(values: Floats, total: Floats) -> Floats:
    """Return ``values`` over their ``total``, 0 where that is."""
    return np.where(total > 0, values / np.where(total > 0, total, 1.0), 0.0)


@dataclass(frozen=True)
class FitRows:
    """What parameters are fitted to: grids (D, T) up to the day that they are used from."""

    evidence: Floats  # (D, T, EVIDENCE)
    known: Bools
    share: Floats
    regions: list[str]  # (T,)

    def uniform(self, likelihood: Floats) -> Floats:
        """Return the posterior under an expectation that is the same for all days."""
        return posterior_of(np.where(self.known, likelihood, 0.0), share=self.share)

    @property
    def span(self) -> tuple[int, int]:
        """First and last (exclusive) day that is fitted to: later ones have no whole quarter around them."""
        end = len(self.known) - HALF - 1
        return max(0, end - FIT_DAYS), end


def begin_fit(rows: FitRows, start: Floats, *, rounds: int = 4) -> Parameters:
    """Return the first parameters, from evidence that is weighed by ``start`` (D, T), log odds."""
    likelihood = np.exp(start)
    target = posterior = rows.uniform(likelihood)
    score = np.zeros(1 + rows.evidence.shape[-1])
    for turn in range(rounds):
        weights = fit_weights(posterior, target, rows)
        expected = _expected(posterior, weights, rows)
        if turn == 0:
            posterior = posterior_of(np.where(rows.known, expected * likelihood, 0.0), share=rows.share)
        score = fit_score(posterior, expected, rows, score)
        parameters = Parameters(weights, score)
        likelihood = parameters.likelihood(rows.evidence)
        posterior = posterior_of(np.where(rows.known, expected * likelihood, 0.0), share=rows.share)
        target = rows.uniform(likelihood)
    return parameters


def fit_again(before: Parameters, posterior: Floats, rows: FitRows) -> Parameters:
    """Return the parameters a year later: one round, from those ``before`` and the ``posterior`` (D, T) that they gave."""
    target = rows.uniform(before.likelihood(rows.evidence))
    weights = fit_weights(posterior, target, rows)
    return Parameters(weights, fit_score(posterior, _expected(posterior, weights, rows), rows, before.score))


def _expected(posterior: Floats, weights: Mapping[str, Floats], rows: FitRows) -> Floats:
    of_tickers = Parameters(weights, np.zeros(0)).of_regions(rows.regions)
    return expectation(posterior, of_tickers, begin=0, days=len(rows.known))


def fit_weights(posterior: Floats, target: Floats, rows: FitRows) -> dict[str, Floats]:
    """Return the weights by region that bring the expectation closest to ``target`` (D, T)."""
    size = len(lags()) + 1
    moments = {region: (np.zeros((size, size)), np.zeros(size), 0) for region in sorted(set(rows.regions))}
    for region, (gram, moment, count) in moments.items():
        tickers = np.array([k for k, name in enumerate(rows.regions) if name == region])
        first, end = rows.span
        for begin in range(first, end, BLOCK_DAYS):
            days = slice(begin, min(begin + BLOCK_DAYS, end))
            known = rows.known[days][:, tickers]
            design = _lagged(posterior, tickers, days)[known]  # (n, lags + 1)
            outcome = (target[days][:, tickers][known] - FLOOR).astype(np.float32)
            with threadpool_limits(1, user_api="blas"):  # the same sums on any number of threads
                gram += design.T @ design
                moment += design.T @ outcome
            count += len(outcome)
        moments[region] = gram, moment, count
    total = max(sum(count for _, _, count in moments.values()), 1)
    all_gram = sum((gram for gram, _, _ in moments.values()), np.zeros((size, size)))
    all_moment = sum((moment for _, moment, _ in moments.values()), np.zeros(size))
    weights = {
        region: _non_negative(gram + PRIOR_ROWS / total * all_gram, moment + PRIOR_ROWS / total * all_moment)
        for region, (gram, moment, _) in moments.items()
    }
    return {EVERYWHERE: _non_negative(all_gram, all_moment), **weights}


def _lagged(posterior: Floats, tickers: Ints, days: slice) -> Floats:
    """Return the posteriors at each lag before ``days``, and UNIFORM: (days, tickers, lags + 1), single precision."""
    own = posterior[:, tickers]
    found = np.zeros((days.stop - days.start, len(tickers), len(lags()) + 1), dtype=np.float32)
    for k, lag in enumerate(lags()):
        start = max(days.start - lag, 0)
        if days.stop > lag:
            found[start + lag - days.start :, :, k] = own[start : days.stop - lag]
    found[..., -1] = UNIFORM
    return found


def _non_negative(gram: Floats, moment: Floats) -> Floats:
    """Return the non-negative least-squares solution of normal equations."""
    ridge = SMALL_RIDGE * max(np.trace(gram) / len(gram), 1e-12)
    with threadpool_limits(1, user_api="blas"):
        root = np.linalg.cholesky(gram + ridge * np.eye(len(gram)))
        found: Floats = nnls(root.T, np.linalg.solve(root, moment), maxiter=100 * len(gram))[0]
    return found


def fit_score(posterior: Floats, expected: Floats, rows: FitRows, score: Floats) -> Floats:
    """Return intercept and slopes of the logistic regression of the posterior, offset by the expectation; from ``score`` on.

    Newton's method with halved steps, and a ridge of ``RIDGE`` for panels of a few tickers.
    """
    first, end = rows.span
    known = rows.known[first:end]
    chance = np.clip(expected[first:end][known], 1e-6, 0.99)
    offset, share = np.log(chance / (1.0 - chance)), posterior[first:end][known]
    design = np.column_stack([np.ones(len(share)), rows.evidence[first:end][known]])  # (n, 1 + K)

    def value(slopes: Floats) -> tuple[float, Floats]:
        logit = offset + design @ slopes
        gain = float((share * logit - np.logaddexp(0.0, logit)).sum())
        return gain - 0.5 * RIDGE * float(slopes @ slopes), logit

    with threadpool_limits(1, user_api="blas"):
        reached, logit = value(score)
        for _ in range(STEPS):
            chance = 1.0 / (1.0 + np.exp(-logit))
            gradient = design.T @ (share - chance) - RIDGE * score
            curvature = (design * (chance * (1.0 - chance))[:, None]).T @ design + RIDGE * np.eye(len(score))
            step = np.linalg.solve(curvature, gradient)
            while True:
                better, at = value(score + step)
                if better >= reached or np.abs(step).max() < 1e-6:
                    break
                step = step / 2
            if not better > reached:
                break
            gain, score, reached, logit = better - reached, score + step, better, at
            if gain < ENOUGH * abs(reached):
                break
    return score
