"""Position sizes from a predictive distribution: neutral or directional fractional Kelly, caps, tranches.

Matrices are (T, N): decision days by tickers, weights as fractions of equity, NaN where a ticker is not decided on.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec

ROUNDING = 1e-12  # weights up to this size are rounding errors
ALTERNATIONS = 30
RANK_TOLERANCE = 1e-10  # of the exposures' normal matrix: tickers of equal scale have one direction less


class Views(NamedTuple):
    """What forecasts say of each decision, in log-return units over the traded horizon, NaN where there is none."""

    location: Floats  # (T, N) less the no-skill location of the same model
    scale: Floats  # (T, N) of the forecast before calibration: what a location without a view is an affine function of
    sigma: Floats  # (T, N) as published


def neutral_sizes(
    views: Views, *, beta: Floats, region: NDArray[np.intp], round_trip: Floats, spec: BacktestSpec
) -> Floats:
    """Return the weights (T, N) of a book that is neutral to what earns without skill, before caps; 0 without a view.

    The edge of a forecast is what is left of its location in a regression on a constant and its own scale, over the
    tickers of the session and region, weighted by the inverse variance: one location for all tickers, or one that is
    only scale times a pooled shape, leaves nothing. Tickers whose edge does not pay for buying and selling again
    (``round_trip`` (N,), fractions) are not traded; over the others the weights maximise expected log growth times
    ``spec.kelly_fraction`` (Thorp 2006, variances without correlations) subject to no net position, no net scale and no
    net ``beta`` in any region: a weighted regression once more, since its residuals are orthogonal to its regressors.
    A region with as few tickers as exposures holds nothing.
    """
    variance = _variance(views.sigma, spec)
    given = np.isfinite(views.location)
    edge = _residual(views.location, given, [views.scale], region, variance=variance)
    traded = given & (np.abs(edge) > round_trip)
    left = _residual(edge, traded, [views.scale, beta], region, variance=variance)
    return _without_rounding(np.where(traded, spec.kelly_fraction * left / variance, 0.0))


def directional_sizes(views: Views, *, round_trip: Floats, spec: BacktestSpec) -> Floats:
    """Return ``kelly_fraction * location / sigma^2``, (T, N), before caps; 0 where it does not pay ``round_trip`` (N,)."""
    variance = _variance(views.sigma, spec)
    traded = np.isfinite(views.location) & (np.abs(views.location) > round_trip)
    return np.where(traded, spec.kelly_fraction * views.location / variance, 0.0)


def carry(values: Floats, *, limit: int) -> Floats:
    """Replace NaN (exchange shut) in (T, N) by the ticker's last value for up to ``limit`` rows; later ones stay NaN."""
    row = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, row), axis=0)
    carried = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where((last >= 0) & (row - last <= limit), carried, np.nan)


def neutralise(weights: Floats, exposures: list[Floats], region: NDArray[np.intp]) -> Floats:
    """Return the nearest weights (T, N) without net position and without net exposure (T, N) in any region.

    Only tickers that are held are changed. One that is alone in its region ends at zero.
    """
    held = weights != 0
    return _without_rounding(_residual(weights, held, exposures, region, variance=np.ones_like(weights)))


def capped_book(
    sizes: Floats, region: NDArray[np.intp], *, exposures: list[Floats] | None, spec: BacktestSpec
) -> Floats:
    """Return weights of absolute sum at most ``spec.gross_cap``, each at most ``spec.name_cap``, from sizes (T, N).

    The gross cap comes first and scales a session as a whole, so that proportions stay; the name cap then clips the
    largest. ``exposures``: of a book that is neutral to them and to the sum of weights within each region (None: a book
    that need not be). Projecting and clipping are projections onto two convex sets, and repeated alternately they
    converge to both (Bregman 1965).
    """
    name_cap, gross_cap = spec.name_cap, spec.gross_cap
    book = sizes if exposures is None else neutralise(sizes, exposures, region)
    gross = np.abs(book).sum(axis=1, keepdims=True)
    book = book * (gross_cap / np.maximum(gross, gross_cap))
    if exposures is None:
        return np.clip(book, -name_cap, name_cap)
    for _ in range(ALTERNATIONS):
        over = np.abs(book).max(axis=1, initial=0.0) > name_cap
        if not over.any():
            return book
        book[over] = neutralise(np.clip(book[over], -name_cap, name_cap), [e[over] for e in exposures], region)
    for code in np.unique(region):  # a region that is still beyond the cap is scaled as a whole: it stays neutral
        largest = np.abs(book[:, region == code]).max(axis=1, keepdims=True)
        book[:, region == code] *= name_cap / np.maximum(largest, name_cap)
    return book


