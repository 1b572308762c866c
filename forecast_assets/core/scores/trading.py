"""Scores of a daily return series.

``returns`` (T,) are simple returns, one per session, without NaN. A figure that the data leave undefined (no rows, a
zero position, no volatility) is NaN, never 0 and never infinite; reports print it as ``-``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TARGET_VOLATILITY = 0.10  # annual: of books that are compared at equal volatility, or held at one
EPS = 1e-12  # a daily volatility (or turnover) below this is rounding noise around zero


def sessions_per_year(dates: ArrayLike) -> float:
    """Return the actual sessions per year of a grid of sessions (T,), T >= 2: steps per year from first to last."""
    days = np.asarray(dates, dtype="datetime64[D]")
    if len(days) < 2:
        raise ValueError(f"sessions_per_year: at least 2 sessions are needed, got {len(days)}")
    return float((len(days) - 1) / ((days[-1] - days[0]).astype(np.int64) / 365.25))


def annual_mean(returns: ArrayLike, *, sessions_per_year: float) -> float:
    """Return the arithmetic annual return: the mean daily return times the sessions of a year."""
    series = _series(returns)
    return float(series.mean() * sessions_per_year) if series.size else float("nan")


def annual_return(returns: ArrayLike, *, sessions_per_year: float) -> float:
    """Return the compound annual growth rate; -1 once the equity has reached zero (`empyrical.annual_return`)."""
    growth = 1.0 + _series(returns)
    if not growth.size:
        return float("nan")
    if (growth <= 0).any():
        return -1.0
    return float(np.exp(np.log(growth).mean() * sessions_per_year) - 1.0)


def annual_volatility(returns: ArrayLike, *, sessions_per_year: float) -> float:
    """Return the sample standard deviation (n - 1) times the root of the sessions of a year; NaN under 2 sessions."""
    series = _series(returns)
    return float(series.std(ddof=1) * np.sqrt(sessions_per_year)) if series.size > 1 else float("nan")


def sharpe(returns: ArrayLike, *, sessions_per_year: float) -> float:
    """Return the annualised Sharpe ratio at a zero cash rate; NaN where the daily volatility is below ``EPS``."""
    series = _series(returns)
    if series.size < 2 or (deviation := series.std(ddof=1)) < EPS:
        return float("nan")
    return float(series.mean() / deviation * np.sqrt(sessions_per_year))


def beta(returns: ArrayLike, market: ArrayLike) -> float:
    """Return the regression slope of (T,) returns on a market's; NaN under 2 sessions or where the market never moves."""
    own, other = _series(returns), _series(market)
    if own.size < 2 or other.std(ddof=1) < EPS:
        return float("nan")
    return float(np.cov(own, other)[0, 1] / other.var(ddof=1))


def drawdown(returns: ArrayLike) -> Floats:
    """Return the drawdown (T,) of the compounded equity from its running peak (the start counts); -0.3 is 30 % below."""
    equity = np.cumprod(np.concatenate([[1.0], 1.0 + _series(returns)]))
    return (equity / np.maximum.accumulate(equity) - 1.0)[1:]


def max_drawdown(returns: ArrayLike) -> float:
    """Return the deepest drawdown, negative or 0; NaN without rows."""
    path = drawdown(returns)
    return float(path.min()) if path.size else float("nan")


def hit_ratio(returns: ArrayLike) -> float:
    """Return the share of winning sessions among those with a gain or a loss; NaN where there is none."""
    series = _series(returns)
    moved = series[np.abs(series) > EPS]
    return float((moved > 0).mean()) if moved.size else float("nan")


def break_even_cost_bps(gross_returns: ArrayLike, turnover: ArrayLike) -> float:
    """Return the cost per unit traded, in basis points, at which the mean net return is zero; NaN without trades.

    ``turnover`` (T,) is the sum of |weight changes| per session. Negative where the book loses before costs.
    """
    traded = float(_series(turnover).mean()) if np.size(turnover) else 0.0
    return float(_series(gross_returns).mean() / traded * 1e4) if traded > EPS else float("nan")


def _series(values: ArrayLike) -> Floats:
    """Return a one-dimensional float64 array; ValueError, with a count, where a value is not finite."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"a daily series has one dimension, got shape {series.shape}")
    if (bad := int((~np.isfinite(series)).sum())) > 0:
        raise ValueError(f"a daily series must be finite: {bad} of {series.size} values are not")
    return series
