"""GARCH(1,1) with Student-t innovations, one per ticker (Bollerslev 1986, 1987).

    variance(t+1) = omega + alpha r(t)^2 + beta variance(t)

Parameters are fitted on returns up to the ticker's last training row and then frozen; the variance is filtered on through
the forecast origins.
"""

import logging
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import ewma_scale, location_scale_quantiles

MINIMUM_RETURNS = 250  # a ticker with fewer training returns is not fitted
_PERCENT = 100.0  # the optimiser works on returns in percent: variances near one
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GarchFit:
    """Parameters per ticker code, NaN where the ticker has no usable fit (it then takes the EWMA scale)."""

    omega: Floats  # (T,) squared log return
    alpha: Floats  # (T,)
    beta: Floats  # (T,)
    start: Floats  # (T,) variance that a segment starts from: that of the training returns

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """Which tickers have a usable fit, (T,) bool."""
        return np.isfinite(self.omega)


def fit_predict(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return quantiles (len(origins), 3, 7): root of the aggregated variance x pooled standardised training quantiles.

    Logs how many tickers fell back to the EWMA scale.
    """
    garch = fit(panel, train=train)
    codes = np.unique(panel.ticker_code[origins])
    if fallbacks := int((~garch.fitted[codes]).sum()):
        _logger.info("garch: %d of %d tickers have no usable fit and take the EWMA scale", fallbacks, len(codes))
    own = predict_scale(panel, garch)
    scale = np.where(np.isfinite(own), own, ewma_scale(panel))
    return location_scale_quantiles(panel, scale=scale, train=train, origins=origins)


def fit(panel: PanelArrays, *, train: Rows) -> GarchFit:
    """Fit by maximum likelihood per ticker, on all its observed returns up to its last training row.

    A ticker gets no fit with fewer than ``MINIMUM_RETURNS`` returns, with constant returns, or where the optimiser doesn't
    converge to a positive variance that does not diverge. The result has the same bits on any number of threads.
    """
    tickers = int(panel.ticker_code.max()) + 1
    parameters = np.full((tickers, 4), np.nan)
    last_row = np.full(tickers, -1)
    np.maximum.at(last_row, panel.ticker_code[train], train)
    first_row = np.searchsorted(panel.ticker_code, np.arange(tickers))
    observed_return = panel.observed_return
    # Sums split over threads round differently, and the optimiser's path changes.
    with threadpool_limits(1, user_api="blas"):
        for code in np.flatnonzero(last_row >= 0):
            returns = observed_return[first_row[code] : last_row[code] + 1]
            parameters[code] = _fit_one(returns[np.isfinite(returns)])
    return GarchFit(*parameters.T)


def _fit_one(returns: Floats) -> tuple[float, float, float, float]:
    """Return (omega, alpha, beta, start) of one ticker's returns, four NaN without a usable fit."""
    from arch import arch_model  # loads pandas

    nothing = (np.nan, np.nan, np.nan, np.nan)
    if len(returns) < MINIMUM_RETURNS or np.ptp(returns) == 0:
        return nothing
    model = arch_model(_PERCENT * returns, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
    with np.errstate(all="ignore"):  # the optimiser also evaluates impossible parameters
        result = model.fit(disp="off", show_warning=False)
    omega, alpha, beta = (float(result.params[name]) for name in ("omega", "alpha[1]", "beta[1]"))
    usable = result.convergence_flag == 0 and omega > 0 and min(alpha, beta) >= 0 and alpha + beta <= 1
    return (omega / _PERCENT**2, alpha, beta, float(np.mean(returns**2))) if usable else nothing


def predict_scale(panel: PanelArrays, garch: GarchFit) -> Floats:
    """Return the volatility of the log return over each horizon as known at each row's close, (N, 3); NaN without a fit.

    The variance over h sessions is the sum of h one-session ones, each ``omega + (alpha + beta) x the one before``.
    """
    omega, persistence = garch.omega[panel.ticker_code], (garch.alpha + garch.beta)[panel.ticker_code]
    variance = filter_variance(panel, garch)  # (N,) of session t+1
    total = np.zeros_like(variance)
    scale = np.empty_like(panel.targets)
    for ahead in range(1, max(HORIZONS) + 1):
        total += variance
        variance = omega + persistence * variance
        if ahead in HORIZONS:
            scale[:, HORIZONS.index(ahead)] = np.sqrt(total)
    return scale


def filter_variance(panel: PanelArrays, garch: GarchFit) -> Floats:
    """Return the variance of the next session's return as known at each row's close, (N,); NaN without a fit.

    A row without a return of its own (filled, or first of a segment) leaves the variance as it was.
    """
    from scipy.signal import lfilter

    observed_return = panel.observed_return
    variance = np.full(len(observed_return), np.nan)
    for first, end in pairwise(np.r_[np.flatnonzero(panel.segment_start), len(observed_return)]):
        code = panel.ticker_code[first]
        if not garch.fitted[code]:
            continue
        beta, start = garch.beta[code], garch.start[code]
        returns = observed_return[first:end]
        known = np.isfinite(returns)
        shocks = garch.omega[code] + garch.alpha[code] * returns[known] ** 2
        filtered, _ = lfilter([1.0], [1.0, -beta], shocks, zi=[beta * start])  # v(t+1) = shock(t) + beta v(t)
        variance[first:end] = np.r_[start, filtered][np.cumsum(known)]
    return variance
