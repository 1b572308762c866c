"""Joining the years: one daily series per strategy from simulations of single years, each change of book charged."""

import polars as pl

from forecast_assets.core.backtest.costs import Costs, charge


def join_years(
    daily: pl.DataFrame, positions: pl.DataFrame, trades: pl.DataFrame, *, costs: Costs, max_wait_sessions: int
) -> pl.DataFrame:
    """Join the daily tables of years that were simulated apart into one series per strategy, sorted by date.

    A year simulated from cash has paid for entering its whole book. Where the year before is at hand, each ticker's first
    trade (within ``max_wait_sessions`` of the year's start) is charged on its distance from what the old book held
    instead, and what the new book does not take over is sold on the first session. A year that follows a missing one,
    or that was given its previous book, stays as it is.
    """
    parts = []
    for (strategy,), rows in daily.sort("strategy", "date").group_by("strategy", maintain_order=True):
        own_positions, own_trades = (table.filter(pl.col("strategy") == strategy) for table in (positions, trades))
        years = {int(key[0]): part for key, part in rows.group_by("year", maintain_order=True)}
        for year, part in years.items():
            old = years.get(year - 1)
            if old is None or _opening_book(part, own_positions, own_trades):
                parts.append(part)
                continue
            ending = _ending_book(old, own_positions, costs=costs)
            parts.append(_charge_switch(part, own_trades, ending, wait=max_wait_sessions))
    return pl.concat(parts) if parts else daily


def _opening_book(part: pl.DataFrame, positions: pl.DataFrame, trades: pl.DataFrame) -> bool:
    """Return whether the year's first session began with positions (held after its trades, less what was traded)."""
    first = part["date"][0]
    held = positions.filter(pl.col("date") == first).select("ticker", amount="weight")
    traded = trades.filter(pl.col("date") == first).select("ticker", amount=-pl.col("weight_change"))
    before = pl.concat([held, traded]).group_by("ticker", maintain_order=True).agg(pl.col("amount").sum())
    return bool((before["amount"].abs() > 1e-12).any())


def _ending_book(part: pl.DataFrame, positions: pl.DataFrame, *, costs: Costs) -> pl.DataFrame:
    """Return ticker, bps (its cost) and old: the weight after the year's last session, as its prices have moved it."""
    last = part.row(-1, named=True)
    held = positions.filter(pl.col("date") == last["date"])
    return held.select(
        "ticker",
        old=(pl.col("weight") + pl.col("pnl")) / (1.0 + last["net_return"]),
        bps=pl.Series(costs.bps(held["ticker"])),
    )


def _charge_switch(part: pl.DataFrame, trades: pl.DataFrame, ending: pl.DataFrame, *, wait: int) -> pl.DataFrame:
    """Return the year's daily rows with the trades of its entry measured from the old book instead of from cash."""
    opening_dates = part["date"].head(wait + 1)
    entries = (
        trades.filter(pl.col("date").is_in(opening_dates.implode()))
        .sort("date")
        .unique("ticker", keep="first", maintain_order=True)
        .select("date", "ticker", entry="weight_change")
    )
    switch = (
        ending.join(entries, on="ticker", how="left")
        .with_columns(pl.col("date").fill_null(part["date"][0]), pl.col("entry").fill_null(0.0))
        .with_columns(extra=(pl.col("entry") - pl.col("old")).abs() - pl.col("entry").abs())
        .group_by("date", "bps", maintain_order=True)
        .agg(pl.col("extra").sum())
        .with_columns(paid=charge(pl.col("extra"), pl.col("bps")))
        .group_by("date", maintain_order=True)
        .agg(pl.col("extra", "paid").sum())
    )
    extra, paid = (pl.col(name).fill_null(0.0) for name in ("extra", "paid"))
    return (
        part.join(switch, on="date", how="left", maintain_order="left")
        .with_columns(turnover=pl.col("turnover") + extra, cost=pl.col("cost") + paid)
        .with_columns(net_return=pl.col("gross_return") - pl.col("cost"))
        .select(part.columns)
    )
