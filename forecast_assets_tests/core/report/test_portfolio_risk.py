"""What the book may lose, in the report: its table, its sentence, its picture."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.report.portfolio_risk import (
    EQUAL,
    book_outcomes,
    portfolio_risk_figure,
    portfolio_risk_section,
)
from forecast_assets.core.report.summary import plain
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets_tests.helpers.joint_panel import SIGMA, JointPanel, joint_panel

SPEC = ScenarioSpec(scenarios=300, least_days=40)
MODEL = "ensemble"
FOLLOWED = SPEC.least_days + HORIZONS[-1]  # days until the first one that is drawn


@pytest.fixture(scope="module")
def panel() -> JointPanel:
    return joint_panel(tickers=4, sessions=130, correlation=0.5)


@pytest.fixture(scope="module")
def outcomes(panel: JointPanel) -> pl.DataFrame:
    """The book holds the first ticker alone, up to the last ten days."""
    held = panel.forecasts.filter(
        pl.col("ticker") == "T00", pl.col("horizon") == 1, pl.col("date") < panel.days[-10].astype(object)
    )
    positions = held.select("date", "ticker", weight=pl.lit(2.0))
    return book_outcomes(panel.forecasts, positions, sectors={}, spec=SPEC, model=MODEL)


def table(losses: list[float], *, portfolio: str = MODEL, horizon: int = 1) -> pl.DataFrame:
    """Days on which VaR 95 % is .02 and VaR 99 % is .03."""
    days = [dt.date(2021, 1, 1) + dt.timedelta(days=k) for k in range(len(losses))]
    return pl.DataFrame(
        {
            **{"date": days, "portfolio": portfolio, "horizon": horizon},
            **{"label_end": [day + dt.timedelta(days=horizon) for day in days], "realised": [-x for x in losses]},
            **{"pit": 0.5, "var_95": 0.02, "es_95": 0.025, "var_99": 0.03, "es_99": 0.035},
        }
    )


def test_every_day_from_the_first_that_can_be_drawn_has_its_risk(panel: JointPanel, outcomes: pl.DataFrame) -> None:
    one = outcomes.filter(pl.col("horizon") == 1)
    days = {name: rows["date"].to_list() for (name,), rows in one.group_by("portfolio", maintain_order=True)}
    known = [day.astype(object) for day in panel.days[FOLLOWED:]]
    assert days == {MODEL: known[:-10], EQUAL: known}
    book = one.filter(pl.col("portfolio") == MODEL)
    assert book["var_95"].to_numpy() == pytest.approx(2 * 1.645 * SIGMA, rel=0.6)
    outcome = panel.forecasts.filter(pl.col("ticker") == "T00", pl.col("horizon") == 1).join(book, on="date")
    assert outcome["realised"].to_numpy() == pytest.approx(2 * np.expm1(outcome["y"].to_numpy()))


def test_the_table_holds_every_test_and_what_was_lost_beyond() -> None:
    losses = [0.0] * 95 + [0.021, 0.025, 0.029, 0.04, 0.05]
    found = portfolio_risk_section(pl.concat([table(losses), table([0.0] * 100, portfolio=EQUAL)]), model=MODEL)
    assert found is not None
    assert [(row["portfolio"], row["level"]) for row in found["rows"]] == [
        (name, level) for name in (MODEL, EQUAL) for level in (0.95, 0.99)
    ]
    first, second, *equal = found["rows"]
    assert (first["days"], first["exceedances"], first["expected"]) == (100, 5, pytest.approx(5.0))
    assert (second["exceedances"], second["expected"]) == (2, pytest.approx(1.0))
    assert first["mean_exceeding_loss"] == pytest.approx(0.033)
    assert second["mean_exceeding_loss"] == pytest.approx(0.045)
    assert all(np.isnan(row["mean_exceeding_loss"]) for row in equal)
    assert (first["value_at_risk"], second["expected_shortfall"]) == (pytest.approx(0.02), pytest.approx(0.035))
    assert json.loads(json.dumps(plain(found), allow_nan=False))["rows"][2]["mean_exceeding_loss"] is None


def test_the_sentence_names_what_was_not_kept() -> None:
    kept = portfolio_risk_section(table(([0.0] * 19 + [0.025]) * 10), model=MODEL)
    assert kept is not None
    assert kept["sentence"] == (
        "Of 200 days the book lost over one session more than its 95 % value at risk on 10 (10.0 expected), and more than "
        "its 99 % value at risk on 0 (2.0 expected). None of the 4 tests below finds that the promise was not kept."
    )
    both = pl.concat([table(([0.0] * 4 + [0.025]) * 20), table([0.0] * 60, portfolio=EQUAL, horizon=5)])
    broken = portfolio_risk_section(both, model=MODEL)
    assert broken is not None
    assert broken["sentence"].endswith(
        "The promise was not kept by: the book over 1 session at 95 % (20 of 100, 5.0 expected)."
    )
    equal = portfolio_risk_section(table([0.0] * 60, portfolio=EQUAL), model=MODEL)
    assert equal is not None
    assert equal["sentence"].startswith("The book held nothing on the days that have an outcome")


def test_before_enough_has_matured_there_is_no_section(panel: JointPanel) -> None:
    early = panel.forecasts.filter(pl.col("date") < panel.days[FOLLOWED].astype(object))
    none = book_outcomes(early, early.select("date", "ticker", weight=1.0), sectors={}, spec=SPEC, model=MODEL)
    assert none.is_empty()
    assert portfolio_risk_section(none, model=MODEL) is None


def test_each_exceedance_is_a_dot_and_a_worse_one_a_larger_dot() -> None:
    losses = [0.0, 0.021, 0.05, 0.0, 0.025]
    figure = portfolio_risk_figure(pl.concat([table(losses), table([0.0], portfolio=EQUAL)]), model=MODEL)
    small, large = (dots for dots in figure.axes[0].collections[1:])
    assert np.asarray(small.get_offsets())[:, 1].tolist() == pytest.approx([-0.021, -0.025])
    assert np.asarray(large.get_offsets())[:, 1].tolist() == pytest.approx([-0.05])
    empty = portfolio_risk_figure(table(losses), model=MODEL)  # a portfolio that held nothing
    assert len(np.asarray(empty.axes[1].collections[1].get_offsets())) == 0