def tranches(book: Floats, *, session: NDArray[np.intp], horizon_sessions: int) -> Floats:
    """Return the mean of the decisions still in force, (D, N): a tranche per decision, held for the horizon.

    ``book`` (D, N) decided on rows ``session`` (D,) of the union grid. After a gap longer than the horizon every tranche
    has expired: the mean is over the decisions made since, as it is before a whole horizon of decisions has been made.
    """
    starts = np.concatenate([[0], 1 + np.flatnonzero(np.diff(session) > horizon_sessions)])
    parts = np.split(book, starts[1:])
    return np.concatenate([_mean_of_last(part, horizon_sessions) for part in parts]) if len(book) else book


def _mean_of_last(book: Floats, count: int) -> Floats:
    padded = np.concatenate([np.zeros((count - 1, book.shape[1])), book])
    total = np.lib.stride_tricks.sliding_window_view(padded, count, axis=0).sum(axis=-1)
    return np.asarray(total / np.minimum(np.arange(1, len(book) + 1), count)[:, None])


def _variance(sigma: Floats, spec: BacktestSpec) -> Floats:
    """Return sigma squared, with sigma at least the one-session ``sigma_floor`` times the root of the horizon."""
    return np.asarray(np.maximum(sigma, spec.sigma_floor * np.sqrt(spec.horizon_sessions)) ** 2)


def _residual(
    values: Floats, members: NDArray[np.bool_], exposures: list[Floats], region: NDArray[np.intp], *, variance: Floats
) -> Floats:
    """Return the residuals (T, N) of a weighted regression per session and region on a constant and ``exposures``.

    Over ``members`` (T, N), weights 1 / ``variance``; 0 for the others. Exposures are taken relative to their mean, so
    that their units don't matter.
    """
    residual = np.zeros_like(values)
    for code in np.unique(region):
        column = np.flatnonzero(region == code)
        inside = members[:, column]
        row = np.flatnonzero(inside.any(axis=1))
        if not row.size:
            continue
        cell = np.ix_(row, column)
        inside = inside[row]
        target = np.where(inside, values[cell], 0.0)
        weight = np.where(inside, 1.0 / variance[cell], 0.0)
        weight /= weight.sum(axis=1, keepdims=True)
        design = np.stack([np.ones_like(target), *(_relative(e[cell], inside) for e in exposures)], axis=2)  # (T, n, K)
        weighted = design * weight[..., None]
        normal = np.einsum("tnk,tnl->tkl", weighted, design)
        moment = np.einsum("tnk,tn->tk", weighted, target)
        slope = np.linalg.pinv(normal, rcond=RANK_TOLERANCE, hermitian=True) @ moment[..., None]  # (T, K, 1)
        residual[cell] = np.where(inside, target - (design @ slope)[..., 0], 0.0)
    return residual


def _relative(exposure: Floats, members: NDArray[np.bool_]) -> Floats:
    """Return an exposure (T, n) over the mean size of its members, less its mean; 0 outside ``members``."""
    inside = np.where(members, exposure, 0.0)
    count = np.maximum(members.sum(axis=1, keepdims=True), 1)
    size = np.abs(inside).sum(axis=1, keepdims=True) / count
    relative = inside / np.where(size > 0, size, 1.0)
    return np.where(members, relative - relative.sum(axis=1, keepdims=True) / count, 0.0)


def _without_rounding(weights: Floats) -> Floats:
    return np.where(np.abs(weights) > ROUNDING, weights, 0.0)
