"""The trading simulation of one strategy: decided at the close, executed at each ticker's next open.

A row of the daily table is a session of the union grid: the trades made on it (at each ticker's open, or at its close
when ``execution`` is ``same_close``) and what the book then earns until the next session's. Returns are in each ticker's
own currency, or in one base currency where the market has exchange rates; cash and borrowing cost nothing.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.backtest.accounting import Simulation, account_tables, keep_book
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.currency import Conversion
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


def market_of(
    decisions: pl.DataFrame, calendar_panel: pl.DataFrame, *, spec: BacktestSpec, conversion: Conversion | None = None
) -> Market:
    """Return the market from the first of ``decisions`` (date, ticker, split) to the last test decision.

    Raises ValueError without a test decision, BadInput where a rate of ``conversion`` is missing.
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
        conversion=conversion,
    )


@dataclass(frozen=True)
class Terms:
    """Where, by which rules and from which book a strategy is traded."""

    strategy: str
    view: Market  # from ``market_of`` the decisions, or of more
    spec: BacktestSpec
    costs: Costs
    continues: Simulation | None = None  # the book to carry on: what it held and had on order
    through: dt.date | None = None  # last session that is traded, the view's last unless given
    delay_sessions: int = 0  # union sessions by which every order is late


Trade = Callable[[pl.DataFrame, Terms], Simulation]


def trade_forecasts(decisions: pl.DataFrame, terms: Terms) -> Simulation:
    """Trade one model's forecasts from the first test decision on, or from where the book to carry on ended.

    ``decisions``: as from ``forecast_decisions``, of one year or of several joined by ``join_decisions``. A book that
    carries none on enters the one that the validation forecasts imply, and pays for it, on the first session. Raises
    ValueError as ``standing_decisions``.
    """
    view, spec = terms.view, terms.spec
    decided, grids = standing_decisions(decisions, terms, columns=VIEW)
    views = Views(*grids)
    round_trip = 2.0 * terms.costs.rates(view.tickers)
    if spec.book == "neutral":
        beta = view.beta[decided]
        sizes = neutral_sizes(views, beta=beta, region=view.region, round_trip=round_trip, spec=spec)
        book = capped_book(sizes, view.region, exposures=[views.scale, beta], spec=spec)
    else:
        sizes = directional_sizes(views, round_trip=round_trip, spec=spec)
        book = capped_book(sizes, view.region, exposures=None, spec=spec)
    return _execute_tranches(decisions, decided, book, terms)


def trade_sizes(decisions: pl.DataFrame, terms: Terms) -> Simulation:
    """Trade sizes (date, ticker, split, size: a weight before dollar neutrality, caps and tranches) in the same way."""
    decided, (size,) = standing_decisions(decisions, terms, columns=("size",))
    exposures: list[Floats] | None = [] if terms.spec.book == "neutral" else None
    book = capped_book(np.nan_to_num(size, nan=0.0), terms.view.region, exposures=exposures, spec=terms.spec)
    return _execute_tranches(decisions, decided, book, terms)


def _execute_tranches(decisions: pl.DataFrame, decided: NDArray[np.intp], book: Floats, terms: Terms) -> Simulation:
    target = tranches(book, session=decided, horizon_sessions=terms.spec.horizon_sessions)
    return execute(orders_of(target, decided, terms), terms, first_test=first_test_row(decisions, terms.view))


def standing_decisions(
    decisions: pl.DataFrame, terms: Terms, *, columns: tuple[str, ...]
) -> tuple[NDArray[np.intp], list[Floats]]:
    """Return the rows of the view on which anything is decided, (D,), and a matrix (D, N) per column.

    A ticker whose exchange is shut keeps its last decision for ``spec.max_wait_sessions`` of these rows. NaN: it has none,
    which is also said by a quote on a decision day without a decision. Raises ValueError for a decision given twice, or
    on a session without a quote of its ticker.
    """
    view, limit = terms.view, terms.spec.max_wait_sessions
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


def orders_of(target: Floats, decided: NDArray[np.intp], terms: Terms) -> Floats:
    """Return the orders (T, N) of a target (D, N) decided on rows ``decided``: each on the session that executes it."""
    orders = np.full(terms.view.price.shape, np.nan)
    executed = decided + terms.delay_sessions + (terms.spec.execution == "next_open")
    inside = executed < len(orders)
    orders[executed[inside]] = target[inside]
    return orders


def execute(orders: Floats, terms: Terms, *, first_test: int, opens_with_paper_book: bool = True) -> Simulation:
    """Keep the book of the orders (T, N) of the whole view; see ``trade_forecasts``.

    ``opens_with_paper_book``: the book that the orders before ``first_test`` would hold is entered on the first session.
    """
    view, costs = terms.view, terms.costs
    smoothing = np.full(orders.shape, terms.spec.smoothing)
    through = terms.through
    end = None if through is None else int(np.searchsorted(view.dates, np.datetime64(through, "D"), side="right"))
    if terms.continues is None:
        traded, own = view.rows(first_test, end), orders[first_test:end].copy()
        own_smoothing = smoothing[first_test:end]
        if opens_with_paper_book:
            until = first_test + 1
            paper = keep_book(view.rows(None, until), orders[:until], smoothing=smoothing[:until], costs=Costs(0.0))
            enter(traded, paper.weight[-1], own, own_smoothing, limit=terms.spec.max_wait_sessions)
        accounts = keep_book(traded, own, smoothing=own_smoothing, costs=costs)
    else:
        last = terms.continues.daily["date"].to_numpy()[-1]
        start = int(np.searchsorted(view.dates, last, side="right"))
        traded = view.rows(start, end)
        accounts = keep_book(
            traded,
            orders[start:end],
            smoothing=smoothing[start:end],
            costs=costs,
            previous=_on_columns(terms.continues.ending, view, missing=0.0),
            waiting=_on_columns(terms.continues.waiting, view, missing=np.nan),
        )
    return account_tables(traded, accounts, strategy=terms.strategy)


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
