"""Scenarios at a day's close: by what was known then, each ticker by its own latest forecast."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.core.joint.past import with_outcomes
from forecast_assets.core.joint.standing import StandingScenarios, outcome_rows
from forecast_assets.core.specs import MeanRiskSpec
from forecast_assets_tests.helpers.joint_panel import SIGMA, JointPanel, correlations, joint_panel

SPEC = MeanRiskSpec(scenarios=500, least_days=60)


@pytest.fixture(scope="module")
def panel() -> JointPanel:
    return joint_panel(tickers=5, sessions=200)


def scenarios(forecasts: pl.DataFrame, *, horizon: int = 5) -> StandingScenarios:
    return StandingScenarios(forecasts, horizon=horizon, sectors={}, spec=SPEC)


def test_they_have_the_forecasts_spread_and_move_together_as_the_past_did(panel: JointPanel) -> None:
    found = scenarios(panel.forecasts)(panel.days[-1], panel.tickers)
    assert found is not None
    assert found.shape == (5, 500)
    np.testing.assert_allclose(np.log1p(found).std(axis=1), SIGMA * 5**0.5, rtol=0.02)
    assert correlations(found).mean() == pytest.approx(0.6, abs=0.2)


def test_no_later_outcome_or_forecast_changes_them(panel: JointPanel) -> None:
    day = panel.days[120]
    later = pl.col("label_end") >= day.astype(object)
    ahead = pl.col("date") > day.astype(object)
    poisoned = panel.forecasts.with_columns(
        y=pl.when(later).then(5.0).otherwise("y"), q50=pl.when(ahead).then(1.0).otherwise("q50")
    )
    known, changed = (scenarios(table)(day, panel.tickers[:3]) for table in (panel.forecasts, poisoned))
    assert known is not None
    np.testing.assert_array_equal(known, changed)


def test_a_ticker_whose_exchange_was_shut_has_its_latest_forecast(panel: JointPanel) -> None:
    day, before = (panel.days[k].astype(object) for k in (150, 149))
    narrow = pl.when(pl.col("date") == before).then(0.1).otherwise(1.0)
    quantiles = [name for name in panel.forecasts.columns if name.startswith("q")]
    table = panel.forecasts.with_columns(pl.col(quantiles) * narrow)
    shut = table.filter((pl.col("date") != day) | (pl.col("ticker") != "T01"))
    found = scenarios(shut)(panel.days[150], ["T00", "T01"])
    assert found is not None
    wide, own = np.log1p(found).std(axis=1)
    assert own == pytest.approx(0.1 * wide, rel=0.05)
    late = table.filter((pl.col("date") >= day) | (pl.col("ticker") != "T01"))
    with pytest.raises(KeyError, match="T01 has no forecast by 2019-05-30"):
        scenarios(late)(panel.days[149], ["T00", "T01"])


def test_before_enough_has_matured_there_are_none(panel: JointPanel) -> None:
    asked = scenarios(panel.forecasts)
    assert asked(panel.days[40], panel.tickers) is None
    assert asked(panel.days[100], panel.tickers) is not None


def test_outcomes_that_no_table_has_come_from_the_panels_closes() -> None:
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 3, 30), eager=True)
    close = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, len(days))))
    table = pl.DataFrame({"date": days, "ticker": "A", "close": close, "is_missing": False}).with_columns(
        is_missing=pl.col("date") == dt.date(2020, 1, 5), segment=(pl.col("date") > dt.date(2020, 2, 20)).cast(pl.Int32)
    )
    rows = outcome_rows(table)
    quoted = table.filter(~pl.col("is_missing"))
    by_day = dict(zip(rows["date"].to_list(), rows[TARGETS[1]].to_list(), strict=True))
    log_close = np.log(quoted["close"].to_numpy())
    assert by_day[dt.date(2020, 1, 3)] == pytest.approx(log_close[2 + HORIZONS[1]] - log_close[2])
    assert by_day[dt.date(2020, 2, 18)] is None  # its fifth quote on is in another segment
    forecasts = joint_panel(tickers=1, sessions=30, first=dt.date(2020, 1, 1), names=["A"]).forecasts.drop("label_end")
    issued = forecasts.filter(pl.col("date") != dt.date(2020, 1, 5)).with_columns(y=pl.lit(None, dtype=pl.Float64))
    found = with_outcomes([issued], rows).filter(pl.col("horizon") == HORIZONS[1])
    assert found["y"].to_list() == [by_day[day] for day in found["date"]]
    assert found.row(2, named=True)["label_end"] == dt.date(2020, 1, 9)
