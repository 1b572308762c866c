"""The book from an optimiser, where it is switched on: its trade, with the scenarios that it needs."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec

if TYPE_CHECKING:
    from forecast_assets.core.backtest.simulate import Trade
    from forecast_assets.core.backtest.strategies import Strategy

OFF, TRADED = "off", "traded"
PANEL_COLUMNS = ("date", "ticker", "sector", "close", "is_missing", "segment")


def mean_risk_strategies(
    rules: MeanRiskSpec, tables: Iterable[pl.DataFrame], panel: pl.DataFrame, *, spec: BacktestSpec
) -> "list[Strategy]":
    """Return the mean-risk strategy of the ensemble; none where it is off. See ``mean_risk_trade``."""
    from forecast_assets.core.backtest.mean_risk import MEAN_RISK
    from forecast_assets.core.backtest.strategies import MODEL, Strategy

    if rules.use == OFF:
        return []
    return [Strategy(MEAN_RISK, MODEL, spec, mean_risk_trade(rules, tables, panel, spec=spec))]


def mean_risk_trade(
    rules: MeanRiskSpec, tables: Iterable[pl.DataFrame], panel: pl.DataFrame, *, spec: BacktestSpec
) -> "Trade":
    """Return the trade of the mean-risk book, by scenarios of the forecast ``tables`` and of what became of them.

    ``panel``: ``PANEL_COLUMNS`` of the calendar panel. Each day's scenarios rest on outcomes that had ended before it.
    """
    from forecast_assets.core.backtest.mean_risk import mean_risk
    from forecast_assets.core.joint.past import with_outcomes
    from forecast_assets.core.joint.standing import StandingScenarios, outcome_rows

    sectors = panel.sort("date").group_by("ticker").agg(pl.col("sector").last())
    scenarios = StandingScenarios(
        with_outcomes(tables, outcome_rows(panel)),
        horizon=spec.horizon_sessions,
        sectors=dict(sectors.iter_rows()),
        spec=rules,
    )
    return partial(mean_risk, scenarios=scenarios, rules=rules)
