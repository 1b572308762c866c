"""Bootstrap intervals and tests for dependent daily series. arch and scipy load on first use."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from forecast_assets.core.scores.trading import EPS, Floats

NAN = float("nan")
NO_DIFFERENCE = "no difference that matters"
MIN_SESSIONS = 20  # fewer do not show dependence and are resampled one by one


class Interval(NamedTuple):
    """An estimate with its two-sided bootstrap interval; all NaN where the data leave the estimate undefined."""

    estimate: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """'beats' when the interval lies above 0, 'loses' when below, otherwise 'no evidence'."""
        return self.judged(smallest=0.0)

    def judged(self, *, smallest: float) -> str:
        """Return the verdict where a difference of less than ``smallest``, declared in advance, does not matter.

        'no difference that matters' when the whole interval is nearer to 0 than that; 'beats' and 'loses' when the
        interval lies on one side of 0 and the estimate is that far from it; otherwise 'no evidence'.
        """
        if max(abs(self.low), abs(self.high)) < smallest:
            return NO_DIFFERENCE
        if abs(self.estimate) < smallest:
            return "no evidence"
        if self.low > 0:
            return "beats"
        return "loses" if self.high < 0 else "no evidence"


class DieboldMariano(NamedTuple):
    """Equal predictive accuracy tested on daily mean loss differences; a negative statistic favours the first model."""

    mean_difference: float
    statistic: float
    p_value: float
    lags: int


def optimal_block(series: ArrayLike) -> int:
    """Return the mean block length of the stationary bootstrap for (T,) or (T, K): Politis and White 2004, corrected 2009.

    The longest of the K columns', rounded up to whole sessions; at most a third of the series.
    """
    from arch.bootstrap import optimal_block_length

    values = _table(series)
    values = values[:, values.std(axis=0) > EPS]
    if len(values) < MIN_SESSIONS or not values.shape[1]:
        return 1
    lengths = optimal_block_length(values)["stationary"].to_numpy()
    return int(np.ceil(np.clip(lengths.max(), 1.0, len(values) / 3.0)))


def bootstrap_interval(
    series: ArrayLike, statistic: Callable[[Floats], float], *, samples: int, seed: int, level: float = 0.95
) -> Interval:
    """Return the percentile interval of ``statistic`` under the stationary bootstrap (Politis and Romano 1994).

    ``series`` (T,) or (T, K): rows are resampled together, so that paired series stay paired. ``statistic`` maps such a
    table (T, K) to a number.
    """
    values = _table(series)
    estimate = float(statistic(values))
    if not np.isfinite(estimate):
        return Interval(NAN, NAN, NAN)
    options = {"block": optimal_block(values), "samples": samples, "seed": seed}
    draws = bootstrap_draws(values, lambda table: np.array([statistic(table)]), **options)
    return percentile_interval(estimate, draws[:, 0], level=level)


def bootstrap_draws(
    table: Floats, statistic: Callable[[Floats], Floats], *, block: int, samples: int, seed: int
) -> Floats:
    """Return ``statistic`` (M,) of each resample of (T, K) under the stationary bootstrap: (samples, M)."""
    from arch.bootstrap import StationaryBootstrap

    draws: Floats = StationaryBootstrap(block, table, seed=np.random.default_rng(seed)).apply(statistic, samples)
    return draws


def percentile_interval(estimate: float, draws: Floats, *, level: float = 0.95) -> Interval:
    """Return the interval between the outer percentiles of (samples,) draws."""
    low, high = np.nanquantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(estimate, float(low), float(high))


def bootstrap_intervals(
    series: ArrayLike, statistics: Callable[[Floats], Floats], *, samples: int, seed: int, level: float = 0.95
) -> list[Interval]:
    """Return ``bootstrap_interval`` of several statistics (K,) of the same table, on the same resamples.

    NaN where the estimate of a statistic is undefined.
    """
    values = _table(series)
    estimates = np.asarray(statistics(values), dtype=np.float64)
    draws = bootstrap_draws(values, statistics, block=optimal_block(values), samples=samples, seed=seed)
    return [
        percentile_interval(float(estimate), draws[:, k], level=level)
        if np.isfinite(estimate)
        else Interval(NAN, NAN, NAN)
        for k, estimate in enumerate(estimates)
    ]


def sharpe_interval(returns: ArrayLike, *, sessions_per_year: float, samples: int, seed: int) -> Interval:
    """Return the annualised Sharpe ratio of (T,) daily returns with its 95 % interval; undefined for a zero position."""
    per_year = sessions_per_year
    return bootstrap_interval(returns, lambda table: float(sharpes(table, per_year)[0]), samples=samples, seed=seed)


def sharpes(table: Floats, sessions_per_year: float) -> Floats:
    """Return the annualised Sharpe ratios (K,) of (T, K): ``scores.trading.sharpe`` without its checks, for resamples."""
    deviation = table.std(axis=0, ddof=1) if len(table) > 1 else np.zeros(table.shape[1])
    defined = deviation >= EPS
    return np.where(defined, table.mean(axis=0) / np.where(defined, deviation, 1.0), NAN) * np.sqrt(sessions_per_year)


def diebold_mariano(loss_difference: ArrayLike, *, horizon_sessions: int) -> DieboldMariano:
    """Test equal accuracy: Diebold and Mariano 1995 with the small-sample correction of Harvey, Leybourne and Newbold 1997.

    ``loss_difference`` (T,): per decision day, the cross-sectional mean loss of the first model less the second's, in
    time order (ticker-days of one day are not independent, so they are averaged first). Bartlett (Newey-West) variance
    over ``max(2 (h - 1), 4 (T / 100)^(2/9))`` lags, since labels of neighbouring days overlap for h - 1 sessions. Two
    sided, Student t with T - 1 degrees. NaN where the difference is constant. Raises ValueError under 2 h + 1 days.
    """
    from scipy.stats import t as student

    difference = _table(loss_difference)[:, 0]
    n, h = len(difference), horizon_sessions
    if n <= 2 * h:
        raise ValueError(f"diebold_mariano: {n} days are too few for a horizon of {h} sessions")
    lags = min(max(2 * (h - 1), int(4.0 * (n / 100.0) ** (2.0 / 9.0))), n - 1)
    centred = difference - difference.mean()
    autocovariance = np.array([centred[k:] @ centred[: n - k] / n for k in range(lags + 1)])
    variance = autocovariance[0] + 2.0 * ((1.0 - np.arange(1, lags + 1) / (lags + 1)) @ autocovariance[1:])
    if variance < EPS**2:
        return DieboldMariano(float(difference.mean()), NAN, NAN, lags)
    correction = np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    statistic = float(correction * difference.mean() / np.sqrt(variance / n))
    return DieboldMariano(float(difference.mean()), statistic, float(2.0 * student.sf(abs(statistic), n - 1)), lags)


def _table(series: ArrayLike) -> Floats:
    """Return (T,) or (T, K) as a finite float64 table (T, K); raises ValueError with the count of other values."""
    values = np.asarray(series, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if (bad := int((~np.isfinite(values)).sum())) > 0:
        raise ValueError(f"a daily series must be finite: {bad} of {values.size} values are not")
    return values
