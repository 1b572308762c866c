"""The mean-risk book on the smoke graph: a strategy beside half-Kelly, and the target positions where it is traded."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.assets.backtest_report import TRADING_COLUMNS, BacktestInputs
from forecast_assets.assets.fold.books import joined_books
from forecast_assets.assets.target_positions import _rules
from forecast_assets.cli.report_problems import opened
from forecast_assets.core.backtest.decisions import forecast_decisions, join_decisions
from forecast_assets.core.backtest.mean_risk import MEAN_RISK
from forecast_assets.core.backtest.next_positions import POSITIONS_SCHEMA
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets_tests.helpers.graph import Graph

RULES = MeanRiskSpec(use="traded", scenarios=200, least_days=20, rebalance="monthly")
YEARS = ("2018", "2019")
UNTIL = dt.date(2019, 12, 30)


@pytest.fixture(scope="module")
def spec(smoke_graph: Graph) -> BacktestSpec:
    return BacktestSpec.model_validate(smoke_graph.version("backtest_report").manifest.config["backtest"])


def test_it_is_a_strategy_beside_the_others_where_it_is_switched_on(smoke_graph: Graph, spec: BacktestSpec) -> None:
    report = smoke_graph.version("backtest_report")
    inputs = opened(BacktestInputs, smoke_graph.store, report)
    panel = pl.read_parquet(inputs.calendar_panel.path(TABLE)).select(TRADING_COLUMNS)
    models = {year: models for year, models in inputs.models().items() if str(year) == YEARS[1]}
    books = joined_books(models, panel, spec=spec, optimiser=RULES)
    own = books.daily.filter(pl.col("strategy") == MEAN_RISK)
    assert own["date"].equals(books.daily.filter(pl.col("strategy") == "ensemble")["date"])
    assert own["gross_exposure"].to_numpy().max() > 0.05
    assert not own["net_return"].equals(books.daily.filter(pl.col("strategy") == "ensemble")["net_return"])
    published = pl.read_parquet(report.path(TABLE))
    assert MEAN_RISK not in published["strategy"]  # it is off unless asked for


def test_the_target_positions_are_its_where_it_is_traded(smoke_graph: Graph, spec: BacktestSpec) -> None:
    published = [smoke_graph.table("ensemble", year) for year in YEARS]
    decisions = join_decisions(
        {
            int(year): forecast_decisions(table, horizon_sessions=spec.horizon_sessions)
            for year, table in zip(YEARS, published, strict=True)
        }
    )
    panel = smoke_graph.table("calendar_panel")
    decided = decisions.join(panel.filter(~pl.col("is_missing")), on=["date", "ticker"], how="semi")
    calendar = smoke_graph.version("calendar_panel")
    by_kelly, optimised = (
        _rules(rules, published, calendar, spec=spec)(decided, panel, until=UNTIL, spec=spec, gone={})
        for rules in (MeanRiskSpec(), RULES)
    )
    assert optimised.schema == by_kelly.schema == POSITIONS_SCHEMA
    held = np.abs(optimised["weight_target"].to_numpy())
    assert 0.05 < held.sum() <= spec.gross_cap
    assert held.max() <= spec.name_cap * 1.2  # a month's prices have moved it
    assert not optimised.equals(by_kelly)
