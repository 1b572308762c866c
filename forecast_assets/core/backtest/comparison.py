"""Return difference of two strategies at equal volatility, and a beta hedge from past sessions only."""

import polars as pl

from forecast_assets.core.backtest.costs import average_bps, charge
from forecast_assets.core.evaluation.significance import Interval, bootstrap_interval, sharpes
from forecast_assets.core.scores.trading import TARGET_VOLATILITY, Floats, sessions_per_year
from forecast_assets.core.specs import CostBps

HEDGE_WINDOW_SESSIONS = 252
HEDGE_MIN_SESSIONS = 63


def beta_hedge(
    daily: pl.DataFrame, market: pl.DataFrame, *, cost_bps: CostBps, min_sessions: int = HEDGE_MIN_SESSIONS
) -> pl.DataFrame:
    """Return date, net_return and beta: one strategy's net returns less beta times the market's.

    ``daily``: date, net_return of one joined strategy; ``market``: daily table of the equal-weight book on the same
    sessions. The beta of a row is the regression slope over the ``HEDGE_WINDOW_SESSIONS`` rows before it (0, no hedge,
    before there are ``min_sessions``). Changing it is a trade in the equal-weight book and pays ``cost_bps``, or what
    that book has paid on average. Raises ValueError where a session of the strategy has no market return.
    """
    both = daily.select("date", "net_return").join(market.select("date", market="gross_return"), on="date", how="left")
    if (missing := both["market"].null_count()) > 0:
        raise ValueError(f"beta_hedge: {missing} of {len(both)} sessions have no market return")
    covariance = pl.rolling_cov("net_return", "market", window_size=HEDGE_WINDOW_SESSIONS, min_samples=min_sessions)
    variance = pl.col("market").rolling_var(HEDGE_WINDOW_SESSIONS, min_samples=min_sessions)
    slope = pl.when(variance > 0).then(covariance / variance).shift(1).fill_null(0.0)
    change = (pl.col("beta") - pl.col("beta").shift(1).fill_null(0.0)).abs()
    net = pl.col("net_return") - pl.col("beta") * pl.col("market") - charge(change, average_bps(cost_bps, market))
    return both.sort("date").with_columns(beta=slope).select("date", net, "beta")


def return_difference(first: pl.DataFrame, second: pl.DataFrame, *, samples: int, seed: int) -> Interval:
    """Return the annual net return of the first less the second, each at ``TARGET_VOLATILITY``, with a 95 % interval.

    A fraction: 0.15 is 15 percentage points. Both: date, net_return of one joined (or hedged) strategy over the same
    sessions. Arithmetic annual means, so that the difference is the volatility times the difference of the Sharpe ratios;
    each paired stationary-bootstrap sample is scaled anew. All NaN ('no evidence') where one side never trades. Raises
    ValueError where sessions differ.
    """
    both = first.select("date", first="net_return").join(second.select("date", second="net_return"), on="date")
    if not len(both) == len(first) == len(second):
        raise ValueError(
            f"return_difference: the two series must cover the same sessions once each; {len(first)} and "
            f"{len(second)} have {len(both)} in common"
        )
    both = both.sort("date")
    per_year = sessions_per_year(both["date"].to_numpy())

    def difference(table: Floats) -> float:
        one, other = sharpes(table, per_year)
        return float(TARGET_VOLATILITY * (one - other))

    return bootstrap_interval(both.select("first", "second").to_numpy(), difference, samples=samples, seed=seed)
