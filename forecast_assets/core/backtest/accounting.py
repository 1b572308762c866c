"""Accounting: trades, positions, costs and daily returns from orders, and the check that they reconcile."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.backtest.costs import Costs, session_cost
from forecast_assets.core.backtest.market import Market
from forecast_assets.core.scores.trading import Floats

DUST = 1e-6  # a distance to the target below it is traded in full: smoothing alone would never reach the target


@dataclass(frozen=True)
class Accounts:
    """Trades, weights, P&L and costs as fractions of the equity before the session's trades (T sessions, N tickers)."""

    change: Floats  # (T, N) traded
    weight: Floats  # (T, N) held after the trades
    pnl: Floats  # (T, N) earned until the next session
    cost: Floats  # (T, N)
    ending: Floats  # (N,) weights after the last session, as prices have moved them
    waiting: Floats  # (N,) target weights of orders that are not filled yet, NaN where there is none


@dataclass(frozen=True)
class Simulation:
    """Tables of one strategy; weights are fractions of the equity before the day's trades."""

    daily: pl.DataFrame  # date, strategy, year, gross_return, cost, net_return, turnover, gross_exposure, net_exposure
    positions: pl.DataFrame  # date, strategy, ticker, weight (after the trades), pnl (until the next session)
    trades: pl.DataFrame  # date, strategy, ticker, weight_change, price (local currency), cost
    ending: dict[str, float]  # weight of each ticker held after the last session
    waiting: dict[str, float]  # target weight of each order that is not filled yet


def keep_book(
    view: Market,
    orders: Floats,
    *,
    smoothing: Floats,
    costs: Costs,
    previous: Floats | None = None,
    waiting: Floats | None = None,
) -> Accounts:
    """Execute the orders session by session.

    ``orders`` (T, N) are the target weights that the execution of a row is to reach, NaN where there is no new order:
    an unfilled one waits until its ticker is tradable, is replaced by the next, and is cancelled by a quote that came
    too late. ``smoothing`` (T, N) is ``a`` in ``w = a w_held + (1 - a) target``; w_held is the weight as prices have
    moved it. A ticker that has left the universe is sold whole, whatever its order. ``previous`` (N,)
    is held before the first row, ``waiting`` (N,) on order, NaN where nothing is. All of a row's orders are netted before
    ``costs`` are charged on |change|. Raises ValueError if the equity is wiped out.
    """
    sessions, tickers = orders.shape
    change, weight, pnl = (np.zeros((sessions, tickers)) for _ in range(3))
    rates = costs.rates(view.tickers)
    held = np.zeros(tickers) if previous is None else previous.astype(np.float64)
    order = np.full(tickers, np.nan) if waiting is None else waiting
    for t in range(sessions):
        order = np.where(np.isnan(orders[t]), order, orders[t])
        gap = np.where(view.tradable[t], order, np.nan) - held
        step = np.where(np.abs(gap) < DUST, gap, (1.0 - smoothing[t]) * gap)
        trade = np.where(view.ended[t] | (view.left[t] & view.tradable[t]), -held, np.nan_to_num(step, nan=0.0))
        order[view.quoted[t]] = np.nan  # filled or cancelled: only a new decision trades again
        change[t], weight[t] = trade, held + trade
        pnl[t] = weight[t] * (view.growth[t] - 1.0)
        equity = 1.0 + pnl[t].sum() - session_cost(rates, trade)
        if equity <= 0:
            raise ValueError(f"all equity is lost on {view.dates[t]}: check the panel's prices and the caps")
        held = weight[t] * view.growth[t] / equity
    return Accounts(change=change, weight=weight, pnl=pnl, cost=rates * np.abs(change), ending=held, waiting=order)


