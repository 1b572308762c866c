"""Target positions: the book to hold after the next open by the simulation's rules, computed the night before."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.market import market
from forecast_assets.core.backtest.simulate import Terms, Trade, trade_forecasts
from forecast_assets.core.specs import BacktestSpec

POSITIONS_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("ticker", "region"), pl.String()),
    **dict.fromkeys(("weight_now", "weight_target", "trade", "price", "expected_cost"), pl.Float64()),
    "note": pl.String(),
}
"""Columns of the target positions: weights, trade and cost as fractions of equity, price in local currency; ``note`` says
why a ticker is closed that has left the panel."""

LONGEST_CLOSURE_SESSIONS = 10  # an exchange shut for more union sessions (Tokyo in 2019: 6) means a broken feed


def target_positions(
    decisions: pl.DataFrame,
    calendar_panel: pl.DataFrame,
    *,
    until: dt.date,
    spec: BacktestSpec,
    gone: Mapping[str, dt.date] | None = None,
    trade: Trade = trade_forecasts,
) -> pl.DataFrame:
    """Return the book to hold after the open that follows ``until``, from data up to the close of that day.

    ``decisions``: as ``trade_forecasts`` takes them, of the years up to the night, those of the nights among them;
    decisions and rows after ``until`` are not read. One row per ticker that is held or traded, sorted: ``weight_now`` as
    prices have moved it up to the last close, ``weight_target`` after the trade.
    It is the simulation itself, run one session beyond the panel, on which every listed ticker opens at its last close. A
    ticker whose exchange turns out to be shut keeps its ``weight_now`` and the order waits; where the open differs from
    the last close, smoothing (a ``w_held``) shifts a weight by ``a`` times what the price moved it. A ticker that
    ``next_open`` leaves out is sold at its last price, as in the simulation. With ``execution`` same_close the trades are
    those of the last close itself.

    ``gone``: tickers that have left the panel's files, whose last rows the calendar panel still holds, each with the last
    day that its book stood as usual; on the next session it is closed at its last price. ``trade``: by whose rules.
    """
    gone = gone or {}
    past = calendar_panel.filter(pl.col("date") <= until)
    opens = spec.execution == "next_open"
    following = until + dt.timedelta(days=1)
    if opens:
        listed = past.filter(~pl.col("ticker").is_in(list(gone)))
        past = pl.concat([past, next_open(listed, date=following, max_wait_sessions=spec.max_wait_sessions)])
    known = decisions.filter(pl.col("date") <= until)
    view = market(
        past,
        tickers=known["ticker"].unique().to_list(),
        first=known.select(pl.col("date").min()).item(),
        last=following if opens else until,
        execution=spec.execution,
        max_wait_sessions=spec.max_wait_sessions,
        gone=gone,
    )
    simulation = trade(known, Terms("next", view, spec, Costs.of(spec.cost_bps, calendar_panel)))
    last = simulation.daily["date"][-1]
    held, traded = (table.filter(pl.col("date") == last) for table in (simulation.positions, simulation.trades))
    quotes = past.filter(~pl.col("is_missing")).sort("date").group_by("ticker")
    return (
        held.select("ticker", weight_target="weight")
        .join(traded.select("ticker", trade="weight_change", expected_cost="cost"), "ticker", "full", coalesce=True)
        .with_columns(pl.col("weight_target", "trade", "expected_cost").fill_null(0.0))
        .with_columns(weight_now=pl.col("weight_target") - pl.col("trade"))
        .join(quotes.agg(pl.col("region", "date").last(), price=pl.col("close").last()), on="ticker", how="left")
        .with_columns(
            note=pl.when(pl.col("ticker").is_in(list(gone))).then(
                pl.format("gone from the panel: closed at its last price, of {}", "date")
            )
        )
        .select(pl.col(name).cast(dtype) for name, dtype in POSITIONS_SCHEMA.items())
        .sort("ticker")
    )


def next_open(calendar_panel: pl.DataFrame, *, date: dt.date, max_wait_sessions: int) -> pl.DataFrame:
    """Return the rows of a supposed session on ``date``, on which every ticker opens and closes at its last close.

    Left out is a ticker that has missed more than ``max_wait_sessions`` sessions of its own exchange since its last quote
    (an order for it would have been cancelled, or it is delisted), or whose exchange has had no quote for more than
    ``LONGEST_CLOSURE_SESSIONS``.
    """
    quotes = calendar_panel.filter(~pl.col("is_missing")).sort("ticker", "date")
    last = quotes.group_by("ticker", maintain_order=True).last()
    sessions = quotes.select("exchange", "date").unique()
    silent = last.select("ticker", "exchange", since="date").join(quotes.select("date").unique(), how="cross")
    later = silent.filter(pl.col("date") > pl.col("since"))
    missed = later.join(sessions, on=["exchange", "date"], how="semi").group_by("ticker").len()
    too_long = (missed, max_wait_sessions), (later.group_by("ticker").len(), LONGEST_CLOSURE_SESSIONS)
    gone = pl.concat([count.filter(pl.col("len") > limit) for count, limit in too_long])
    alive = last.join(gone, on="ticker", how="anti")
    return alive.with_columns(date=pl.lit(date), open=pl.col("close")).select(calendar_panel.columns)
