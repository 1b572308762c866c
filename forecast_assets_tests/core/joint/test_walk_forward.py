"""Scenarios day by day: by what was known before, promised losses against those that came, copulas against each other."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.joint.scenarios import scenario_returns
from forecast_assets.core.joint.walk_forward import (
    ScenarioDay,
    copula_scores,
    coverage_tests,
    equal_weights,
    held_weights,
    portfolio_outcomes,
    scenario_days,
)
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets_tests.helpers.joint_panel import JointPanel, joint_panel

SPEC = ScenarioSpec(scenarios=1000, least_days=60)
FIRST = 130


def spread(day: ScenarioDay) -> np.ndarray:
    return np.resize([0.5, -0.5], len(day.tickers))


PORTFOLIOS = {"equal": equal_weights, "spread": spread}


def outcomes(panel: JointPanel, *, first: int = FIRST, last: int | None = None) -> pl.DataFrame:
    days = scenario_days(panel.forecasts, days=panel.days[first:last], sectors={}, spec=SPEC)
    rows = [
        portfolio_outcomes(day, scenario_returns(day.quantiles, day.model, spec=SPEC), PORTFOLIOS, spec=SPEC)
        for day in days
    ]
    return pl.DataFrame([row for of_day in rows for row in of_day])


@pytest.fixture(scope="module")
def panel() -> JointPanel:
    return joint_panel(tickers=6, sessions=330, correlation=0.6, seed=4)


@pytest.fixture(scope="module")
def table(panel: JointPanel) -> pl.DataFrame:
    return outcomes(panel)


def test_promised_losses_are_exceeded_as_often_as_promised(table: pl.DataFrame) -> None:
    tested = coverage_tests(table)
    assert tested.height == 2 * 3 * 2
    assert tested.filter(pl.col("horizon") == 1)["days"].to_list() == [200] * 4
    assert tested.filter(pl.col("horizon") == 20)["days"].to_list() == [10] * 4
    assert tested.select(pl.min_horizontal("kupiec_holm", "christoffersen_holm").min()).item() > 0.05
    pit = table.filter(horizon=1, portfolio="equal")["pit"].to_numpy()
    assert np.histogram(pit, bins=4, range=(0, 1))[0] == pytest.approx([50] * 4, abs=20)


def test_a_portfolio_of_all_risks_more_than_independent_tickers_would(table: pl.DataFrame) -> None:
    """Of six tickers with a correlation of .6 and sigma .02: 1.645 * .02 * sqrt((1 + 5 * .6) / 6)."""
    mean = table.filter(horizon=1).group_by("portfolio").agg(pl.col("var_95").mean()).sort("portfolio")["var_95"]
    assert mean[0] == pytest.approx(1.645 * 0.02 * np.sqrt(4 / 6), rel=0.1)
    assert mean[1] == pytest.approx(1.645 * 0.02 * np.sqrt(6 * 0.25 * 0.4), rel=0.12)


def test_no_later_outcome_changes_what_a_day_risks(panel: JointPanel, table: pl.DataFrame) -> None:
    cut = pl.lit(panel.days[FIRST + 20]).cast(pl.Date)
    poisoned = panel.forecasts.with_columns(y=pl.when(pl.col("label_end") > cut).then(5.0).otherwise("y"))
    risked = ["date", "portfolio", "horizon", "var_95", "es_95", "var_99", "es_99"]
    again = outcomes(panel._replace(forecasts=poisoned), last=FIRST + 21).select(risked)
    assert again.equals(table.select(risked).head(again.height))


def test_scores_prefer_dependence_where_there_is_some(panel: JointPanel) -> None:
    days = scenario_days(panel.forecasts, days=panel.days[FIRST::10], sectors={}, spec=SPEC)
    table = pl.DataFrame([row for day in days for row in copula_scores(day, spec=SPEC, draws=200)])
    mean = table.group_by("copula").agg(pl.col("energy", "variogram").mean())
    scores = {name: values for name, *values in mean.iter_rows()}
    assert set(scores) == {"scenarios", "independence", "gaussian"}
    for k in range(2):
        assert scores["scenarios"][k] < scores["independence"][k]
        assert scores["scenarios"][k] == pytest.approx(scores["gaussian"][k], rel=0.03)


def test_a_book_holds_what_its_positions_say_of_tickers_that_are_forecast(panel: JointPanel) -> None:
    positions = pl.DataFrame(
        {"date": [panel.days[200].astype(object)] * 2, "ticker": ["T03", "GONE"], "weight": [0.4, 0.6]}
    )
    weights: Callable[[ScenarioDay], np.ndarray] = held_weights(positions)
    held, none = scenario_days(panel.forecasts, days=panel.days[200:202], sectors={}, spec=SPEC)
    assert weights(held).tolist() == [0, 0, 0, 0.4, 0, 0]
    assert weights(none).tolist() == [0] * 6
    returns = scenario_returns(held.quantiles, held.model, spec=SPEC)
    one = portfolio_outcomes(held, returns, {"book": weights}, spec=SPEC)[0]
    assert one["realised"] == pytest.approx(0.4 * np.expm1(held.y[3, 0]))
    assert portfolio_outcomes(none, returns, {"book": weights}, spec=SPEC) == []


def test_a_ticker_without_an_outcome_is_left_out_of_both_sides(panel: JointPanel) -> None:
    (day,) = scenario_days(panel.forecasts, days=panel.days[200:201], sectors={}, spec=SPEC)
    y = day.y.copy()
    y[1:, 0] = np.nan
    returns = scenario_returns(day.quantiles, day.model, spec=SPEC)
    as_drawn = SPEC.model_copy(update={"volatility_sessions": 0.0})
    one = portfolio_outcomes(day._replace(y=y), returns, {"equal": equal_weights}, spec=as_drawn)[0]
    assert one["realised"] == pytest.approx(np.expm1(day.y[0, 0]) / 6)
    assert one["var_95"] == pytest.approx(-np.expm1(np.quantile(returns[0, 0], 0.05)) / 6, rel=1e-3)
