"""The strategies of the report: books of forecasts, and benchmarks that need no view, all by the same rules and costs.

The random walk needs no code: its forecast has no view, so its book is empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.market import Market
from forecast_assets.core.backtest.simulate import (
    Terms,
    Trade,
    enter,
    execute,
    first_test_row,
    orders_of,
    standing_decisions,
    trade_forecasts,
    trade_sizes,
)
from forecast_assets.core.models.catalogue import MLP_BASELINE
from forecast_assets.core.scores.trading import EPS, TARGET_VOLATILITY, Floats, sessions_per_year
from forecast_assets.core.specs import BacktestSpec

MODEL = "ensemble"
EQUAL_WEIGHT = "equal_weight"
MOMENTUM = "momentum"
VOLATILITY_SORT = "volatility_sort"
EQUAL_RISK = "equal_risk"
LATE = "/late"  # suffix of the variant that trades one session later than the rules say
NO_NETWORK = "harx"  # whose volatility the volatility sort is made of: no network has a part in it

MOMENTUM_SESSIONS = 20
RISK_MODELS = (MODEL, NO_NETWORK, "ewma", MLP_BASELINE)
RISK_DECAY = 0.94  # of the mean square return of the equal-risk book that has not been scaled yet; see benchmarks.books
RISK_START_SESSIONS = 63  # before there is a mean over as many, nothing is held
SESSIONS_PER_YEAR = 252.0  # where there is no session before the first decision to count them by


@dataclass(frozen=True)
class Strategy:
    """A strategy: whose forecasts are traded, how, and by which rules."""

    name: str
    model: str
    spec: BacktestSpec
    trade: Trade = trade_forecasts
    delay_sessions: int = 0

    def book(self, decisions: pl.DataFrame, view: Market, costs: Costs) -> Simulation:
        """Return its book over ``view``, from the decisions of its model's forecasts over its horizon."""
        return self.trade(decisions, Terms(self.name, view, self.spec, costs, delay_sessions=self.delay_sessions))


def strategies(networks: Sequence[str], spec: BacktestSpec) -> list[Strategy]:
    """Return all strategies of the report, given the names of the trained ``networks``."""
    directional = spec.model_copy(update={"book": "directional"})
    # The MLP baseline traded daily: its own one-session forecast, without smoothing.
    naive = spec.model_copy(update={"horizon_sessions": 1, "smoothing": 0.0})
    return [
        Strategy(MODEL, MODEL, spec),
        *(Strategy(name, name, spec) for name in networks),
        Strategy(f"{MLP_BASELINE}_naive", MLP_BASELINE, naive),
        Strategy(f"{MODEL}_directional", MODEL, directional),
        Strategy(f"{MLP_BASELINE}_directional", MLP_BASELINE, directional),
        Strategy("random_walk", "random_walk", spec),
        *(Strategy(name, of, spec, equal_risk) for name, of in zip(risk_strategies(), RISK_MODELS, strict=True)),
        Strategy(VOLATILITY_SORT, NO_NETWORK, spec, volatility_sort),
        Strategy(MOMENTUM, MODEL, spec, momentum),
        Strategy(EQUAL_WEIGHT, MODEL, spec, equal_weight),
    ]


def risk_strategies() -> list[str]:
    """Return the names of the books that are sized by forecast risk alone."""
    return [f"{EQUAL_RISK}_{name}" for name in RISK_MODELS]


def equal_weight(decisions: pl.DataFrame, terms: Terms) -> Simulation:
    """Buy and hold: equal weights, bought on each year's first session, then left to drift until the year's end.

    It holds the tickers with a decision on the last day before the year (one that lists during the year waits for the
    next; in the first year without validation forecasts, those of the first test decision), fully invested, uncapped. The
    only other trades are sales of tickers that end or leave the universe, whose money stays in cash.
    """
    view, spec = terms.view, terms.spec
    decided, (sigma,) = standing_decisions(decisions, terms, columns=("sigma",))
    member = np.isfinite(sigma)
    first_test = first_test_row(decisions, view)
    start = first_test
    if decided[0] == first_test and spec.execution == "next_open":
        start += 1  # decided at the first close: bought at the next open
    year = view.dates.astype("datetime64[Y]")
    later_years = start + 1 + np.flatnonzero(year[start + 1 :] != year[start:-1])
    orders, smoothing = np.full(view.price.shape, np.nan), np.zeros(view.price.shape)
    for row in (start, *later_years):
        if row < len(orders):
            chosen = member[decided < max(row, decided[0] + 1)][-1].astype(np.float64)
            opening = view.rows(row, None)
            enter(opening, chosen / chosen.sum(), orders[row:], smoothing[row:], limit=spec.max_wait_sessions)
    at_once = replace(terms, spec=spec.model_copy(update={"smoothing": 0.0}))
    return execute(orders, at_once, first_test=first_test, opens_with_paper_book=False)


