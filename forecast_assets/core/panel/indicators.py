"""Polars expressions of the features, over the observed rows of all segments in order.

An expression that looks back stays within its segment: ``lag`` compares with the row's number in it; rolling statistics
come from ``blocks``, exponential averages from ``recursions``.
"""

import polars as pl

FLOOR = 1e-4  # smallest volatility per session: one basis point, below any traded security's
GARMAN_KLASS = 0.3862943611198906  # 2 ln 2 - 1
STILL = 1e-12  # average move, as a share of the close, below which closes count as constant
MISPRINT = 2.72
"""A high or low beyond both open and close by more than this factor is a misprint, such as pence for pounds."""


def lag(values: pl.Expr, rows: int) -> pl.Expr:
    """The value ``rows`` rows before; null where the segment, as given, begins later."""
    return pl.when(pl.col("row") >= rows).then(values.shift(rows))


def log_return(sessions: int) -> pl.Expr:
    """log(close / close ``sessions`` observed sessions ago)."""
    return pl.col("log_close") - lag(pl.col("log_close"), sessions)


def overnight_gap() -> pl.Expr:
    """log(open / previous close)."""
    return pl.col("log_open") - lag(pl.col("log_close"), 1)


def intraday_return() -> pl.Expr:
    """log(close / open)."""
    return pl.col("log_close") - pl.col("log_open")


def equal_run(values: pl.Expr) -> pl.Expr:
    """Number of consecutive rows up to this one with its value: exact, where a rolling variance has rounding noise."""
    changed = values.ne_missing(values.shift(1)) | (pl.col("row") == 0)
    since = pl.when(changed).then(pl.int_range(pl.len())).forward_fill()
    return pl.int_range(pl.len()) - since + 1


def zero_where_flat(statistic: pl.Expr, equal_rows: pl.Expr, window: int) -> pl.Expr:
    """``statistic``, defined as 0 where the values of its window do not vary (it would be 0/0)."""
    return pl.when(equal_rows >= window).then(0.0).otherwise(statistic)


def rsi(average_gain: pl.Expr, average_loss: pl.Expr) -> pl.Expr:
    """Relative strength index of Wilder's averages of rises and falls; 50 where closes have stood still.

    Wilder's averages never reach zero. Without a threshold the index of a constant price would depend on its last moves
    for ever, and on where the history begins.
    """
    both = average_gain + average_loss
    return pl.when(both <= STILL * pl.col("close")).then(50.0).otherwise(100.0 * average_gain / both)


def variance_proxy() -> pl.Expr:
    """Variance of one session: squared overnight gap + Garman-Klass of the trading day, null on a segment's first row.

    Garman-Klass: 0.5 log(high / low)^2 - (2 ln 2 - 1) log(close / open)^2; without High and Low, or where they are
    misprinted, log(close / open)^2. High and low are widened to hold open and close, which some feeds violate by rounding;
    this keeps it above zero.
    """
    intraday = intraday_return()
    high, low = pl.max_horizontal("high", "open", "close"), pl.min_horizontal("low", "open", "close")
    day = 0.5 * (high / low).log().pow(2) - GARMAN_KLASS * intraday.pow(2)
    ranged = pl.col("high").is_not_null() & pl.col("low").is_not_null()
    return overnight_gap().pow(2) + pl.when(ranged & ~is_misprinted()).then(day).otherwise(intraday.pow(2))


def is_misprinted() -> pl.Expr:
    """Whether high or low is beyond open and close by more than the factor ``MISPRINT``."""
    above = pl.col("high") > MISPRINT * pl.max_horizontal("open", "close")
    below = MISPRINT * pl.col("low") < pl.min_horizontal("open", "close")
    return (above | below).fill_null(False)


def log_variance(variance: pl.Expr) -> pl.Expr:
    """Log of a variance, floored at FLOOR squared."""
    return variance.clip(lower_bound=FLOOR**2).log()


def mean(values: pl.Expr) -> pl.Expr:
    """Mean of a group, the same to the last bit in every run.

    A sum's rounding depends on its order, and the threads that collect a group's rows keep none.
    """
    return values.sort().mean()


def rank(values: pl.Expr) -> pl.Expr:
    """Centred rank in (-1/2, 1/2) among the values that exist; ties share their mean rank, a lone value is 0."""
    return (values.rank("average") - 0.5) / values.count() - 0.5


def mean_with_members(values: pl.Expr) -> pl.Expr:
    """``mean`` over a group's members; of a row that is no member's, over them and itself."""
    of_members = _of_members(values)
    total, count = mean(of_members).fill_null(0.0) * of_members.count(), of_members.count()
    return pl.when("is_member").then(mean(of_members)).otherwise((total + values) / (count + 1))


def rank_with_members(values: pl.Expr) -> pl.Expr:
    """``rank`` among a group's members; of a row that is no member's, among them and itself."""
    of_members = _of_members(values)
    others = pl.when(~pl.col("is_member")).then(values)
    # Mean ranks count half of those that are equal, the row itself included, which drops out of the difference.
    among = values.rank("average") - others.rank("average") + 1.0
    return pl.when("is_member").then(rank(of_members)).otherwise((among - 0.5) / (of_members.count() + 1) - 0.5)


def _of_members(values: pl.Expr) -> pl.Expr:
    return pl.when("is_member").then(values)
