"""The trading simulation of one strategy: decided at the close, executed at each ticker's next open.

A row of the daily table is a session of the union grid: the trades made on it (at each ticker's open, or at its close
when ``execution`` is ``same_close``) and what the book then earns until the next session's. Returns are in local
currency; cash and borrowing cost nothing.
"""

import datetime as dt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.backtest.accounting import Simulation, account_tables, keep_book
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.market import Market, market
from forecast_assets.core.backtest.sizing import (
    Views,
    capped_book,
    carry,
    directional_sizes,
    neutral_sizes,
    tranches,
)
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec

VIEW = ("location", "scale", "sigma")


def market_of(decisions: pl.DataFrame, calendar_panel: pl.DataFrame, *, spec: BacktestSpec) -> Market:
    """Return the market from the first of ``decisions`` (date, ticker, split) to the last test decision.

    Raises ValueError without a test decision.
    """
    test = decisions.filter(pl.col("split") == "test")
    if test.is_empty():
        raise ValueError("the forecasts hold no test decision for the horizon that is traded")
    return market(
        calendar_panel,
        tickers=decisions["ticker"].unique().to_list(),
        first=decisions.select(pl.col("date").min()).item(),
        last=test.select(pl.col("date").max()).item(),
        execution=spec.execution,
        max_wait_sessions=spec.max_wait_sessions,
    )


def trade_forecasts(
    decisions: pl.DataFrame,
    view: Market,
    *,
    strategy: str,
    spec: BacktestSpec,
    costs: Costs,
    continues: Simulation | None = None,
    delay_sessions: int = 0,
    through: dt.date | None = None,
) -> Simulation:
    """Trade one model's forecasts from the first test decision on, or from where ``continues`` ended.

    ``decisions``: as from ``forecast_decisions``, of one year or of several joined by ``join_decisions``; ``view``: from
    ``market_of`` the same decisions or of more. Without ``continues`` the book that the validation forecasts imply is
    entered, and paid for, on the first session; with it the book opens with what that simulation held and had on order.
    ``delay_sessions``: union sessions by which every order is late. ``through``: last session that is traded, the
    view's last unless given. Raises ValueError as ``standing_decisions``.
    """
    decided, grids = standing_decisions(decisions, view, columns=VIEW, limit=spec.max_wait_sessions)
    views = Views(*grids)
    round_trip = 2.0 * costs.rates(view.tickers)
    if spec.book == "neutral":
        beta = view.beta[decided]
        sizes = neutral_sizes(views, beta=beta, region=view.region, round_trip=round_trip, spec=spec)
        book = capped_book(sizes, view.region, exposures=[views.scale, beta], spec=spec)
    else:
        sizes = directional_sizes(views, round_trip=round_trip, spec=spec)
        book = capped_book(sizes, view.region, exposures=None, spec=spec)
    target = tranches(book, session=decided, horizon_sessions=spec.horizon_sessions)
    return execute(
        orders_of(target, decided, view, spec=spec, delay_sessions=delay_sessions),
        view,
        first_test=first_test_row(decisions, view),
        strategy=strategy,
        spec=spec,
        costs=costs,
        continues=continues,
        through=through,
    )


def trade_sizes(
    decisions: pl.DataFrame,
    view: Market,
    *,
    strategy: str,
    spec: BacktestSpec,
    costs: Costs,
    continues: Simulation | None = None,
    through: dt.date | None = None,
) -> Simulation:
    """Trade sizes (date, ticker, split, size: a weight before dollar neutrality, caps and tranches) in the same way."""
    decided, (size,) = standing_decisions(decisions, view, columns=("size",), limit=spec.max_wait_sessions)
    sizes = np.nan_to_num(size, nan=0.0)
    book = capped_book(sizes, view.region, exposures=[] if spec.book == "neutral" else None, spec=spec)
    target = tranches(book, session=decided, horizon_sessions=spec.horizon_sessions)
    return execute(
        orders_of(target, decided, view, spec=spec),
        view,
        first_test=first_test_row(decisions, view),
        strategy=strategy,
        spec=spec,
        costs=costs,
        continues=continues,
        through=through,
    )


