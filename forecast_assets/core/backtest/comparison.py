"""Return difference of two strategies at equal volatility, and a beta hedge from past sessions only."""

from typing import NamedTuple

import numpy as np
import polars as pl

from forecast_assets.core.backtest.costs import average_bps, charge
from forecast_assets.core.evaluation.significance import NAN, Interval, bootstrap_interval, sharpes
from forecast_assets.core.scores.trading import TARGET_VOLATILITY, Floats, sessions_per_year
from forecast_assets.core.specs import CostBps

HEDGE_WINDOW_SESSIONS = 252
HEDGE_MIN_SESSIONS = 63


class ReturnDifference(NamedTuple):
    """Annual net return of one strategy less another's, each at ``TARGET_VOLATILITY``; fractions."""

    interval: Interval
    costs: float  # the part of the estimate that is the other's higher costs, at the same scaling
    sessions: int
    scaling: tuple[float, float] = (NAN, NAN)  # of each strategy: the target over the volatility it was held at

    @property
    def mostly_costs(self) -> bool:
        """Whether costs make up more than half of the difference, in its direction."""
        return self.costs / self.interval.estimate > 0.5 if self.interval.estimate else False


def beta_hedge(
    daily: pl.DataFrame, market: pl.DataFrame, *, cost_bps: CostBps, min_sessions: int = HEDGE_MIN_SESSIONS
) -> pl.DataFrame:
    """Return date, net_return, cost and beta: one strategy's net returns less beta times the market's, while hedged.

    ``daily``: date, net_return, cost of one joined strategy; ``market``: daily table of the equal-weight book on the same
    sessions. The first ``min_sessions`` rows have too short a past to be hedged by, and are left out. The beta of a later
    row is the regression slope over the ``HEDGE_WINDOW_SESSIONS`` rows before it (0 where the market never moved). Changing
    it, as on the first row, is a trade in the equal-weight book and pays ``cost_bps``, or what that book has paid on
    average; ``cost`` holds that too. Raises ValueError where a session of the strategy has no market return.
    """
    own = daily.select("date", "net_return", "cost")
    both = own.join(market.select("date", market="gross_return"), on="date", how="left")
    if (missing := both["market"].null_count()) > 0:
        raise ValueError(f"beta_hedge: {missing} of {len(both)} sessions have no market return")
    covariance = pl.rolling_cov("net_return", "market", window_size=HEDGE_WINDOW_SESSIONS, min_samples=min_sessions)
    variance = pl.col("market").rolling_var(HEDGE_WINDOW_SESSIONS, min_samples=min_sessions)
    slope = pl.when(variance > 0).then(covariance / variance).shift(1).fill_null(0.0)
    change = (pl.col("beta") - pl.col("beta").shift(1).fill_null(0.0)).abs()
    hedged = (
        both.sort("date")
        .with_columns(beta=slope)[min_sessions:]
        .with_columns(hedge_cost=charge(change, average_bps(cost_bps, market)))
    )
    net = pl.col("net_return") - pl.col("beta") * pl.col("market") - pl.col("hedge_cost")
    return hedged.select("date", net, pl.col("cost") + pl.col("hedge_cost"), "beta")


def return_difference(first: pl.DataFrame, second: pl.DataFrame, *, samples: int, seed: int) -> ReturnDifference:
    """Return the annual net return of the first less the second, each at ``TARGET_VOLATILITY``, with a 95 % interval.

    A fraction: 0.15 is 15 percentage points. Both: date, net_return, cost of one joined (or hedged) strategy over the same
    sessions. Arithmetic annual means, so that the difference is the volatility times the difference of the Sharpe ratios;
    each paired stationary-bootstrap sample is scaled anew. All NaN ('no evidence') where one side never trades, or none of
    them has two sessions. Raises ValueError where sessions differ.
    """
    columns = ("net_return", "cost")
    both = first.select("date", *columns).join(second.select("date", *columns), on="date", suffix="_second")
    if not len(both) == len(first) == len(second):
        raise ValueError(
            f"return_difference: the two series must cover the same sessions once each; {len(first)} and "
            f"{len(second)} have {len(both)} in common"
        )
    if len(both) < 2:
        return ReturnDifference(Interval(NAN, NAN, NAN), NAN, len(both))
    both = both.sort("date")
    per_year = sessions_per_year(both["date"].to_numpy())
    net = both.select("net_return", "net_return_second").to_numpy()  # (T, 2)

    def difference(table: Floats) -> float:
        one, other = sharpes(table, per_year)
        return float(TARGET_VOLATILITY * (one - other))

    interval = bootstrap_interval(net, difference, samples=samples, seed=seed)
    # Costs over the volatility of the net return are scaled as the return itself is.
    paid = both.select("cost", "cost_second").to_numpy().mean(axis=0) * per_year**0.5
    volatility = net.std(axis=0, ddof=1)
    one, other = paid / volatility if np.isfinite(interval.estimate) else (NAN, NAN)
    with np.errstate(divide="ignore"):
        first_scaling, second_scaling = (TARGET_VOLATILITY / (volatility * per_year**0.5)).tolist()
    costs = float(TARGET_VOLATILITY * (other - one))
    return ReturnDifference(interval, costs, len(both), (first_scaling, second_scaling))
