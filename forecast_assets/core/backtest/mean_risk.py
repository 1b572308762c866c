"""A book from an optimiser: the largest expected return whose expected shortfall stays within a limit.

Rockafellar and Uryasev (2000) make the expected shortfall of equally likely scenarios a linear program, which HiGHS (Huangfu
and Hall 2018) solves exactly. Caps, neutrality, costs, smoothing and execution are those of the half-Kelly book.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.simulate import VIEW, Terms, execute, first_test_row, orders_of, standing_decisions
from forecast_assets.core.backtest.sizing import ROUNDING, Views
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec

MEAN_RISK = "mean_risk"
SETTLED = 1e-4  # share of a weight that the book of long ago may still make up where a simulation begins later

Scenarios = Callable[[np.datetime64, Sequence[str]], Floats | None]
"""Simple returns (N, S) of tickers over the traded horizon, by what was known at the close of a day; None: not enough."""


@dataclass(frozen=True)
class Outlook:
    """What is expected of N tickers over the traded horizon."""

    edge: Floats  # (N,) expected return beyond the one without skill
    returns: Floats  # (N, S) equally likely scenarios of simple returns; their own means do not count
    round_trip: Floats  # (N,) cost of buying and selling, fractions
    region: NDArray[np.intp]  # (N,)
    exposures: Sequence[Floats]  # (N,) each, to which a neutral book has none in any region


def mean_risk_weights(outlook: Outlook, *, spec: BacktestSpec, rules: MeanRiskSpec) -> Floats:
    """Return the weights (N,) of the largest expected return less costs, under ``spec``'s caps and the limit of the risk.

    The expected shortfall at ``rules.level`` of the scenarios, each shifted to have the ticker's edge for a mean, is at most
    ``rules.limit`` of equity. Each position pays for being bought and sold again. A neutral book has no net position and no
    net exposure in any region, so that a constant, or one more exposure, in the edges changes nothing. Without an edge that
    pays its costs all is zero. Raises RuntimeError where HiGHS finds no solution: zero always is one.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    tickers, scenarios = outlook.returns.shape
    moved = outlook.returns - outlook.returns.mean(axis=1, keepdims=True) + outlook.edge[:, None]
    eye, none = sparse.eye_array(tickers), sparse.coo_array((tickers, 1 + scenarios))
    tail = np.full((1, scenarios), 1.0 / ((1.0 - rules.level) * scenarios))
    # Columns: weights, their sizes, the value at risk, and by how much the loss of each scenario exceeds it.
    limits = sparse.block_array(
        [
            [sparse.coo_array(-moved.T), None, -np.ones((scenarios, 1)), -sparse.eye_array(scenarios)],
            [None, None, np.ones((1, 1)), tail],
            [None, np.ones((1, tickers)), None, None],
            [eye, -eye, none[:, :1], none[:, 1:]],
            [-eye, -eye, None, None],
        ],
        format="csc",
    )
    most = np.concatenate([np.zeros(scenarios), [rules.limit, spec.gross_cap], np.zeros(2 * tickers)])
    neutral = _neutrality(outlook) if spec.book == "neutral" else np.empty((0, tickers))
    equal = sparse.hstack([neutral, sparse.coo_array((len(neutral), tickers + 1 + scenarios))], format="csc")
    found = linprog(
        np.concatenate([-outlook.edge, outlook.round_trip, np.zeros(1 + scenarios)]),
        A_ub=limits,
        b_ub=most,
        A_eq=equal,
        b_eq=np.zeros(len(neutral)),
        bounds=[(-spec.name_cap, spec.name_cap)] * tickers
        + [(0.0, spec.name_cap)] * tickers
        + [(None, None)]
        + [(0.0, None)] * scenarios,
        method="highs",
    )
    if found.x is None:
        raise RuntimeError(f"mean-risk book: {found.message}")
    weights: Floats = found.x[:tickers]
    return np.where(np.abs(weights) > ROUNDING, weights, 0.0)


def mean_risk(decisions: pl.DataFrame, terms: Terms, *, scenarios: Scenarios, rules: MeanRiskSpec) -> Simulation:
    """Trade the weights of ``mean_risk_weights``, found anew on the first decision day of each week (``rules.rebalance``).

    In between the book goes on towards them by ``spec.smoothing``, as it does towards the mean of half-Kelly's tranches.
    Where too little had matured for scenarios it is to hold nothing.
    """
    view, spec = terms.view, terms.spec
    decided, grids = standing_decisions(decisions, terms, columns=VIEW)
    views, beta = Views(*grids), view.beta[decided]
    costs = 2.0 * terms.costs.rates(view.tickers)
    target = np.zeros(views.location.shape)
    for first, end in _periods(view.dates[decided], rules):
        known = np.flatnonzero(np.isfinite(views.location[first]))
        returns = scenarios(view.dates[decided[first]], [view.tickers[k] for k in known]) if len(known) else None
        if returns is None:
            continue
        outlook = Outlook(
            edge=views.location[first, known],
            returns=returns,
            round_trip=costs[known],
            region=view.region[known],
            exposures=[views.scale[first, known], beta[first, known]],
        )
        target[first:end, known] = mean_risk_weights(outlook, spec=spec, rules=rules)
    return execute(orders_of(target, decided, terms), terms, first_test=first_test_row(decisions, view))


def settled(decisions: pl.DataFrame, *, spec: BacktestSpec) -> pl.DataFrame:
    """Return the latest decisions, from which on a smoothed book no longer depends on where it began; as test ones.

    To within ``SETTLED`` of a weight, and a month more, so that the first target is a whole period's.
    """
    sessions = 25 + (int(np.ceil(np.log(SETTLED) / np.log(spec.smoothing))) if spec.smoothing else 1)
    dates = decisions["date"].unique().sort()
    latest = decisions.filter(pl.col("date") >= dates[max(0, len(dates) - sessions)])
    return latest.with_columns(split=pl.lit("test"))


def _periods(dates: NDArray[np.datetime64], rules: MeanRiskSpec) -> list[tuple[int, int]]:
    """Return first and end of each period's rows; which period a day is in does not depend on where the dates begin."""
    unit = {"daily": "D", "weekly": "W", "monthly": "M"}[rules.rebalance]
    shifted = dates.astype("datetime64[D]") + (3 if unit == "W" else 0)  # numpy's weeks begin on Thursdays
    period = shifted.astype(f"datetime64[{unit}]")
    starts = np.flatnonzero(np.append(True, period[1:] != period[:-1]))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(dates)], strict=True))


def _neutrality(outlook: Outlook) -> Floats:
    """Return the rows (K, N) that a neutral book's weights are orthogonal to: positions and exposures by region.

    Exposures are taken over their mean size, so that no row is so small that a solver takes it for zero.
    """
    rows = []
    for code in np.unique(outlook.region):
        inside = (outlook.region == code).astype(np.float64)
        for exposure in (np.ones(len(inside)), *outlook.exposures):
            row = inside * exposure
            size = np.abs(row).sum() / inside.sum()
            rows.append(row / (size if size > 0 else 1.0))
    return np.array(rows)
