"""From a predictive distribution to a book: fractional Kelly, caps, neutrality, tranches.

Matrices are (T, N): decision sessions by tickers, weights as fractions of equity.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ROUNDING = 1e-12
"""Weights up to this are arithmetic's, not anybody's."""

ALTERNATIONS = 30


def unconditional_simple_return(log_returns: ArrayLike) -> float:
    """Mean simple return of (any shape of) log returns, NaN left out: what is expected without a forecast."""
    known = np.asarray(log_returns, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        raise ValueError("unconditional_simple_return: no finite return")
    return float(np.expm1(known).mean())


def kelly_sizes(
    mean: Floats,
    sigma: Floats,
    *,
    horizon_sessions: int,
    unconditional_mean: float,
    kelly_fraction: float,
    sigma_floor: float,
    cost_bps: float,
) -> Floats:
    """Weight of each forecast on its own; ``mean`` and ``sigma`` of the log return over the horizon, any shape.

    Fractional Kelly (Thorp 2006): ``fraction * edge / sigma^2``, where the edge is the expected simple return
    ``mean + sigma^2 / 2`` less ``unconditional_mean`` (that of the fold's training labels, so that a forecast without
    news sizes to zero). Zero where |edge| does not pay a round trip of ``2 cost_bps``; ``sigma`` is at least the
    one-session ``sigma_floor`` times the root of the horizon. Not capped yet: half-Kelly on a 20-session forecast is
    beyond any sensible cap for nearly every name, so a cap before neutrality would leave of a cross-section its signs.
    """
    edge = mean + sigma**2 / 2.0 - unconditional_mean
    variance = np.maximum(sigma, sigma_floor * np.sqrt(horizon_sessions)) ** 2
    return np.where(np.abs(edge) > 2.0 * cost_bps * 1e-4, kelly_fraction * edge / variance, 0.0)


def carry(sizes: Floats, *, limit: int) -> Floats:
    """Sizes (T, N) with NaN where a ticker is shut -> its last one for up to ``limit`` sessions, then 0.

    A European name keeps its size over a local holiday.
    """
    session = np.arange(len(sizes))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(sizes), -1, session), axis=0)
    carried = np.take_along_axis(sizes, np.maximum(last, 0), axis=0)
    return np.where((last >= 0) & (session - last <= limit), carried, 0.0)


def demean_within_region(sizes: Floats, region: NDArray[np.intp]) -> Floats:
    """Per session and region, the mean of the names that trade (size other than 0) is taken off them.

    ``sizes`` (T, N), ``region`` (N,) codes. A name that trades alone in its region ends at zero.
    """
    member = np.eye(int(region.max(initial=0)) + 1)[region]  # (N, R)
    trades = (sizes != 0).astype(np.float64)
    mean = (sizes @ member) / np.maximum(trades @ member, 1.0)  # (T, R)
    neutral = (sizes - mean[:, region]) * trades
    return np.where(np.abs(neutral) > ROUNDING, neutral, 0.0)  # equal sizes cancel out, and leave nothing to trade


def capped_book(sizes: Floats, region: NDArray[np.intp], *, neutral: bool, name_cap: float, gross_cap: float) -> Floats:
    """Sizes (T, N) -> weights whose absolute sum is at most ``gross_cap`` and none of which exceeds ``name_cap``.

    The gross cap scales a session as a whole and comes first: it keeps the names' proportions, which the name cap then
    cuts off at the top. With ``neutral`` the weights sum to zero within each region: taking the mean off and clipping
    are projections onto two convex sets, and done in turn they meet where both hold (Bregman 1965).
    """
    book = demean_within_region(sizes, region) if neutral else sizes
    gross = np.abs(book).sum(axis=1, keepdims=True)
    book = book * (gross_cap / np.maximum(gross, gross_cap))
    if not neutral:
        return np.clip(book, -name_cap, name_cap)
    for _ in range(ALTERNATIONS):
        if np.abs(book).max(initial=0.0) <= name_cap:
            return book
        book = demean_within_region(np.clip(book, -name_cap, name_cap), region)
    return _scaled_regions(book, region, name_cap=name_cap)


def _scaled_regions(book: Floats, region: NDArray[np.intp], *, name_cap: float) -> Floats:
    """Regions with a name still beyond the cap, by what the projections left, scaled down as a whole: they stay neutral."""
    scaled = book.copy()
    for code in np.unique(region):
        names = region == code
        largest = np.abs(book[:, names]).max(axis=1, keepdims=True)
        scaled[:, names] *= name_cap / np.maximum(largest, name_cap)
    return scaled


def tranches(book: Floats, *, horizon_sessions: int) -> Floats:
    """The mean of the last ``horizon_sessions`` rows (T, N): one tranche per decision session, each held for the
    horizon.

    Before that many decisions have been made the missing tranches are empty.
    """
    padded = np.concatenate([np.zeros((horizon_sessions - 1, book.shape[1])), book])
    return np.lib.stride_tricks.sliding_window_view(padded, horizon_sessions, axis=0).mean(axis=-1)
