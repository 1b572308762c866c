"""Robustness of a book: other costs, a larger size, a session's delay, and each half of the universe."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.backtest.costs import charge
from forecast_assets.core.scores.trading import EPS, annual_mean, break_even_cost_bps, sessions_per_year, sharpe

COSTS_BPS = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0)
BOOKS = (1e6, 1e7, 1e8, 1e9)  # sizes of the capacity curve, in the base currency, or in units of each ticker's own
LIQUIDITY_SESSIONS = 20
HALVES = ("A", "B")


def cost_curve(book: pl.DataFrame, *, costs_bps: Sequence[float] = COSTS_BPS) -> list[dict[str, float]]:
    """Return cost_bps, net_annual_mean and sharpe of one strategy's trades at other costs a side.

    ``book``: its daily table (date, gross_return, turnover). The trades stay the same: sized for higher costs, the book
    would have traded less.
    """
    per_year = sessions_per_year(book["date"].to_numpy())
    gross, turnover = book["gross_return"].to_numpy(), book["turnover"].to_numpy()
    return [{"cost_bps": bps, **_scores(gross - charge(turnover, bps), per_year)} for bps in costs_bps]


def delayed(book: pl.DataFrame, late: pl.DataFrame) -> dict[str, float]:
    """Return net Sharpe ratio and annual mean of a strategy and of the same one a session later, on the same sessions."""
    per_year = sessions_per_year(book["date"].to_numpy())
    now, later = (_scores(table["net_return"].to_numpy(), per_year) for table in (book, late))
    return {**now, **{f"{name}_late": value for name, value in later.items()}}


def universe_half(ticker: str) -> str:
    """Return the half of the universe a ticker belongs to, by a hash of its name: it never changes."""
    return HALVES[hashlib.sha256(ticker.encode()).digest()[0] & 1]


def universe_halves(book: pl.DataFrame, positions: pl.DataFrame, trades: pl.DataFrame) -> list[dict[str, Any]]:
    """Return half, tickers, net_annual_mean, sharpe, break_even_cost_bps: what each half of the tickers contributes.

    ``book``, ``positions``, ``trades``: the strategy's tables; the two halves' returns sum to the book's.
    """
    held = positions.select("date", "ticker", value="pnl")
    paid = trades.select("date", "ticker", "cost", turnover=pl.col("weight_change").abs())
    rows = pl.concat([held, paid], how="diagonal").fill_null(0.0)
    tickers = rows["ticker"].unique()
    # A book that never traded has no tickers, and no type to infer from them.
    half_of = pl.Series("half", [universe_half(ticker) for ticker in tickers], dtype=pl.String)
    side = pl.DataFrame([tickers, half_of])
    sums = pl.col("value", "turnover", "cost").sum()
    daily = rows.join(side, on="ticker").group_by("half", "date", maintain_order=True).agg(sums).sort("half", "date")
    per_year = sessions_per_year(book["date"].to_numpy())
    halves = []
    for half in HALVES:
        part = book.select("date").join(daily.filter(pl.col("half") == half), on="date", how="left").fill_null(0.0)
        gross, turnover, cost = (part[name].to_numpy() for name in ("value", "turnover", "cost"))
        halves.append(
            {
                "half": half,
                "tickers": int((side["half"] == half).sum()),
                **_scores(gross - cost, per_year),
                "break_even_cost_bps": break_even_cost_bps(gross, turnover),
            }
        )
    return halves


def liquidity(calendar_panel: pl.LazyFrame) -> pl.LazyFrame:
    """Return date, ticker, traded_value, volatility: over the 20 quoted sessions before each, without the day itself.

    ``traded_value``: close x volume in what the ticker is quoted in, pence for instance; ``volatility``: of the daily log
    return.
    """
    change = pl.col("close").log().diff().over("ticker", order_by="date")
    traded_value = pl.col("value").rolling_mean(LIQUIDITY_SESSIONS).over("ticker", order_by="date")
    volatility = pl.col("change").rolling_std(LIQUIDITY_SESSIONS).over("ticker", order_by="date")
    return (
        calendar_panel.filter(~pl.col("is_missing"))
        .sort("ticker", "date")
        .select("date", "ticker", value=pl.col("close") * pl.col("volume"), change=change)
        .with_columns(pl.col("value", "change").shift(1).over("ticker", order_by="date"))
        .select("date", "ticker", traded_value=traded_value, volatility=volatility)
    )


def capacity(
    book: pl.DataFrame, trades: pl.DataFrame, liquid: pl.DataFrame, *, books: Sequence[float] = BOOKS
) -> dict[str, Any]:
    """Return how large the book can get before its market impact exceeds what it earns net of costs.

    The square-root rule (Torre 1997; Almgren, Thum, Hauptmann and Li 2005) with coefficient 1: a trade worth ``v``
    moves its price by ``volatility x sqrt(v / traded_value)``. ``book``: the strategy's daily table; ``trades``: its
    trades; ``liquid``: as from ``liquidity``, its amounts as from ``currency.in_base_money``. Without exchange rates book
    sizes count one unit of every currency alike. All of equity counts at the size it began with. Returns curve (book,
    net_annual_mean), break_even_book (None where the book loses anyway) and unpriced_share: the share of the turnover
    without a traded value or volatility, counted as free.
    """
    priced = (
        trades.select("date", "ticker", size=pl.col("weight_change").abs())
        .join(liquid, on=["date", "ticker"], how="left")
        .with_columns(has_price=(pl.col("traded_value") > 0) & pl.col("volatility").is_finite())
    )
    per_year = sessions_per_year(book["date"].to_numpy())
    impact = (pl.col("volatility") * pl.col("size") ** 1.5 / pl.col("traded_value").sqrt()).sum()
    # A year's market impact for a book of 1; it grows with the square root of the size.
    drag = float(priced.filter("has_price").select(impact).item() or 0.0) / len(book) * per_year
    net = annual_mean(book["net_return"].to_numpy(), sessions_per_year=per_year)
    total = float(priced["size"].sum())
    priced_size = float(priced.filter("has_price")["size"].sum())
    return {
        "curve": [{"book": size, "net_annual_mean": net - drag * size**0.5} for size in books],
        "break_even_book": (net / drag) ** 2 if net > 0 and drag > EPS else None,
        "unpriced_share": 1.0 - priced_size / total if total > EPS else 0.0,
    }


def _scores(net: np.ndarray, per_year: float) -> dict[str, float]:
    return {
        "net_annual_mean": annual_mean(net, sessions_per_year=per_year),
        "sharpe": sharpe(net, sessions_per_year=per_year),
    }
