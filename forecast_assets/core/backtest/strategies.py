"""Strategies that need no forecast, on the same dates, universe and costs as the models' books.

The universe is whatever the given forecast table decides on. The random walk needs no code: its forecast has no edge,
so ``simulate`` sizes it to zero.
"""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation, account_tables, keep_book
from forecast_assets.core.backtest.simulate import book_weights, decision_grid, enter, tail, trade_sizes
from forecast_assets.core.backtest.sizing import carry
from forecast_assets.core.specs import BacktestSpec

EQUAL_WEIGHT = "equal_weight"
MOMENTUM = "momentum_20d"
MOMENTUM_SESSIONS = 20

MEMORY_DAYS = 180
"""Calendar days before the first decision in which the quotes for a momentum score are looked for."""


def equal_weight(
    forecasts: pl.DataFrame,
    calendar_panel: pl.DataFrame,
    *,
    year: int,
    spec: BacktestSpec,
    previous_book: Mapping[str, float] | None = None,
) -> Simulation:
    """Buy-and-hold: equal weights, bought on the year's first session, then left to drift until the year's end.

    It holds the names with a forecast at the end of validation (a name that lists during the year waits for the next;
    without validation forecasts, the names of the first test decision), fully invested, uncapped. The only other trades
    are endings, whose money stays in cash, and the return to equal weights at the next year's start.
    """
    decisions = _decisions(forecasts, spec).with_columns(size=pl.lit(1.0))
    view, size, first_test = decision_grid(decisions, calendar_panel, spec=spec, previous_book=previous_book)
    known = np.flatnonzero(~np.isnan(size[:first_test]).all(axis=1))
    days = known if known.size else np.array([first_test])
    chosen = carry(size[days], limit=spec.max_wait_sessions)[-1]
    test = tail(view, first_test)
    orders, smoothing = np.full(test.price.shape, np.nan), np.zeros(test.price.shape)
    if known.size or spec.execution == "same_close":
        enter(test, chosen / chosen.sum(), orders, smoothing, limit=spec.max_wait_sessions)
    elif len(orders) > 1:  # decided at the first close: bought at the next open
        orders[1] = chosen / chosen.sum()
    ledger = keep_book(
        test, orders, smoothing=smoothing, cost_bps=spec.cost_bps, previous=book_weights(test, previous_book)
    )
    return account_tables(test, ledger, strategy=EQUAL_WEIGHT, year=year)


def momentum(
    forecasts: pl.DataFrame,
    calendar_panel: pl.DataFrame,
    *,
    year: int,
    spec: BacktestSpec,
    previous_book: Mapping[str, float] | None = None,
) -> Simulation:
    """20-day momentum: names ranked within region and day by their return over 20 own sessions, long the upper half.

    The weight is proportional to the centred rank, scaled to the gross cap; tranches, smoothing, name cap, execution
    and costs are ``spec``'s. A name without 21 quotes in its segment makes no decision.
    """
    decisions = _decisions(forecasts, spec)
    first, last = decisions.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    past = (
        calendar_panel.lazy()
        .filter(~pl.col("is_missing") & pl.col("date").is_between(first - dt.timedelta(days=MEMORY_DAYS), last))
        .select(
            "date",
            "ticker",
            "region",
            score=pl.col("close") / pl.col("close").shift(MOMENTUM_SESSIONS).over("ticker", "segment") - 1.0,
        )
    )
    rank = pl.col("score").rank().over("date", "region")
    ranked = (
        decisions.lazy()
        .join(past, on=["date", "ticker"], how="inner")
        .filter(pl.col("score").is_not_null())
        .with_columns(size=(rank - 0.5) / pl.len().over("date", "region") - 0.5)
        .collect()
    )
    return trade_sizes(ranked, calendar_panel, strategy=MOMENTUM, year=year, spec=spec, previous_book=previous_book)


def _decisions(forecasts: pl.DataFrame, spec: BacktestSpec) -> pl.DataFrame:
    """Who decides when: the rows of the traded horizon, of whichever single model the table holds."""
    return forecasts.filter(pl.col("horizon") == spec.horizon_sessions).select("date", "ticker", "split")
