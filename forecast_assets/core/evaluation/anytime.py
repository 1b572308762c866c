"""Anytime-valid evidence on the mean of bounded outcomes: confidence sequences and e-values, valid at every look at once.

An interval that is looked at every day covers at 95 % on a given day and far less on all days together. These hold on all
days together, without a distribution, an order of magnitude or a model of the dependence.

Of outcomes X_1, X_2, ... in [0, 1] with conditional means M_i = E[X_i | what was known before], which may move, the
product over i of (1 + g X_i) / (1 + g M_i) is a martingale for each fixed g > -1, and so is its mixture over g. By the
concavity of the logarithm the product of (1 + g M_i) is at most (1 + g m)^t where m is the mean of M_1 ... M_t. Hence
K_t(m), the mixture of prod(1 + g X_i) / (1 + g m)^t, stays below 1 / alpha at all t with probability 1 - alpha (Ville), and
those m for which it does are a confidence sequence for the mean of the conditional means so far. No outcome is assumed to
be like another; only what was known before an outcome must hold all outcomes before it (see ``monitoring.record``).

It is the mixture of Waudby-Smith and Ramdas 2024 ("Estimating means of bounded random variables by betting") and Orabona
and Jun 2023, with bets that do not depend on m, so that the mean may move. A library for the same (confseq) needs a C++
compiler and was last released in January 2023.
"""

from typing import NamedTuple

import numpy as np

from forecast_assets.core.scores.trading import Floats

BETS = np.geomspace(0.05, 200.0, 36)
"""Odds that are mixed with equal weights. Small ones gain most where outcomes scatter widely, large ones where they hardly
do; finer or wider grids change an interval by less than 2 % of its width."""
_HALVINGS = 40  # of [0, 1], for a bound to twelve digits


class ConfidenceSequence(NamedTuple):
    """After each of T outcomes: their mean, and the interval for the mean of their conditional means."""

    mean: Floats  # (T,)
    low: Floats  # (T,)
    high: Floats  # (T,)


def confidence_sequence(outcomes: Floats, *, level: float = 0.95) -> ConfidenceSequence:
    """Return the confidence sequence of (T,) outcomes in [0, 1], oldest first: it holds the truth at every T at once.

    Raises ValueError for an outcome outside [0, 1] and for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"confidence sequence: a level lies between 0 and 1, got {level}")
    wealth = _log_wealth(outcomes)
    count = np.arange(1.0, len(outcomes) + 1)
    mean = np.cumsum(outcomes) / count if len(outcomes) else np.empty(0)
    limit = -np.log(1.0 - level)
    bounds = []
    for end in (0.0, 1.0):
        # The mean itself is always inside: by concavity no bet has gained against it.
        outside, inside = np.full(len(mean), end), mean.copy()
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2
            excluded = _two_sided(wealth, middle, count) >= limit
            outside, inside = np.where(excluded, middle, outside), np.where(excluded, inside, middle)
        ends_inside = _two_sided(wealth, np.full(len(mean), end), count) < limit
        bounds.append(np.where(ends_inside, end, outside))
    return ConfidenceSequence(mean, *bounds)


def log_e_values(outcomes: Floats, *, mean: float) -> Floats:
    """Return (T,) natural logarithms of the e-values against the conditional means of T outcomes being ``mean`` on average.

    ``outcomes`` (T,) in [0, 1]. Where that is true, an e-value of 20 is ever reached with a probability of at most 1 / 20.
    Raises ValueError for an outcome outside [0, 1].
    """
    count = np.arange(1.0, len(outcomes) + 1)
    return _two_sided(_log_wealth(outcomes), np.full(len(outcomes), mean), count)


def log_e_values_above(outcomes: Floats, *, mean: float) -> Floats:
    """Return (T,) natural logarithms of the e-values against the conditional means being at most ``mean`` on average.

    As ``log_e_values``, of one side: evidence that they are larger.
    """
    above, _ = _log_wealth(outcomes)
    count = np.arange(1.0, len(outcomes) + 1)
    return _mixed(above - count[:, None] * np.log1p(BETS * mean))


def _log_wealth(outcomes: Floats) -> tuple[Floats, Floats]:
    """Return the logarithm of prod(1 + g X) for each bet on large outcomes and on small ones, (T, G) each.

    A bet with odds a on small outcomes, (1 + a (1 - X)) / (1 + a (1 - m)), is the one with g = -a / (1 + a).
    """
    values = np.asarray(outcomes, dtype=np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        bad = int(values.size - np.count_nonzero((values >= 0) & (values <= 1)))
        raise ValueError(f"confidence sequence: outcomes are one number each in [0, 1]; {bad} of {values.size} are not")
    above, below = np.log1p(values[:, None] * BETS), np.log1p((1.0 - values)[:, None] * BETS)  # (T,) -> (T, G)
    return np.cumsum(above, axis=0), np.cumsum(below, axis=0)


def _two_sided(wealth: tuple[Floats, Floats], mean: Floats, count: Floats) -> Floats:
    """Return log K_t at ``mean`` (T,): half of the capital bets on larger outcomes, half on smaller ones."""
    above, below = wealth
    each = count[:, None]
    against_small = above - each * np.log1p(mean[:, None] * BETS)  # (T, G)
    against_large = below - each * np.log1p((1.0 - mean)[:, None] * BETS)
    return _mixed(np.concatenate([against_small, against_large], axis=1))


def _mixed(logarithms: Floats) -> Floats:
    """Return the logarithm of the mean of (T, G) numbers given by their logarithms, (T,)."""
    if not len(logarithms):
        return np.empty(0)
    largest = logarithms.max(axis=1)
    mixed: Floats = largest + np.log(np.exp(logarithms - largest[:, None]).mean(axis=1))
    return mixed
