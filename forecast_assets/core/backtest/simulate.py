"""The trading simulation of one strategy and one year: decided at the close, executed at each ticker's next open.

A row of the daily table is a session of the union grid: the trades made on it (at each ticker's open, or at its close
when ``execution`` is ``same_close``) and what the book then earns until the next session's. Returns are in local
currency; cash and borrowing cost nothing.
"""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation, account_tables, keep_book
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.market import Market, market
from forecast_assets.core.backtest.sizing import capped_book, carry, kelly_sizes, tranches
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec


def simulate(
    forecasts: pl.DataFrame,
    calendar_panel: pl.DataFrame,
    *,
    year: int,
    spec: BacktestSpec,
    unconditional_mean: float,
    previous_book: Mapping[str, float] | None = None,
    delay_sessions: int = 0,
    through: dt.date | None = None,
) -> Simulation:
    """Trade one model's forecasts for one year.

    ``forecasts``: forecast table of one model, splits validation and test; the rows of ``spec.horizon_sessions`` are
    traded. ``unconditional_mean``: expected simple return over that horizon in the fold's training labels.
    ``previous_book``: weights held when the year begins (``Simulation.ending`` of the year before), else cash. The book
    that the validation forecasts imply is entered, and paid for, on the first session. ``delay_sessions``: union
    sessions by which every order is late. ``through``: last session that is traded, that of the last test decision
    unless given. Raises ValueError where the table holds several models, and as ``decision_grid``.
    """
    if (models := forecasts["model"].unique().to_list()) and len(models) > 1:
        raise ValueError(f"simulate: one model at a time, the table holds {sorted(models)}")
    rows = forecasts.filter(pl.col("horizon") == spec.horizon_sessions)
    sizes = kelly_sizes(
        rows["mean"].to_numpy(),
        rows["sigma"].to_numpy(),
        spec=spec,
        unconditional_mean=unconditional_mean,
        round_trip=2.0 * Costs.of(spec.cost_bps, calendar_panel).rates(rows["ticker"]),
    )
    decisions = rows.select("date", "ticker", "split", size=pl.Series(sizes, dtype=pl.Float64))
    return trade_sizes(
        decisions,
        calendar_panel,
        strategy=models[0] if models else "none",
        year=year,
        spec=spec,
        previous_book=previous_book,
        delay_sessions=delay_sessions,
        through=through,
    )


def trade_sizes(
    decisions: pl.DataFrame,
    calendar_panel: pl.DataFrame,
    *,
    strategy: str,
    year: int,
    spec: BacktestSpec,
    previous_book: Mapping[str, float] | None = None,
    delay_sessions: int = 0,
    through: dt.date | None = None,
) -> Simulation:
    """Trade sizes (date, ticker, split, size: a weight before neutrality, gross cap and tranches) as `simulate` does."""
    view, size, first_test = decision_grid(
        decisions, calendar_panel, spec=spec, previous_book=previous_book, through=through
    )
    decided = ~np.isnan(size).all(axis=1)  # (T,): decision days; the gap before the test year has none
    target = np.full_like(size, np.nan)
    carried = carry(size[decided], limit=spec.max_wait_sessions)
    capped = capped_book(carried, view.region, spec=spec)
    target[decided] = tranches(capped, horizon_sessions=spec.horizon_sessions)
    later = min(delay_sessions + (spec.execution == "next_open"), len(target))
    orders = np.concatenate([np.full((later, size.shape[1]), np.nan), target[: len(target) - later]])
    smoothing = np.full(size.shape, spec.smoothing)
    paper = keep_book(view.rows(None, first_test + 1), orders[: first_test + 1], smoothing=smoothing, costs=Costs(0.0))
    test, orders, smoothing = view.rows(first_test, None), orders[first_test:], smoothing[first_test:]
    enter(test, paper.weight[-1], orders, smoothing, limit=spec.max_wait_sessions)
    previous = np.zeros(len(test.tickers))
    if previous_book:
        previous[test.columns_of(list(previous_book))] = list(previous_book.values())
    costs = Costs.of(spec.cost_bps, calendar_panel)
    accounts = keep_book(test, orders, smoothing=smoothing, costs=costs, previous=previous)
    return account_tables(test, accounts, strategy=strategy, year=year)


def decision_grid(
    decisions: pl.DataFrame,
    calendar_panel: pl.DataFrame,
    *,
    spec: BacktestSpec,
    previous_book: Mapping[str, float] | None,
    through: dt.date | None = None,
) -> tuple[Market, Floats, int]:
    """Return the market from the first decision to the last, the sizes (T, N) on it, and the first test row.

    Size 0: a ticker is quoted on a decision day without a decision. NaN: its exchange is shut, or no ticker has one.
    Raises ValueError without a test decision, for one given twice, or on a session without a quote of its ticker.
    """
    test = decisions.filter(pl.col("split") == "test")
    if test.is_empty():
        raise ValueError("the forecasts hold no test decision for the horizon that is traded")
    if decisions.select("date", "ticker").is_duplicated().any():
        raise ValueError("the forecasts hold a decision twice: date, ticker and horizon must be unique")
    view = market(
        calendar_panel,
        tickers=[*decisions["ticker"].unique(), *(previous_book or {})],
        first=decisions.select(pl.col("date").min()).item(),
        last=through or test.select(pl.col("date").max()).item(),
        execution=spec.execution,
        max_wait_sessions=spec.max_wait_sessions,
    )
    dates = decisions["date"].to_numpy().astype("datetime64[D]")
    on_grid = np.isin(dates, view.dates)
    cell = (np.searchsorted(view.dates, dates[on_grid]), view.columns_of(decisions["ticker"].to_list())[on_grid])
    if (bad := len(decisions) - int(view.quoted[cell].sum())) > 0:
        raise ValueError(f"{bad} of {len(decisions)} decisions fall on a session without a quote of their ticker")
    size = np.full(view.price.shape, np.nan)
    size[cell] = decisions["size"].to_numpy()
    decided = ~np.isnan(size).all(axis=1, keepdims=True)
    size[decided & view.quoted & np.isnan(size)] = 0.0
    first_test = int(np.searchsorted(view.dates, test.select(pl.col("date").min()).to_series().to_numpy()[0]))
    return view, size, first_test


def enter(view: Market, book: Floats, orders: Floats, smoothing: Floats, *, limit: int) -> None:
    """Write into ``orders`` and ``smoothing`` that each ticker enters ``book`` (N,) at once, on its first session.

    The year's first union session is a holiday on some exchanges: their tickers enter when they open.
    """
    orders[0] = book
    opens = np.where(view.tradable.any(axis=0), view.tradable.argmax(axis=0), limit + 1)
    column = np.flatnonzero(opens <= limit)
    orders[opens[column], column] = book[column]
    smoothing[opens[column], column] = 0.0
