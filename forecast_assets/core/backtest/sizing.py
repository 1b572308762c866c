"""Position sizes from a predictive distribution: fractional Kelly, caps, region neutrality, tranches.

Matrices are (T, N): decision sessions by tickers, weights as fractions of equity.
"""

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec

ROUNDING = 1e-12  # weights up to this size are rounding errors
ALTERNATIONS = 30


def kelly_sizes(
    mean: Floats, sigma: Floats, *, spec: BacktestSpec, unconditional_mean: float, round_trip: Floats
) -> Floats:
    """Return the weight of each forecast on its own; ``mean``, ``sigma``: of the log return over the horizon, one shape.

    Fractional Kelly (Thorp 2006): ``fraction * edge / sigma^2``, where the edge is the expected simple return
    ``mean + sigma^2 / 2`` less ``unconditional_mean`` (that of the fold's training labels, so that a forecast equal to it
    sizes to zero). Zero where |edge| does not pay for buying and selling again (``round_trip``, a fraction of the value);
    ``sigma`` is at least the one-session ``spec.sigma_floor`` times the root of the horizon. Not capped: half-Kelly on a
    20-session forecast exceeds any sensible cap for nearly every ticker, and capped before neutrality only signs were left.
    """
    edge = mean + sigma**2 / 2.0 - unconditional_mean
    variance = np.maximum(sigma, spec.sigma_floor * np.sqrt(spec.horizon_sessions)) ** 2
    return np.where(np.abs(edge) > round_trip, spec.kelly_fraction * edge / variance, 0.0)


def carry(sizes: Floats, *, limit: int) -> Floats:
    """Replace NaN (exchange shut) in sizes (T, N) by the ticker's last size for up to ``limit`` sessions, then by 0."""
    session = np.arange(len(sizes))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(sizes), -1, session), axis=0)
    carried = np.take_along_axis(sizes, np.maximum(last, 0), axis=0)
    return np.where((last >= 0) & (session - last <= limit), carried, 0.0)


def demean_within_region(sizes: Floats, region: NDArray[np.intp]) -> Floats:
    """Subtract per session and region the mean of the tickers that trade (size other than 0).

    ``sizes`` (T, N), ``region`` (N,) codes. A ticker that trades alone in its region ends at zero.
    """
    member = np.eye(int(region.max(initial=0)) + 1)[region]  # (N, R)
    trades = (sizes != 0).astype(np.float64)
    mean = (sizes @ member) / np.maximum(trades @ member, 1.0)  # (T, R)
    neutral = (sizes - mean[:, region]) * trades
    return np.where(np.abs(neutral) > ROUNDING, neutral, 0.0)  # equal sizes cancel out, and leave nothing to trade


def capped_book(sizes: Floats, region: NDArray[np.intp], *, spec: BacktestSpec) -> Floats:
    """Return weights of absolute sum at most ``spec.gross_cap``, each at most ``spec.name_cap``, from sizes (T, N).

    The gross cap comes first and scales a session as a whole, so that proportions stay; the name cap then clips the
    largest. In a neutral book the weights sum to zero within each region: subtracting the mean and clipping are
    projections onto two convex sets, and repeated alternately they converge to both (Bregman 1965).
    """
    name_cap, gross_cap, neutral = spec.name_cap, spec.gross_cap, spec.book == "neutral"
    book = demean_within_region(sizes, region) if neutral else sizes
    gross = np.abs(book).sum(axis=1, keepdims=True)
    book = book * (gross_cap / np.maximum(gross, gross_cap))
    if not neutral:
        return np.clip(book, -name_cap, name_cap)
    for _ in range(ALTERNATIONS):
        if np.abs(book).max(initial=0.0) <= name_cap:
            return book
        book = demean_within_region(np.clip(book, -name_cap, name_cap), region)
    for code in np.unique(region):  # a region that is still beyond the cap is scaled as a whole: it stays neutral
        largest = np.abs(book[:, region == code]).max(axis=1, keepdims=True)
        book[:, region == code] *= name_cap / np.maximum(largest, name_cap)
    return book


def tranches(book: Floats, *, horizon_sessions: int) -> Floats:
    """Return the mean of the last ``horizon_sessions`` rows (T, N): a tranche per decision, held for the horizon.

    Before that many decisions have been made the missing tranches are empty.
    """
    padded = np.concatenate([np.zeros((horizon_sessions - 1, book.shape[1])), book])
    return np.lib.stride_tricks.sliding_window_view(padded, horizon_sessions, axis=0).mean(axis=-1)