def standing_decisions(
    decisions: pl.DataFrame, view: Market, *, columns: tuple[str, ...], limit: int
) -> tuple[NDArray[np.intp], list[Floats]]:
    """Return the rows of the view on which anything is decided, (D,), and a matrix (D, N) per column.

    A ticker whose exchange is shut keeps its last decision for ``limit`` of these rows. NaN: it has none, which is also
    said by a quote on a decision day without a decision. Raises ValueError for a decision given twice, or on a session
    without a quote of its ticker.
    """
    if decisions.select("date", "ticker").is_duplicated().any():
        raise ValueError("the forecasts hold a decision twice: date, ticker and horizon must be unique")
    dates = decisions["date"].to_numpy().astype("datetime64[D]")
    on_grid = np.isin(dates, view.dates)
    cell = (np.searchsorted(view.dates, dates[on_grid]), view.columns_of(decisions["ticker"].to_list())[on_grid])
    if (bad := len(decisions) - int(view.quoted[cell].sum())) > 0:
        raise ValueError(f"{bad} of {len(decisions)} decisions fall on a session without a quote of their ticker")
    given = np.zeros(view.price.shape, dtype=bool)
    given[cell] = True
    decided = np.flatnonzero(given.any(axis=1))
    withdrawn = view.quoted[decided] & ~given[decided]
    grids = []
    for column in columns:
        grid = np.full(view.price.shape, np.nan)
        grid[cell] = decisions[column].to_numpy()[on_grid]
        standing = carry(np.where(withdrawn, np.inf, grid[decided]), limit=limit)
        grids.append(np.where(np.isinf(standing), np.nan, standing))
    return decided, grids


def first_test_row(decisions: pl.DataFrame, view: Market) -> int:
    """Return the row of the view on which the first test decision is made."""
    first = decisions.filter(pl.col("split") == "test").select(pl.col("date").min()).to_series().to_numpy()[0]
    return int(np.searchsorted(view.dates, first))


def orders_of(
    target: Floats, decided: NDArray[np.intp], view: Market, *, spec: BacktestSpec, delay_sessions: int = 0
) -> Floats:
    """Return the orders (T, N) of a target (D, N) decided on rows ``decided``: each on the session that executes it."""
    orders = np.full(view.price.shape, np.nan)
    executed = decided + delay_sessions + (spec.execution == "next_open")
    inside = executed < len(orders)
    orders[executed[inside]] = target[inside]
    return orders


def execute(
    orders: Floats,
    view: Market,
    *,
    first_test: int,
    strategy: str,
    spec: BacktestSpec,
    costs: Costs,
    continues: Simulation | None = None,
    through: dt.date | None = None,
    opens_with_paper_book: bool = True,
) -> Simulation:
    """Keep the book of the orders (T, N) of the whole view; see ``trade_forecasts``.

    ``opens_with_paper_book``: the book that the orders before ``first_test`` would hold is entered on the first session.
    """
    smoothing = np.full(orders.shape, spec.smoothing)
    end = None if through is None else int(np.searchsorted(view.dates, np.datetime64(through, "D"), side="right"))
    if continues is None:
        traded, own = view.rows(first_test, end), orders[first_test:end].copy()
        own_smoothing = smoothing[first_test:end]
        if opens_with_paper_book:
            until = first_test + 1
            paper = keep_book(view.rows(None, until), orders[:until], smoothing=smoothing[:until], costs=Costs(0.0))
            enter(traded, paper.weight[-1], own, own_smoothing, limit=spec.max_wait_sessions)
        accounts = keep_book(traded, own, smoothing=own_smoothing, costs=costs)
    else:
        last = continues.daily["date"].to_numpy()[-1]
        start = int(np.searchsorted(view.dates, last, side="right"))
        traded = view.rows(start, end)
        accounts = keep_book(
            traded,
            orders[start:end],
            smoothing=smoothing[start:end],
            costs=costs,
            previous=_on_columns(continues.ending, view, missing=0.0),
            waiting=_on_columns(continues.waiting, view, missing=np.nan),
        )
    return account_tables(traded, accounts, strategy=strategy)


def _on_columns(values: dict[str, float], view: Market, *, missing: float) -> Floats:
    row = np.full(len(view.tickers), missing)
    if values:
        row[view.columns_of(list(values))] = list(values.values())
    return row


def enter(view: Market, book: Floats, orders: Floats, smoothing: Floats, *, limit: int) -> None:
    """Write into ``orders`` and ``smoothing`` that each ticker enters ``book`` (N,) at once, on its first session.

    The year's first union session is a holiday on some exchanges: their tickers enter when they open.
    """
    orders[0] = book
    opens = np.where(view.tradable.any(axis=0), view.tradable.argmax(axis=0), limit + 1)
    column = np.flatnonzero(opens <= limit)
    orders[opens[column], column] = book[column]
    smoothing[opens[column], column] = 0.0
