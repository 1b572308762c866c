"""Other ways to join the same marginals, which scenarios are scored against: independence and a Gaussian copula."""

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.joint.past import Scores
from forecast_assets.core.scores.quantile import Floats


def independent(shape: tuple[int, ...], *, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return scores (N, n) by which ``ordered`` draws are independent."""
    return generator.standard_normal(shape, dtype=np.float32)


def gaussian(past: Scores, *, count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return scores (N, count) of a Normal with the shrunk correlation of the scores of past days (S, N)."""
    root = np.linalg.cholesky(shrunk_correlation(past.astype(np.float64)))
    drawn = root @ generator.standard_normal((past.shape[1], count))
    return drawn.astype(np.float32)


def shrunk_correlation(values: Floats) -> Floats:
    """Return the correlation of (S, N), shrunk towards no correlation as Ledoit and Wolf 2004 do.

    Columns are standardised first, so that the target is the identity. Raises ValueError under two rows.
    """
    rows, columns = values.shape
    if rows < 2:
        raise ValueError(f"shrunk_correlation: {rows} rows, at least two are needed")
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    unit = centred / np.where(deviation > 0, deviation, 1.0)
    sample = unit.T @ unit / rows
    scale = np.trace(sample) / columns
    distance = ((sample - scale * np.eye(columns)) ** 2).sum()
    noise = (((unit**2).sum(axis=1) ** 2).mean() - (sample**2).sum()) / rows  # of the sample around its expectation
    share = float(np.clip(noise / distance, 0.0, 1.0)) if distance > 0 else 1.0
    shrunk = (1.0 - share) * sample + share * scale * np.eye(columns)
    diagonal = np.sqrt(np.diag(shrunk))
    correlation: Floats = shrunk / np.outer(diagonal, diagonal)
    return correlation