def momentum(decisions: pl.DataFrame, terms: Terms) -> Simulation:
    """20-session momentum: tickers ranked within region and day by their return over 20 own sessions, long the upper half.

    The weight is proportional to the centred rank, scaled to the gross cap; tranches, smoothing, name cap, execution
    and costs are ``spec``'s. A ticker without 21 quotes in its segment since the view began has no decision.
    """
    view = terms.view
    past = np.full(view.close.shape, np.nan)
    for column in range(len(view.tickers)):
        own = np.flatnonzero(view.quoted[:, column])
        now, then = own[MOMENTUM_SESSIONS:], own[:-MOMENTUM_SESSIONS]
        whole = view.segment[now, column] == view.segment[then, column]
        past[now[whole], column] = view.close[now[whole], column] / view.close[then[whole], column] - 1.0
    date, place = view.cells(decisions)
    scored = decisions.select("date", "ticker", "split").with_columns(
        score=pl.Series(past[date, place], dtype=pl.Float64).fill_nan(None), region=pl.Series(view.region[place])
    )
    rank = pl.col("score").rank().over("date", "region")
    count = pl.col("score").count().over("date", "region")
    ranked = scored.filter(pl.col("score").is_not_null()).with_columns(size=(rank - 0.5) / count - 0.5)
    return trade_sizes(ranked, terms)


def volatility_sort(decisions: pl.DataFrame, terms: Terms) -> Simulation:
    """Long volatile and short calm tickers: half-Kelly on ``sigma^2 / 2``, as if every ticker had the same log mean.

    An expected simple return is the log mean plus half the variance, so that one log mean for all tickers makes a book of
    unequal volatility. It says nothing about returns, and shows what a book earns that mistakes this for a forecast.
    """
    spec = terms.spec
    half = pl.col("sigma") ** 2 / 2.0
    edge = half - half.mean().over("date")
    floor = spec.sigma_floor * spec.horizon_sessions**0.5
    size = spec.kelly_fraction * edge / pl.max_horizontal("sigma", pl.lit(floor)) ** 2
    sized = decisions.select("date", "ticker", "split", size=size)
    return trade_sizes(sized, terms)


def equal_risk(decisions: pl.DataFrame, terms: Terms, *, decay: float = RISK_DECAY) -> Simulation:
    """Long only, each ticker with the same forecast risk, the book held at ``TARGET_VOLATILITY``; uses sigma alone.

    Weights are proportional to 1 / sigma. The book's own volatility is that sum times the root of the mean square return
    that the book with a sum of one has had so far (``decay``): how far the tickers move together, and how
    large the forecasts' common error has been. At most fully invested; smoothing, execution and costs are ``spec``'s.
    """
    view, spec = terms.view, terms.spec
    decided, (sigma,) = standing_decisions(decisions, terms, columns=("sigma",))
    floor = spec.sigma_floor * spec.horizon_sessions**0.5
    known = np.isfinite(sigma)
    inverse = np.where(known, spec.horizon_sessions**0.5 / np.maximum(np.where(known, sigma, 1.0), floor), 0.0)
    unit = inverse / np.maximum(known.sum(axis=1, keepdims=True), 1)  # (D, N): sum of weight x sigma is one
    scale = np.sqrt(_mean_square(_unit_returns(unit, decided, view), decay=decay))[decided]
    first_test = first_test_row(decisions, view)
    per_year = sessions_per_year(view.dates[: first_test + 1]) if first_test else SESSIONS_PER_YEAR
    daily = TARGET_VOLATILITY / per_year**0.5
    wanted = np.where(scale > EPS, daily / np.where(scale > EPS, scale, 1.0), 0.0)[:, None] * unit
    target = wanted / np.maximum(wanted.sum(axis=1, keepdims=True), 1.0)
    return execute(orders_of(target, decided, terms), terms, first_test=first_test)


def _unit_returns(unit: Floats, decided: np.ndarray, view: Market) -> Floats:
    """Return the close-to-close return (T,) of the unit book decided at the close before; NaN before the first."""
    returns = np.full(len(view.dates), np.nan)
    held = np.full(unit.shape[1], np.nan)
    book = dict(zip(decided.tolist(), unit, strict=True))
    for row in range(len(view.dates)):
        if row and np.isfinite(held).all():
            with np.errstate(invalid="ignore"):
                moved = (view.close[row] / view.close[row - 1]) * (view.rate[row] / view.rate[row - 1])
            move = np.nan_to_num(moved - 1.0, nan=0.0)
            returns[row] = held @ move
        held = book.get(row, held)
    return returns


def _mean_square(returns: Floats, *, decay: float) -> Floats:
    """Return the exponentially weighted mean square (T,) up to each row; 0 under ``RISK_START_SESSIONS`` returns."""
    known = np.isfinite(returns)
    total = weight = 0.0
    mean = np.zeros(len(returns))
    for row, square in enumerate(np.where(known, returns, 0.0) ** 2):
        if known[row]:
            total, weight = decay * total + square, decay * weight + 1.0
        mean[row] = total / weight if known[: row + 1].sum() >= RISK_START_SESSIONS else 0.0
    return mean
