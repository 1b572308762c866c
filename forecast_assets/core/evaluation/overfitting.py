"""Selection bias of a backtest: the deflated Sharpe ratio and the probability of backtest overfitting (PBO)."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forecast_assets.core.evaluation.significance import NAN
from forecast_assets.core.scores.trading import EPS, sharpe

BLOCKS = 10  # of the cross-validation: 252 ways to take half of them, and half a year each on five years of sessions


class Overfitting(NamedTuple):
    """Out-of-sample rank of the best in sample over all symmetric splits of the history; ``probability`` is PBO."""

    probability: float  # share of splits in which the best in sample is in the lower half out of sample; 0.5 is noise
    rank: float  # median relative rank out of sample of the best in sample: 1 is the best, 0.5 the middle
    candidates: int
    splits: int


def backtest_overfitting(returns: ArrayLike, *, blocks: int = BLOCKS) -> Overfitting:
    """Run combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu 2017) on Sharpe ratios.

    ``returns`` (T, K): daily returns of K candidates on the same sessions, in time order, cut into ``blocks`` (even)
    contiguous blocks of equal length (the first sessions that do not fill them are left out). A candidate without
    volatility in some half is left out of the whole comparison, for its Sharpe ratio is undefined. All NaN under two
    candidates. Raises ValueError for an odd number of blocks, or under two sessions a block.
    """
    table = np.asarray(returns, dtype=np.float64)
    if blocks < 2 or blocks % 2 or len(table) < 2 * blocks:
        raise ValueError(f"backtest_overfitting: {len(table)} sessions do not make {blocks} blocks; an even number")
    if not np.isfinite(table).all():
        raise ValueError("backtest_overfitting: every candidate needs a finite return on every session")
    length = len(table) // blocks
    parts = table[len(table) - length * blocks :].reshape(blocks, length, -1)  # (B, T/B, K)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))  # (S, B/2); its reverse holds the complements
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)  # (B, K)
    mean = sums[halves].sum(axis=1) / (length * blocks / 2)  # (S, K)
    variance = squares[halves].sum(axis=1) / (length * blocks / 2) - mean**2
    usable = (variance > EPS).all(axis=0) & (table.std(axis=0) > EPS)
    if usable.sum() < 2:
        return Overfitting(NAN, NAN, int(usable.sum()), len(halves))
    inside = mean[:, usable] / np.sqrt(variance[:, usable])
    outside = inside[::-1]
    best = inside.argmax(axis=1)
    chosen = outside[np.arange(len(halves)), best]
    below = (outside < chosen[:, None]).sum(axis=1)
    ties = (outside == chosen[:, None]).sum(axis=1)
    rank = (below + (ties + 1) / 2) / (usable.sum() + 1)  # in (0, 1), as in the paper
    return Overfitting(float((rank <= 0.5).mean()), float(np.median(rank)), int(usable.sum()), len(halves))


def expected_max_sharpe(*, trials: int, trial_sharpe_variance: float) -> float:
    """Return the expected largest Sharpe ratio among independent trials without skill, in the unit of the variance's root.

    Bailey and Lopez de Prado 2014, equation 1; one trial selects nothing: 0.
    """
    from scipy.stats import norm

    if trials < 1 or trial_sharpe_variance < 0:
        raise ValueError(f"expected_max_sharpe: {trials} trials of variance {trial_sharpe_variance} are not valid")
    if trials == 1:
        return 0.0
    gamma = np.euler_gamma
    quantile = (1.0 - gamma) * norm.ppf(1.0 - 1.0 / trials) + gamma * norm.ppf(1.0 - 1.0 / (trials * np.e))
    return float(np.sqrt(trial_sharpe_variance) * quantile)


def skill_less_variance(sessions: int) -> float:
    """Return the sampling variance of the Sharpe ratio per session of a strategy whose true one is zero.

    Lo 2002 and Mertens 2002: (1 - skewness x Sharpe + (kurtosis - 1) / 4 x Sharpe^2) / (T - 1), whose terms of
    non-normality vanish at a Sharpe ratio of zero. It is what the best of N is expected to be drawn from if none has
    skill. The spread of the Sharpe ratios that were observed is no substitute: a strategy that is sure to burn its costs
    widens it, and so would raise the hurdle for all others, although it was never a chance to be lucky.
    """
    if sessions < 2:
        raise ValueError(f"skill_less_variance: at least 2 sessions are needed, got {sessions}")
    return 1.0 / (sessions - 1)


def deflated_sharpe(returns: ArrayLike, *, trials: int) -> float:
    """Return the probability that the true Sharpe of (T,) daily returns, the best of ``trials``, is above zero.

    The trials are taken for independent and without skill (``skill_less_variance``). NaN for a zero position.
    """
    from scipy.stats import kurtosis, skew

    series = np.asarray(returns, dtype=np.float64)
    if not np.isfinite(ratio := sharpe(series, sessions_per_year=1.0)):
        return NAN
    return deflated_sharpe_from_moments(
        sharpe_per_session=ratio,
        sessions=len(series),
        skewness=float(skew(series)),
        kurtosis=float(kurtosis(series, fisher=False)),
        trials=trials,
        trial_sharpe_variance=skill_less_variance(len(series)),
    )


def deflated_sharpe_power(*, true_sharpe: float, sessions: int, trials: int, level: float = 0.95) -> float:
    """Return how likely ``deflated_sharpe`` of a strategy with skill is ``level`` or more; Normal returns.

    ``true_sharpe``: per session, not annualised.
    """
    from scipy.stats import norm

    variance = skill_less_variance(sessions)
    hurdle = expected_max_sharpe(trials=trials, trial_sharpe_variance=variance)
    spread = variance * (1.0 + true_sharpe**2 / 2.0)
    return float(norm.cdf((true_sharpe - hurdle) / np.sqrt(spread) - norm.ppf(level)))


def deflated_sharpe_from_moments(
    *,
    sharpe_per_session: float,
    sessions: int,
    skewness: float,
    kurtosis: float,
    trials: int,
    trial_sharpe_variance: float,
) -> float:
    """Return it by Bailey and Lopez de Prado 2014, equation 2; ``kurtosis`` is 3 for a Normal."""
    from scipy.stats import norm

    hurdle = expected_max_sharpe(trials=trials, trial_sharpe_variance=trial_sharpe_variance)
    spread = 1.0 - skewness * sharpe_per_session + (kurtosis - 1.0) / 4.0 * sharpe_per_session**2
    return float(norm.cdf((sharpe_per_session - hurdle) * np.sqrt(sessions - 1) / np.sqrt(spread)))
