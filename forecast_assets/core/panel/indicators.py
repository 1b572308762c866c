"""Expressions behind the features: each sees the observed rows of one segment, in order.

Recursions start from a plain mean over their first window, as the books (and TA-Lib) do; polars' own ``ewm_mean`` starts
from the first value, which puts an RSI several points off for a hundred rows.
"""

import polars as pl

FLOOR = 1e-4
"""Smallest volatility per session: one basis point, below any traded security's."""
GARMAN_KLASS = 0.3862943611198906  # 2 ln 2 - 1
EWMA_SEED_RETURNS = 20
MISPRINT = 1.0
"""A high or low further than this (log) beyond both open and close is a misprint, such as pence for pounds."""


def row_number() -> pl.Expr:
    """0, 1, 2, ... within the segment."""
    return pl.int_range(pl.len())


def overnight_gap() -> pl.Expr:
    """log(open / previous close)."""
    return pl.col("open").log() - pl.col("close").log().shift(1)


def intraday_return() -> pl.Expr:
    """log(close / open)."""
    return pl.col("close").log() - pl.col("open").log()


def is_flat(values: pl.Expr, window: int) -> pl.Expr:
    """Whether the last ``window`` values are all equal: exact, where a rolling variance leaves rounding noise."""
    return values.rolling_max(window) == values.rolling_min(window)


def zero_where_flat(statistic: pl.Expr, values: pl.Expr, window: int) -> pl.Expr:
    """``statistic``, defined as 0 where the values of its window do not vary (it would be 0/0)."""
    return pl.when(is_flat(values, window)).then(0.0).otherwise(statistic)


def z_score(values: pl.Expr, window: int) -> pl.Expr:
    """Distance of the last value from its window's mean in standard deviations; the window includes it."""
    z = (values - values.rolling_mean(window)) / values.rolling_std(window)
    return zero_where_flat(z, values, window)


def seeded_ema(values: pl.Expr, window: int, *, alpha: float, first: int) -> pl.Expr:
    """y[first] = mean of the ``window`` values up to it, then y = (1 - alpha) y + alpha x; null before ``first``."""
    row = row_number()
    seeded = pl.when(row > first).then(values).when(row == first).then(values.rolling_mean(window))
    return seeded.ewm_mean(alpha=alpha, adjust=False)


def rsi(close: pl.Expr, window: int) -> pl.Expr:
    """Wilder's relative strength index; equals TA-Lib's from its first row, but 50 where both averages are zero."""
    change = close.diff()
    gain, loss = change.clip(lower_bound=0.0), (-change).clip(lower_bound=0.0)
    up = seeded_ema(gain, window, alpha=1 / window, first=window)
    down = seeded_ema(loss, window, alpha=1 / window, first=window)
    return pl.when(up + down == 0).then(50.0).otherwise(100.0 * up / (up + down))


def macd(close: pl.Expr, *, fast: int, slow: int) -> pl.Expr:
    """MACD line in units of the price. Both averages start at row ``slow`` - 1, as in TA-Lib."""
    quick = seeded_ema(close, fast, alpha=2 / (fast + 1), first=slow - 1)
    return quick - seeded_ema(close, slow, alpha=2 / (slow + 1), first=slow - 1)


def variance_proxy() -> pl.Expr:
    """Variance of one session: squared overnight gap + Garman-Klass of the trading day, null on a segment's first row.

    Garman-Klass: 0.5 log(high / low)^2 - (2 ln 2 - 1) log(close / open)^2; without High and Low, or where they are
    misprinted, log(close / open)^2. High and low are widened to hold open and close, which some feeds violate by rounding;
    this keeps it above zero.
    """
    intraday = intraday_return()
    high, low = pl.max_horizontal("high", "open", "close"), pl.min_horizontal("low", "open", "close")
    day = 0.5 * (high.log() - low.log()).pow(2) - GARMAN_KLASS * intraday.pow(2)
    ranged = pl.col("high").is_not_null() & pl.col("low").is_not_null()
    return overnight_gap().pow(2) + pl.when(ranged & ~is_misprinted()).then(day).otherwise(intraday.pow(2))


def is_misprinted() -> pl.Expr:
    """Whether high or low lies so far beyond open and close that no session can have been there and back."""
    above = pl.col("high").log() - pl.max_horizontal("open", "close").log()
    below = pl.min_horizontal("open", "close").log() - pl.col("low").log()
    return (pl.max_horizontal(above, below) > MISPRINT).fill_null(False)


def log_variance(variance: pl.Expr) -> pl.Expr:
    """Log of a variance, floored at FLOOR squared."""
    return variance.clip(lower_bound=FLOOR**2).log()


def ewma_volatility(log_return: pl.Expr, *, decay: float) -> pl.Expr:
    """One-session volatility forecast: sqrt of the EWMA of squared log returns (RiskMetrics 1996), at least FLOOR.

    Starts from the mean of the first 20 squared returns; null before. Row 0 of a segment has no return.
    """
    variance = seeded_ema(log_return.pow(2), EWMA_SEED_RETURNS, alpha=1 - decay, first=EWMA_SEED_RETURNS)
    return variance.sqrt().clip(lower_bound=FLOOR)


def rank(values: pl.Expr) -> pl.Expr:
    """Centred rank in (-1/2, 1/2) among the values that exist; ties share their mean rank, a lone value is 0."""
    return (values.rank("average") - 0.5) / values.count() - 0.5
