"""One strategy against another at equal volatility, and the past-only beta hedge that both may wear."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.evaluation.significance import Interval, bootstrap_interval, sharpes
from forecast_assets.core.scores.trading import sessions_per_year

Floats = NDArray[np.float64]

TARGET_VOLATILITY = 0.10
HEDGE_WINDOW_SESSIONS = 252
HEDGE_MIN_SESSIONS = 63


class ReturnDifference(NamedTuple):
    """Annualised net return difference at equal volatility, as fractions (0.15 is 15 points)."""

    difference: Interval
    sessions: int
    volatility: float


def beta_hedge(
    daily: pl.DataFrame,
    market: pl.DataFrame,
    *,
    cost_bps: float,
    window_sessions: int = HEDGE_WINDOW_SESSIONS,
    min_sessions: int = HEDGE_MIN_SESSIONS,
) -> pl.DataFrame:
    """One strategy's net returns less beta times the market's, with a beta from past sessions only.

    ``daily``: date, net_return of one joined strategy; ``market``: date, gross_return of the equal-weight book on the
    same sessions. The beta of a row is the regression slope over the ``window_sessions`` rows before it (0, no hedge,
    before there are ``min_sessions``); changing it costs ``cost_bps`` x |change|. Returns date, net_return (hedged),
    beta. Raises ValueError where a session of the strategy has no market return.
    """
    both = daily.select("date", "net_return").join(market.select("date", market="gross_return"), on="date", how="left")
    if (missing := both["market"].null_count()) > 0:
        raise ValueError(f"beta_hedge: {missing} of {len(both)} sessions have no market return")
    covariance = pl.rolling_cov("net_return", "market", window_size=window_sessions, min_samples=min_sessions)
    variance = pl.col("market").rolling_var(window_sessions, min_samples=min_sessions)
    slope = pl.when(variance > 0).then(covariance / variance).shift(1).fill_null(0.0)
    change = (pl.col("beta") - pl.col("beta").shift(1).fill_null(0.0)).abs()
    return (
        both.sort("date")
        .with_columns(beta=slope)
        .select(
            "date",
            pl.col("net_return") - pl.col("beta") * pl.col("market") - change * cost_bps * 1e-4,
            "beta",
        )
    )


def return_difference(
    daily_ensemble: pl.DataFrame,
    daily_b0: pl.DataFrame,
    *,
    samples: int,
    seed: int,
    volatility: float = TARGET_VOLATILITY,
) -> ReturnDifference:
    """Annualised net return of the first less the second, both scaled to ``volatility``, with its 95 % interval.

    Both: date, net_return of one joined (or hedged) strategy over the same sessions. Arithmetic annual means, so
    that the difference is ``volatility`` times the difference of the Sharpe ratios; the scaling is redone within each
    paired stationary-bootstrap sample, and so is part of the uncertainty. All NaN ('no evidence') where one side
    never trades. Raises ValueError where the sessions differ.
    """
    both = daily_ensemble.select("date", first="net_return").join(
        daily_b0.select("date", second="net_return"), on="date", how="inner"
    )
    if not len(both) == len(daily_ensemble) == len(daily_b0):
        raise ValueError(
            f"return_difference: the two series must cover the same sessions once each; {len(daily_ensemble)} and "
            f"{len(daily_b0)} have {len(both)} in common"
        )
    both = both.sort("date")
    per_year = sessions_per_year(both["date"].to_numpy())

    def difference(table: Floats) -> float:
        first, second = sharpes(table, per_year)
        return float(volatility * (first - second))

    interval = bootstrap_interval(both.select("first", "second").to_numpy(), difference, samples=samples, seed=seed)
    return ReturnDifference(difference=interval, sessions=len(both), volatility=volatility)
