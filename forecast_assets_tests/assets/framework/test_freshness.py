"""Freshness deadlines that the UI shows."""

import datetime as dt

import pytest
from dagster._core.definitions.freshness import CronFreshnessPolicy
from dagster._utils.schedules import cron_string_iterator

from forecast_assets.assets.framework.freshness import deadline_cron, every_night


@pytest.mark.parametrize(
    ("cron", "deadline"),
    [
        ("0 22 * * 1-5", "0 10 * * 2,3,4,5,6"),
        ("30 23 * * 5-7", "30 11 * * 0,1,6"),  # 7 is Sunday, as 0 is
        ("15 6 * * 1-5", "15 18 * * 1-5"),
        ("0 22 * * *", "0 10 * * *"),
        ("*/10 * * * *", None),
        ("0 22 1 * *", None),
        ("0 22 * * MON-FRI", None),
    ],
)
def test_a_deadline_is_the_nightly_cron_twelve_hours_later_where_that_is_a_cron(
    cron: str, deadline: str | None
) -> None:
    assert deadline_cron(cron, hours=12) == deadline


def test_a_night_made_after_its_tick_is_fresh_until_the_next_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Friday's night is due on Saturday morning; the next one on Tuesday."""
    every_night.cache_clear()
    monkeypatch.delenv("FORECAST_NIGHTLY_CRON", raising=False)
    policy = every_night()
    assert isinstance(policy, CronFreshnessPolicy)
    tick = dt.datetime.fromisoformat("2025-05-23T22:00:00-04:00")
    ticks = cron_string_iterator(tick.timestamp(), policy.deadline_cron, policy.timezone)
    due = [next(ticks) for _ in range(2)]
    assert [moment.strftime("%a %H:%M") for moment in due] == ["Sat 10:00", "Tue 10:00"]
    assert due[0] - policy.lower_bound_delta < tick
