import datetime as dt
from typing import Any

import polars as pl

from forecast_assets.automation.alerts import (
    Observation,
    deadline_observation,
    drift_observations,
    due_session,
    messages_for,
    recent_closes,
)
from forecast_assets.core.specs import AlertSpec, DriftSpec

SPEC = DriftSpec(feature_confirm_nights=2, feature_release_nights=2)
ALERTS = AlertSpec(ui_url="http://ui.test/")
DAY = dt.date(2025, 7, 3)


def verdict(day: int, *, features: str = "ok", rule: str = "ok", alarm: str = "ok") -> dict[str, Any]:
    states = {"features": features, "coverage_rule": rule, "coverage_alarm": alarm}
    monitors = {key: {"state": state, "sentence": f"{key} is {state}."} for key, state in states.items()}
    return {"as_of": f"2025-07-{day:02d}", "monitors": monitors}


def told(*verdicts: dict[str, Any], already: dict[str, str] | None = None) -> list[str]:
    opened = already or {}
    seen = drift_observations(verdicts, open_episodes=opened, drift=SPEC, alerts=ALERTS)
    return [message.id for message in messages_for(seen, open_episodes=opened)]


def test_an_episode_is_told_when_it_begins_and_when_it_is_over_and_not_in_between() -> None:
    assert told(verdict(1, alarm="warning")) == ["coverage_alarm.2025-07-01.opened"]
    began = {"coverage_alarm": "2025-07-01"}
    assert told(verdict(2, alarm="warning"), already=began) == []
    assert told(verdict(3), already=began) == ["coverage_alarm.2025-07-01.recovered"]


def test_features_need_more_than_one_night() -> None:
    assert told(verdict(1, features="warning")) == []
    assert told(verdict(1, features="warning"), verdict(2, features="warning")) == ["features.2025-07-02.opened"]
    assert told(verdict(1, features="warning"), verdict(2), already={"features": "2025-06-01"}) == []


def test_a_monitor_that_could_not_be_run_neither_begins_nor_ends_anything() -> None:
    assert told(verdict(1, alarm="unknown"), already={"coverage_alarm": "2025-06-01"}) == []


def test_a_message_names_the_day_links_to_it_and_escapes_markup() -> None:
    seen = [Observation("coverage_alarm", True, "2025-07-01", "a < b & c", "http://ui.test/x")]
    (message,) = messages_for(seen, open_episodes={})
    assert message.text == "*:warning: Coverage alarm*\na &lt; b &amp; c\n<http://ui.test/x|Open in Dagster>"


def test_a_session_is_due_once_its_last_exchange_has_been_closed_for_long_enough() -> None:
    closes = pl.DataFrame(
        {
            "date": [DAY - dt.timedelta(days=1), DAY, DAY],
            "close": [dt.datetime(2025, 7, 2, 20), dt.datetime(2025, 7, 3, 15, 30), dt.datetime(2025, 7, 3, 17)],
        }
    )
    minute = dt.timedelta(minutes=1)
    limit = dt.datetime(2025, 7, 4, 5, tzinfo=dt.UTC)
    assert due_session(closes, now=limit - minute, deadline_hours=12) == DAY - dt.timedelta(days=1)
    assert due_session(closes, now=limit, deadline_hours=12) == DAY


def test_closes_are_those_of_the_calendars_half_days_too() -> None:
    closes = recent_closes(["XNYS", "XETR"], now=dt.datetime(2025, 7, 4, 12, tzinfo=dt.UTC))
    assert closes.filter(pl.col("date") == DAY)["close"].max() == dt.datetime(2025, 7, 3, 17)  # 13:00 in New York


def test_the_deadline_is_missed_until_every_asset_of_the_night_is_there() -> None:
    late = deadline_observation(due=DAY, done={"drift_checks": DAY, "nightly_forecast": None}, alerts=ALERTS)
    assert late is not None
    assert late.on
    assert "nightly_forecast was last made for no day" in late.sentence
    done = deadline_observation(due=DAY, done={"drift_checks": DAY, "nightly_forecast": DAY}, alerts=ALERTS)
    assert done is not None
    assert not done.on


def test_before_the_first_night_of_all_nothing_is_late() -> None:
    assert deadline_observation(due=DAY, done={}, alerts=ALERTS) is None
