"""Multiple testing: many candidates against one reference (SPA, StepM) or each other (model confidence set).

``losses`` are (T, K) daily means, lower is better, rows in time order; arch does the tests.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forecast_assets.core.evaluation.significance import NAN, Floats, optimal_block
from forecast_assets.core.scores.trading import EPS


class Superiority(NamedTuple):
    """Hansen's test of superior predictive ability and its stepwise companion."""

    p_value: float
    """That none of the candidates is better than the reference ("consistent" p value); NaN without candidates."""
    better: tuple[str, ...]
    """Candidates better than the reference with the family-wise error at ``1 - level`` (StepM)."""


def superior_ability(
    reference: ArrayLike, losses: ArrayLike, *, names: Sequence[str], samples: int, seed: int, level: float = 0.95
) -> Superiority:
    """Test whether any candidate is better than the reference, and which.

    Hansen 2005 and the stepwise test of Romano and Wolf 2005 (StepM) under the stationary bootstrap. ``reference``
    (T,), ``losses`` (T, K). Each difference is scaled by its daily standard deviation, so that a noisy candidate does not
    dominate (arch compares raw means). A candidate whose difference never varies is left out.
    """
    base, table = np.asarray(reference, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    _check(table, names)
    excess = table - base[:, None]
    left = np.flatnonzero(excess.std(axis=0) > EPS)
    if not left.size:
        return Superiority(NAN, ())
    excess = excess / np.where(excess.std(axis=0) > EPS, excess.std(axis=0), 1.0)
    block = optimal_block(excess[:, left])
    better: list[int] = []
    p_value, found = _spa(excess[:, left], block=block, samples=samples, seed=seed, size=1.0 - level)
    while found:  # arch's own StepM stops with an error once every candidate is better
        better += [int(left[k]) for k in found]
        left = np.setdiff1d(left, better)
        if not left.size:
            break
        _, found = _spa(excess[:, left], block=block, samples=samples, seed=seed, size=1.0 - level)
    return Superiority(p_value, tuple(names[k] for k in sorted(better)))


def _spa(excess: Floats, *, block: int, samples: int, seed: int, size: float) -> tuple[float, list[int]]:
    """Return the consistent p value that no column of (T, K) has a negative mean, and the columns that reject it."""
    from arch.bootstrap import SPA

    test = SPA(
        np.zeros(len(excess)),
        excess,
        block_size=block,
        reps=samples,
        bootstrap="stationary",
        seed=np.random.default_rng(seed),
    )
    test.compute()
    return float(test.pvalues["consistent"]), [int(k) for k in test.better_models(size)]


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
    kept: list[int] = []
    for k in range(table.shape[1]):
        if all((table[:, k] - table[:, other]).std() > EPS for other in kept):
            kept.append(k)
    if len(kept) < 2:
        return {names[k]: 1.0 for k in kept}
    table = table[:, kept]
    table = table / float(table.std())
    test = MCS(
        table,
        size=1.0 - level,
        reps=samples,
        block_size=optimal_block(table - table.mean(axis=1, keepdims=True)),
        method="R",
        bootstrap="stationary",
        seed=np.random.default_rng(seed),
    )
    test.compute()
    p_values = test.pvalues["Pvalue"]
    included: list[int] = [int(str(k)) for k in test.included]
    order = sorted(included, key=lambda k: float(table[:, k].mean()))
    return {names[kept[k]]: float(p_values.loc[k]) for k in order}


def _check(table: Floats, names: Sequence[str]) -> None:
    if table.ndim != 2 or table.shape[1] != len(names):
        raise ValueError(f"losses of shape {table.shape} do not fit {len(names)} names")
    if (bad := int((~np.isfinite(table)).sum())) > 0:
        raise ValueError(f"losses must be finite: {bad} of {table.size} values are not")
