"""Multiple testing: many candidates against one reference (SPA, StepM) or each other (model confidence set).

``losses`` are (T, K) daily means, lower is better, rows in time order; arch does the tests.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.evaluation.significance import NAN, optimal_block
from forecast_assets.core.scores.trading import EPS, Floats


class Superiority(NamedTuple):
    """Hansen's test of superior predictive ability and its stepwise companion (StepM)."""

    p_value: float  # that no candidate is better than the reference ("consistent" p value); NaN without candidates
    better: tuple[str, ...]  # candidates better than the reference with the family-wise error at ``1 - level``


def superior_ability(
    reference: ArrayLike, losses: ArrayLike, *, names: Sequence[str], samples: int, seed: int, level: float = 0.95
) -> Superiority:
    """Test whether any candidate is better than the reference, and which.

    Hansen 2005 and the stepwise test of Romano and Wolf 2005 (StepM) under the stationary bootstrap. ``reference``
    (T,), ``losses`` (T, K). Each difference is scaled by its daily standard deviation, so that a noisy candidate does not
    dominate (arch compares raw means). A candidate whose difference never varies is left out.
    """
    from arch.bootstrap import SPA

    base, table = np.asarray(reference, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    _check(table, names)
    excess = table - base[:, None]
    deviation = excess.std(axis=0)
    left = np.flatnonzero(deviation > EPS)
    if not left.size:
        return Superiority(NAN, ())
    excess = excess / np.where(deviation > EPS, deviation, 1.0)
    block = optimal_block(excess[:, left])

    def spa(columns: NDArray[np.intp]) -> tuple[float, list[int]]:
        """Return the consistent p value that none of the columns has a negative mean, and those that reject it."""
        rng = np.random.default_rng(seed)
        test = SPA(np.zeros(len(excess)), excess[:, columns], block, samples, bootstrap="stationary", seed=rng)
        test.compute()
        return float(test.pvalues["consistent"]), [int(columns[k]) for k in test.better_models(1.0 - level)]

    p_value, better = spa(left)
    found = better
    while found and (left := np.setdiff1d(left, better)).size:  # arch's own StepM fails once all are better
        _, found = spa(left)
        better = better + found
    return Superiority(p_value, tuple(names[k] for k in sorted(better)))


def confidence_set(
    losses: ArrayLike, *, names: Sequence[str], samples: int, seed: int, level: float = 0.90
) -> dict[str, float]:
    """Return the model confidence set (Hansen, Lunde and Nason 2011): p value of each model in it, best first.

    The set holds the best model with probability ``level``; the others are significantly worse. ``losses`` (T, K). Of
    models with identical losses only the first counts.
    """
    from arch.bootstrap import MCS

    table = np.asarray(losses, dtype=np.float64)
    _check(table, names)
    kept = distinct_columns(table)
    if len(kept) < 2:
        return {names[k]: 1.0 for k in kept}
    table = table[:, kept] / float(table[:, kept].std())
    block = optimal_block(table - table.mean(axis=1, keepdims=True))
    rng = np.random.default_rng(seed)
    test = MCS(table, 1.0 - level, samples, block, method="R", bootstrap="stationary", seed=rng)
    test.compute()
    order = sorted((int(str(k)) for k in test.included), key=lambda k: float(table[:, k].mean()))
    return {names[kept[k]]: float(test.pvalues["Pvalue"].loc[k]) for k in order}


def distinct_columns(table: Floats) -> list[int]:
    """Return the columns of (T, K) that are no repetition of an earlier one, such as the only fit of a model.

    Columns that differ by a constant are one too: no test can weigh a difference that never varies.
    """
    kept: list[int] = []
    for k in range(table.shape[1]):
        if all((table[:, k] - table[:, other]).std() > EPS for other in kept):
            kept.append(k)
    return kept


def _check(table: Floats, names: Sequence[str]) -> None:
    if table.ndim != 2 or table.shape[1] != len(names):
        raise ValueError(f"losses of shape {table.shape} do not fit {len(names)} names")
    if (bad := int((~np.isfinite(table)).sum())) > 0:
        raise ValueError(f"losses must be finite: {bad} of {table.size} values are not")
