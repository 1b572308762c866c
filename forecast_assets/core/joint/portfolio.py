"""What a portfolio may lose: its returns in joint scenarios, value at risk and expected shortfall."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.scores.quantile import Floats

LEVELS = (0.95, 0.99)


class Risk(NamedTuple):
    """Of one portfolio over one horizon, as fractions of equity; a loss is positive."""

    value_at_risk: tuple[float, ...]  # by ``LEVELS``
    expected_shortfall: tuple[float, ...]
    median: float  # of the return
    probability_of_loss: float


def portfolio_returns(log_returns: NDArray[np.floating], weights: Floats) -> Floats:
    """Return the simple returns of a portfolio that is bought and held: (N, ..., n) and (N,) -> (..., n).

    ``weights`` are fractions of equity; what is not invested earns nothing, and each ticker's return is in its own currency.
    Raises ValueError where the two disagree.
    """
    if len(log_returns) != len(weights):
        raise ValueError(f"{len(weights)} weights do not fit the returns of {len(log_returns)} tickers")
    total = np.zeros(log_returns.shape[1:])
    for own, weight in zip(log_returns, weights, strict=True):  # one ticker's paths at a time
        if weight:
            total += weight * np.expm1(own)
    return total


def value_at_risk(returns: Floats, *, level: float) -> float:
    """Return the loss that is exceeded with probability ``1 - level``, of equally likely returns (n,)."""
    return -float(np.quantile(returns, 1.0 - level))


def expected_shortfall(returns: Floats, *, level: float) -> float:
    """Return the mean loss of the worst ``1 - level`` of equally likely returns (n,), the last one counted in part.

    Rockafellar and Uryasev 2002: coherent for any number of draws.
    """
    tail = len(returns) * (1.0 - level)
    whole = int(tail + 1e-9)  # 500, where floats give 499.99999
    worst = np.partition(returns, min(whole, len(returns) - 1))[: whole + 1]
    worst.sort()
    rest = max(tail - whole, 0.0) * worst[whole] if whole < len(worst) else 0.0
    return -float((worst[:whole].sum() + rest) / tail)


def risk(returns: Floats, *, levels: Sequence[float] = LEVELS) -> Risk:
    """Return the risk by equally likely returns (n,)."""
    return Risk(
        tuple(value_at_risk(returns, level=level) for level in levels),
        tuple(expected_shortfall(returns, level=level) for level in levels),
        float(np.median(returns)),
        float((returns < 0).mean()),
    )


def portfolio_pit(returns: Floats, realised: float) -> float:
    """Return the probability integral transform of an outcome among equally likely returns (n,), within (0, 1)."""
    below, equal = float((returns < realised).sum()), float((returns == realised).sum())
    return (below + equal / 2 + 0.5) / (len(returns) + 1)
