import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.monitoring.coverage import (
    alarm_statistic,
    calibrate_limits,
    coverage_alarm,
    coverage_by_day,
    coverage_rule,
)
from forecast_assets.core.specs import DriftSpec

SPEC = DriftSpec(seed=1)


def series(shares: list[float], names: int = 100) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(len(shares))],
            "names": [names] * len(shares),
            "covered_95": [round(share * names) for share in shares],
            "coverage_95": shares,
        }
    )


def simulated(seed: int, *, days: int, tickers: int = 100, scale: float = 1.0) -> pl.DataFrame:
    """A perfect 95 % band on returns that share half their variance; ``scale`` multiplies volatility."""
    generator = np.random.default_rng(seed)
    z = scale * np.sqrt(0.5) * (generator.standard_normal((days, 1)) + generator.standard_normal((days, tickers)))
    return series((np.abs(z) <= 1.959964).mean(axis=1).tolist(), names=tickers)


def episodes(shares: list[float]) -> list[tuple]:
    return coverage_rule(series(shares), SPEC).select("start", "end", "days", "side", "ongoing").rows()


def test_three_straight_days_below_the_limit_are_one_episode() -> None:
    assert episodes([0.95, 0.79, 0.5, 0.79, 0.95]) == [(dt.date(2024, 1, 2), dt.date(2024, 1, 4), 3, "below", False)]


def test_two_days_are_none_and_the_limits_themselves_are_inside() -> None:
    assert episodes([0.7, 0.7, 0.95, 1.0, 1.0]) == []
    assert episodes([0.80, 0.80, 0.80, 0.99, 0.99, 0.99]) == []


def test_days_outside_on_both_sides_make_one_episode_that_may_last() -> None:
    assert episodes([0.95, 1.0, 0.7, 1.0, 1.0]) == [(dt.date(2024, 1, 2), dt.date(2024, 1, 5), 4, "both", True)]


def test_two_runs_are_two_episodes() -> None:
    assert [row[3] for row in episodes([1.0] * 3 + [0.95] + [0.5] * 5)] == ["above", "below"]


def test_an_empty_series_has_no_episode() -> None:
    assert coverage_rule(series([]), SPEC).height == 0


def test_daily_coverage_counts_matured_test_forecasts_of_one_model_and_horizon() -> None:
    day, next_day = dt.date(2024, 5, 2), dt.date(2024, 5, 3)
    rows = [  # y, horizon, split, model, date; bands are +-2 and +-1
        (0.5, 1, "test", "m", day),
        (2.0, 1, "test", "m", day),
        (-1.5, 1, "test", "m", day),
        (2.1, 1, "test", "m", day),
        (9.0, 5, "test", "m", day),
        (9.0, 1, "validation", "m", day),
        (9.0, 1, "test", "other", day),
        (None, 1, "test", "m", next_day),
    ]
    table = pl.DataFrame(rows, schema=["y", "horizon", "split", "model", "date"], orient="row").with_columns(
        q025=pl.lit(-2.0), q05=pl.lit(-1.0), q95=pl.lit(1.0), q975=pl.lit(2.0)
    )
    assert coverage_by_day(table, model="m", horizon=1).rows() == [(day, 4, 3, 0.75, 0.25)]


def test_the_limits_keep_false_alerts_under_one_a_year() -> None:
    """On fresh years of the same process, limits set on six years of it: both sides together, averaged."""
    alerts = []
    for seed in range(15):
        limits = calibrate_limits(simulated(seed, days=1500), spec=SPEC)
        assert limits.low < limits.centre < limits.high
        assert limits.false_alerts_per_year <= SPEC.false_alerts_per_year
        alerts.append(coverage_alarm(simulated(1000 + seed, days=2520), limits=limits).height / 10)
    assert np.mean(alerts) <= 1.0


def test_a_doubling_of_volatility_alarms_within_ten_days() -> None:
    limits = calibrate_limits(simulated(0, days=1500), spec=SPEC)
    found = 0
    for seed in range(40):
        calm, wild = simulated(seed + 500, days=60), simulated(seed + 900, days=10, scale=2.0)
        joined = series(calm["coverage_95"].to_list() + wild["coverage_95"].to_list())
        after = coverage_alarm(joined, limits=limits).filter(pl.col("ongoing") | (pl.col("end") >= joined["date"][60]))
        found += after.filter(pl.col("side") == "below").height > 0
    assert found >= 38


def test_a_holiday_with_one_name_hardly_moves_the_statistic() -> None:
    limits = calibrate_limits(simulated(0, days=1500), spec=SPEC)
    thin = pl.DataFrame({"date": [dt.date(2024, 1, 1)], "names": [1], "covered_95": [0], "coverage_95": [0.0]})
    assert abs(alarm_statistic(thin, limits=limits)["smoothed_coverage"][0] - limits.centre) < 0.002


def test_an_alarm_lasts_until_coverage_is_half_way_back() -> None:
    limits = calibrate_limits(simulated(0, days=1500), spec=SPEC)
    days = series([0.95] * 5 + [0.4] * 10 + [0.96] * 60)
    (row,) = coverage_alarm(days, limits=limits).rows(named=True)
    statistic = alarm_statistic(days, limits=limits).rows_by_key("date", named=True, unique=True)
    half_way = (limits.low + limits.centre) / 2
    assert row["side"] == "below"
    assert not row["ongoing"]
    assert statistic[row["start"]]["smoothed_coverage"] < limits.low
    assert statistic[row["end"]]["smoothed_coverage"] < half_way
    assert statistic[row["end"] + dt.timedelta(days=1)]["smoothed_coverage"] >= half_way


def test_a_short_history_can_not_set_limits() -> None:
    with pytest.raises(BadInput, match="99 days of walk-forward coverage, at least 100"):
        calibrate_limits(simulated(0, days=99), spec=SPEC)
