"""What is planned the night before is what the simulation holds the day after."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.decisions import forecast_decisions
from forecast_assets.core.backtest.next_positions import POSITIONS_SCHEMA
from forecast_assets.core.backtest.next_positions import target_positions as next_book
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.test_simulate import PLAIN, noise
from forecast_assets_tests.core.backtest.tiny_markets import (
    calendar_panel,
    forecasts_on,
    random_panel,
    simulate,
    weekdays,
)


def target_positions(
    forecasts: pl.DataFrame, panel: pl.DataFrame, *, until: dt.date, spec: BacktestSpec
) -> pl.DataFrame:
    """The plan on forecasts whose no-skill location is zero."""
    decisions = forecast_decisions(forecasts, horizon_sessions=spec.horizon_sessions, no_skill=(0.0, 0.0))
    return next_book(decisions, panel, until=until, spec=spec)


def opens_at_last_close(panel: pl.DataFrame) -> pl.DataFrame:
    """The same market without a move overnight, over a holiday or over a hole."""
    before = pl.col("close").shift().over("ticker", order_by="date")
    opening = pl.when(pl.col("is_missing")).then(None).otherwise(pl.coalesce(before, "open"))
    return panel.with_columns(open=opening)


def held_by_ticker(table: pl.DataFrame, column: str) -> dict[str, float]:
    return dict(table.select("ticker", column).iter_rows())


def day_by_day(panel: pl.DataFrame, spec: BacktestSpec, *, seed: int) -> list[float]:
    """Differences, by ticker and day, between the plan and the book of the day after.

    Of tickers that open on the day after. Left out is the evening before a ticker returns after so many sessions without
    quotes that it counts as delisted, and is sold: its return cannot be foreseen.
    """
    union = panel.filter(~pl.col("is_missing"))["date"].unique().sort().to_list()
    mean = noise(panel, seed=seed, scale=0.004)
    forecasts = forecasts_on(panel, mean, first_test=union[40], horizon=spec.horizon_sessions)
    differences = []
    for today, tomorrow in itertools.pairwise(union[41:]):
        plan = target_positions(forecasts, panel, until=today, spec=spec)
        day_after = simulate(
            forecasts.filter(pl.col("date") <= tomorrow), panel.filter(pl.col("date") <= tomorrow), spec=spec
        )
        planned = held_by_ticker(plan, "weight_target")
        held = held_by_ticker(day_after.positions.filter(pl.col("date") == tomorrow), "weight")
        opening = panel.filter((pl.col("date") == tomorrow) & ~pl.col("is_missing"))["ticker"].to_list()
        silent = [
            ticker
            for ticker in opening
            if panel.filter(
                (pl.col("ticker") == ticker)
                & ~pl.col("is_missing")
                & pl.col("date").is_between(union[max(0, union.index(today) - spec.max_wait_sessions)], today)
            ).is_empty()
        ]
        if silent:
            assert silent == ["T1"]
            continue
        differences += [abs(planned.get(ticker, 0.0) - held.get(ticker, 0.0)) for ticker in opening]
    return differences


@pytest.mark.parametrize(
    "spec",
    [
        BacktestSpec(horizon_sessions=5, smoothing=0.8, cost_bps=0.0),
        BacktestSpec(horizon_sessions=20, smoothing=0.5, cost_bps=0.0, name_cap=0.2),
        BacktestSpec(horizon_sessions=1, smoothing=0.9, cost_bps=10.0, book="directional", gross_cap=0.5),
    ],
)
def test_on_every_day_the_plan_is_what_is_held_after_the_next_open(spec: BacktestSpec) -> None:
    differences = day_by_day(opens_at_last_close(random_panel(seed=1)), spec, seed=1)
    assert len(differences) > 250
    assert max(differences) < 1e-12


def test_without_smoothing_the_plan_holds_whatever_prices_do_overnight() -> None:
    spec = BacktestSpec(horizon_sessions=5, smoothing=0.0)
    assert max(day_by_day(random_panel(seed=4), spec, seed=4)) < 1e-12


def test_with_smoothing_a_move_overnight_shifts_the_plan_by_little() -> None:
    differences = day_by_day(random_panel(seed=4), BacktestSpec(horizon_sessions=5, smoothing=0.8), seed=4)
    assert 0 < max(differences) < 0.8 * 0.05 * 0.05  # smoothing x name cap x five sigmas of an overnight move


def test_rows_after_the_day_change_nothing() -> None:
    panel = random_panel(seed=2)
    until = weekdays(90, start="2023-11-01")[60]
    forecasts = forecasts_on(panel, noise(panel, seed=2, scale=0.004), first_test=until - dt.timedelta(days=20))
    poison = pl.col("date") > until
    poisoned = panel.with_columns(
        pl.when(poison).then(float("nan")).otherwise(pl.col(column)).alias(column) for column in ("open", "close")
    )
    later = forecasts.with_columns(q50=pl.when(poison).then(9.0).otherwise(pl.col("q50")))
    plans = [
        target_positions(table, rows, until=until, spec=BacktestSpec(horizon_sessions=1))
        for table, rows in ((forecasts, panel), (later, poisoned), (forecasts, panel.filter(~poison)))
    ]
    assert plans[0].height > 4
    assert plans[0].equals(plans[1])
    assert plans[0].equals(plans[2])


def test_a_plan_on_literal_prices() -> None:
    dates = weekdays(4)
    panel = calendar_panel(
        dates, {"A": [(100, 100), (100, 100), (100, 110), (110, 110)], "B": [(50, 50), (50, 50), (50, 50), (50, 50)]}
    )
    means = pl.when(pl.col("ticker") == "A").then(0.01).otherwise(-0.01)
    forecasts = forecasts_on(panel, means, first_test=dates[1])
    plan = target_positions(forecasts, panel, until=dates[2], spec=PLAIN)
    # Held since the open of the third day: 0.1 of A, which then gained 10 %, and -0.1 of B. What the cost of entering
    # shifted by 1e-5 was traded back there, at a cost of 1e-8.
    assert plan.schema == POSITIONS_SCHEMA
    assert plan["ticker"].to_list() == ["A", "B"]
    assert plan["weight_now"].to_list() == pytest.approx([0.11 / 1.01, -0.1 / 1.01], abs=1e-8)
    assert plan["weight_target"].to_list() == pytest.approx([0.1, -0.1], abs=1e-8)
    assert plan["trade"].to_list() == pytest.approx([0.1 - 0.11 / 1.01, -0.1 + 0.1 / 1.01], abs=1e-8)
    assert plan["price"].to_list() == [110.0, 50.0]
    np.testing.assert_allclose(plan["expected_cost"], np.abs(plan["trade"]) * 5e-4, atol=1e-15)


def planned(forecasts: pl.DataFrame, panel: pl.DataFrame, *, until: dt.date, column: str) -> dict[str, float]:
    """A column of the plan by ticker."""
    plan = target_positions(forecasts, panel, until=until, spec=PLAIN)
    return held_by_ticker(plan, column)


def test_a_ticker_without_quotes_for_too_long_is_not_traded() -> None:
    dates = weekdays(12)
    silent = [(10.0, 10.0)] * 4 + [None] * 8
    panel = calendar_panel(dates, {"A": [(100.0, 100.0)] * 12, "GONE": silent})
    forecasts = forecasts_on(panel, 0.01, first_test=dates[1])
    trades = {until: planned(forecasts, panel, until=dates[until], column="trade") for until in (6, 11)}
    assert "GONE" in trades[6]
    assert "GONE" not in trades[11]


def test_a_ticker_is_kept_over_holidays_but_not_when_its_exchanges_feed_stops() -> None:
    dates = weekdays(18)
    panel = calendar_panel(dates, {"A": [(100.0, 100.0)] * 18, "TYO": [(10.0, 10.0)] * 4 + [None] * 14})
    panel = panel.with_columns(exchange=pl.when(pl.col("ticker") == "TYO").then(pl.lit("XTKS")).otherwise("exchange"))
    forecasts = forecasts_on(panel, 0.01, first_test=dates[1])
    held = {until: planned(forecasts, panel, until=dates[until], column="weight_now") for until in (3, 11, 17)}
    assert [("TYO" in held[until]) for until in (3, 11, 17)] == [True, True, False]
    assert held[11]["TYO"] == pytest.approx(0.1, abs=1e-4)