def account_tables(view: Market, accounts: Accounts, *, strategy: str) -> Simulation:
    """Return the accounts as tables; only tickers that are held or traded get a row. A session belongs to its own year."""
    gross, cost = accounts.pnl.sum(axis=1), accounts.cost.sum(axis=1)
    daily = pl.DataFrame(
        {
            "date": view.dates,
            "strategy": [strategy] * len(view.dates),
            "year": pl.Series(view.dates.astype("datetime64[Y]").astype(np.int64) + 1970, dtype=pl.Int32),
            "gross_return": gross,
            "cost": cost,
            "net_return": gross - cost,
            "turnover": np.abs(accounts.change).sum(axis=1),
            "gross_exposure": np.abs(accounts.weight).sum(axis=1),
            "net_exposure": accounts.weight.sum(axis=1),
        }
    ).with_columns(pl.col("date").cast(pl.Date))
    change, weight = accounts.change, accounts.weight
    positions = _long(view, strategy, weight != 0, weight=weight, pnl=accounts.pnl)
    trades = _long(view, strategy, change != 0, weight_change=change, price=view.price, cost=accounts.cost)
    ending = {view.tickers[i]: float(accounts.ending[i]) for i in np.flatnonzero(accounts.ending)}
    waiting = {view.tickers[i]: float(accounts.waiting[i]) for i in np.flatnonzero(np.isfinite(accounts.waiting))}
    return Simulation(daily=daily, positions=positions, trades=trades, ending=ending, waiting=waiting)


def reconcile(simulation: Simulation) -> float:
    """Return the largest absolute error of the accounting identities, recomputed from the tables alone (NaN: undefined).

    In units of the starting equity: (1) per ticker, what is held today is what was held, plus its P&L, plus what
    was traded; (2) per session, the change of equity is the P&L less the cost; (3) over all sessions, cash spent on trades
    and costs, plus the value of what is held, equals the change of equity; (4) turnover, exposures and costs of the
    daily table are the sums of the rows. The first session's holdings before its trades come from the previous book.
    """
    daily, positions, trades = simulation.daily, simulation.positions, simulation.trades
    tickers = sorted({*positions["ticker"], *trades["ticker"], *simulation.ending})
    if not tickers:
        return float(daily.select(pl.max_horizontal(pl.exclude("date", "strategy", "year").abs().max())).item())
    dates = daily["date"]
    weight, pnl = (_wide(positions, column, dates, tickers) for column in ("weight", "pnl"))
    change, cost = (_wide(trades, column, dates, tickers) for column in ("weight_change", "cost"))
    equity = np.cumprod(np.concatenate([[1.0], 1.0 + daily["net_return"].to_numpy()]))  # (T + 1,)
    before = equity[:-1, None]
    held, earned, traded, paid = weight * before, pnl * before, change * before, cost * before
    opening = held - traded  # (T, N) value before each session's trades
    closing = held + earned
    ending = np.array([simulation.ending.get(ticker, 0.0) for ticker in tickers]) * equity[-1]
    by_ticker = [opening[1:] - closing[:-1], closing[-1] - ending]
    by_day = np.diff(equity) - (earned.sum(axis=1) - paid.sum(axis=1))
    cash = (equity[0] - opening[0].sum()) - traded.sum() - paid.sum()
    overall = (cash + ending.sum()) - equity[-1]
    columns = {
        "turnover": np.abs(change).sum(axis=1),
        "cost": cost.sum(axis=1),
        "gross_return": pnl.sum(axis=1),
        "gross_exposure": np.abs(weight).sum(axis=1),
        "net_exposure": weight.sum(axis=1),
    }
    sums = [daily[name].to_numpy() - total for name, total in columns.items()]
    errors = [*by_ticker, by_day, overall, *sums]
    return float(np.max([np.abs(error).max(initial=0.0) for error in errors]))  # NaN stays NaN, unlike in max()


def _long(view: Market, strategy: str, keep: NDArray[np.bool_], **values: Floats) -> pl.DataFrame:
    """Return the kept cells of (T, N) matrices as rows of date, strategy, ticker and the values."""
    day, column = np.nonzero(keep)
    tickers = pl.Series("ticker", view.tickers, dtype=pl.String)
    kept = {name: matrix[keep] for name, matrix in values.items()}
    table = pl.DataFrame({"date": pl.Series(view.dates[day]).cast(pl.Date), "ticker": tickers.gather(column), **kept})
    return table.select("date", pl.lit(strategy).alias("strategy"), "ticker", *values)


def _wide(table: pl.DataFrame, column: str, dates: pl.Series, tickers: list[str]) -> Floats:
    """Return one column of such rows as a matrix (T, N), 0 where there is no row."""
    matrix = np.zeros((len(dates), len(tickers)))
    day = np.searchsorted(dates.to_numpy(), table["date"].to_numpy())
    place = np.searchsorted(np.array(tickers), table["ticker"].to_numpy().astype(np.str_))
    matrix[day, place] = table[column].to_numpy()
    return matrix
