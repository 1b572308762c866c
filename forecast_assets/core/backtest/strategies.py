"""Benchmark strategies without a forecast (equal weight, momentum), on the dates, universe and costs of the models' books.

The universe is that of the given forecast table. The random walk needs no code: its forecast has no edge, so
``simulate`` sizes it to zero.
"""

import datetime as dt

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation, account_tables, keep_book
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.simulate import decision_grid, enter, trade_sizes
from forecast_assets.core.backtest.sizing import carry
from forecast_assets.core.specs import BacktestSpec

EQUAL_WEIGHT = "equal_weight"
MOMENTUM = "momentum_20d"
MOMENTUM_SESSIONS = 20
MEMORY_DAYS = 180  # calendar days before the first decision that are read for a momentum score


def equal_weight(forecasts: pl.DataFrame, calendar_panel: pl.DataFrame, *, year: int, spec: BacktestSpec) -> Simulation:
    """Buy and hold: equal weights, bought on the year's first session, then left to drift until the year's end.

    It holds the tickers with a forecast at the end of validation (one that lists during the year waits for the next;
    without validation forecasts, those of the first test decision), fully invested, uncapped. The only other trades are
    sales of tickers that end, whose money stays in cash.
    """
    decisions = _decisions(forecasts, spec).with_columns(size=pl.lit(1.0))
    view, size, first_test = decision_grid(decisions, calendar_panel, spec=spec, previous_book=None)
    validation = np.flatnonzero(~np.isnan(size[:first_test]).all(axis=1))
    days = validation if validation.size else np.array([first_test])
    chosen = carry(size[days], limit=spec.max_wait_sessions)[-1]
    test = view.rows(first_test, None)
    orders, smoothing = np.full(test.price.shape, np.nan), np.zeros(test.price.shape)
    if validation.size or spec.execution == "same_close":
        enter(test, chosen / chosen.sum(), orders, smoothing, limit=spec.max_wait_sessions)
    elif len(orders) > 1:  # decided at the first close: bought at the next open
        orders[1] = chosen / chosen.sum()
    accounts = keep_book(test, orders, smoothing=smoothing, costs=Costs.of(spec.cost_bps, calendar_panel))
    return account_tables(test, accounts, strategy=EQUAL_WEIGHT, year=year)


def momentum(forecasts: pl.DataFrame, calendar_panel: pl.DataFrame, *, year: int, spec: BacktestSpec) -> Simulation:
    """20-session momentum: tickers ranked within region and day by their return over 20 own sessions, long the upper half.

    The weight is proportional to the centred rank, scaled to the gross cap; tranches, smoothing, name cap, execution
    and costs are ``spec``'s. A ticker without 21 quotes in its segment has no decision.
    """
    decisions = _decisions(forecasts, spec)
    first, last = decisions.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    before = pl.col("close").shift(MOMENTUM_SESSIONS).over("ticker", "segment")
    past = (
        calendar_panel.lazy()
        .filter(~pl.col("is_missing") & pl.col("date").is_between(first - dt.timedelta(days=MEMORY_DAYS), last))
        .select("date", "ticker", "region", score=pl.col("close") / before - 1.0)
    )
    rank = pl.col("score").rank().over("date", "region")
    ranked = (
        decisions.lazy()
        .join(past, on=["date", "ticker"], how="inner")
        .filter(pl.col("score").is_not_null())
        .with_columns(size=(rank - 0.5) / pl.len().over("date", "region") - 0.5)
        .collect()
    )
    return trade_sizes(ranked, calendar_panel, strategy=MOMENTUM, year=year, spec=spec)


def _decisions(forecasts: pl.DataFrame, spec: BacktestSpec) -> pl.DataFrame:
    """Return date, ticker and split of the traded horizon's forecasts."""
    return forecasts.filter(pl.col("horizon") == spec.horizon_sessions).select("date", "ticker", "split")
