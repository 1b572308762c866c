import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from forecast_assets.automation.alerts import (
    Observation,
    calendar_observation,
    deadline_observation,
    drift_observations,
    messages_for,
    year_observation,
)
from forecast_assets.automation.nights import Nights
from forecast_assets.core.specs import AlertSpec, DriftSpec
from forecast_assets.resources.channels.slack import render

SPEC = DriftSpec(feature_confirm_nights=2, feature_release_nights=2)
ALERTS = AlertSpec(ui_url="http://ui.test/")
DAY = dt.date(2025, 7, 3)


def verdict(day: int, *, features: str = "ok", rule: str = "ok", alarm: str = "ok") -> dict[str, Any]:
    states = {"features": features, "coverage_rule": rule, "coverage_alarm": alarm}
    monitors = {key: {"state": state, "sentence": f"{key} is {state}."} for key, state in states.items()}
    return {"as_of": f"2025-07-{day:02d}", "monitors": monitors}


def message_ids(*verdicts: dict[str, Any], already: dict[str, str] | None = None) -> list[str]:
    opened = already or {}
    seen = drift_observations(verdicts, open_episodes=opened, drift=SPEC, alerts=ALERTS)
    return [message.id for message in messages_for(seen, open_episodes=opened)]


def test_an_episode_is_reported_when_it_begins_and_when_it_is_over_only() -> None:
    assert message_ids(verdict(1, alarm="warning")) == ["coverage_alarm.2025-07-01.opened"]
    began = {"coverage_alarm": "2025-07-01"}
    assert message_ids(verdict(2, alarm="warning"), already=began) == []
    assert message_ids(verdict(3), already=began) == ["coverage_alarm.2025-07-01.recovered"]


def test_features_need_more_than_one_night() -> None:
    assert message_ids(verdict(1, features="warning")) == []
    assert message_ids(verdict(1, features="warning"), verdict(2, features="warning")) == ["features.2025-07-02.opened"]
    assert message_ids(verdict(1, features="warning"), verdict(2), already={"features": "2025-06-01"}) == []


def test_a_monitor_that_could_not_be_run_neither_begins_nor_ends_anything() -> None:
    assert message_ids(verdict(1, alarm="unknown"), already={"coverage_alarm": "2025-06-01"}) == []


def test_slack_gets_the_day_a_link_to_it_and_no_markup_of_others() -> None:
    seen = Observation("coverage_alarm", True, "2025-07-01", "a < b & c", "http://ui.test/x")
    (opened,) = messages_for([seen], open_episodes={})
    assert render(opened) == "*:warning: Coverage alarm*\na &lt; b &amp; c\n<http://ui.test/x|Open in Dagster>"
    over = Observation("deadline", False, "2025-07-02", "Done.", "http://ui.test/x")
    (recovered,) = messages_for([over], open_episodes={"deadline": "2025-07-01"})
    assert render(recovered) == (
        "*:white_check_mark: The night is done*\nDone. It began with 2025-07-01.\n<http://ui.test/x|Open in Dagster>"
    )


@pytest.mark.parametrize(
    ("key", "titles"),
    [
        ("features", (":warning: Feature drift", ":white_check_mark: Feature drift is over")),
        (
            "coverage_rule",
            (
                ":information_source: Coverage outside the plan's limits",
                ":white_check_mark: Coverage inside the plan's limits again",
            ),
        ),
        ("coverage_alarm", (":warning: Coverage alarm", ":white_check_mark: Coverage alarm is over")),
        ("nightly_run", (":x: The nightly run failed", ":white_check_mark: The nightly run succeeded again")),
        ("panel_run", (":x: The night's panel was not read", ":white_check_mark: The night's panel was read again")),
        ("deadline", (":alarm_clock: The night is late", ":white_check_mark: The night is done")),
        ("prices", (":warning: The night lacks prices", ":white_check_mark: The night has its prices")),
        ("calendars", (":warning: A trading calendar ends", ":white_check_mark: The trading calendars go on")),
        ("new_year", (":warning: A new year is not trained yet", ":white_check_mark: The new year is trained")),
    ],
)
def test_each_episode_has_its_titles_in_slack(key: str, titles: tuple[str, str]) -> None:
    for on, title in zip((True, False), titles, strict=True):
        seen = Observation(key, on, "1", "Sentence.", "http://ui.test/x")
        (message,) = messages_for([seen], open_episodes={} if on else {key: "1"})
        assert render(message).startswith(f"*{title}*\nSentence.")


SESSIONS = ["2025-06-30", "2025-07-01", "2025-07-02", "2025-07-03"]


def nights(*forecasts: str, checks: Sequence[str] = (), skipped: Sequence[str] = ()) -> Nights:
    days = {"nightly_forecast": forecasts, "drift_checks": checks}
    return Nights({asset: frozenset(each) for asset, each in days.items() if each}, frozenset(skipped))


def deadline(of: Nights, *, due: dt.date = DAY) -> Observation:
    found = deadline_observation(due=due, nights=of, sessions=SESSIONS, alerts=ALERTS)
    assert found is not None
    return found


def test_the_deadline_is_missed_until_every_asset_of_the_night_is_there() -> None:
    late = deadline(nights(*SESSIONS, checks=SESSIONS[:3]))
    assert late.on
    assert "1 night is missing: drift_checks of 2025-07-03" in late.sentence
    assert not deadline(nights(*SESSIONS, checks=SESSIONS)).on


def test_a_gap_behind_a_later_night_is_named_until_it_is_filled_or_given_up() -> None:
    gap = deadline(nights("2025-06-30", "2025-07-03"))
    assert (gap.on, gap.stamp) == (True, "2025-07-02")
    assert "2 nights are missing: nightly_forecast of 2025-07-01, 2025-07-02" in gap.sentence
    assert "forecast-assets nightly --skip 2025-07-01" in gap.sentence
    assert not deadline(nights("2025-06-30", "2025-07-03", skipped=["2025-07-01", "2025-07-02"])).on
    assert not deadline(nights(*SESSIONS)).on


def test_a_night_committed_for_a_day_to_come_hides_no_missing_one() -> None:
    assert deadline(nights(*SESSIONS[:3], "2062-05-01")).stamp == "2025-07-03"


def test_each_night_that_is_missed_is_reported_and_the_end_once() -> None:
    def ids(of: Nights, *, began: str | None) -> list[str]:
        opened = {"deadline": began} if began else {}
        return [message.id for message in messages_for([deadline(of)], open_episodes=opened)]

    assert ids(nights("2025-06-30", "2025-07-02"), began=None) == ["deadline.2025-07-03.opened"]
    assert ids(nights("2025-06-30", "2025-07-02"), began="2025-07-01") == ["deadline.2025-07-03.continued"]
    assert ids(nights("2025-06-30", "2025-07-02", "2025-07-03"), began="2025-07-01") == []
    assert ids(nights(*SESSIONS), began="2025-07-01") == ["deadline.2025-07-01.recovered"]


def test_before_the_first_night_of_all_nothing_is_late() -> None:
    assert deadline_observation(due=DAY, nights=nights(), sessions=SESSIONS, alerts=ALERTS) is None


def test_a_year_without_a_model_says_what_to_click_until_it_has_one() -> None:
    untrained = year_observation(["2027"], alerts=ALERTS)
    assert (untrained.on, untrained.link) == (True, "http://ui.test/assets/ensemble?partition=2027")
    assert "materialise partition 2027 of the job walk_forward" in untrained.sentence
    assert "forecast-assets run --years 2027" in untrained.sentence
    (opened,) = messages_for([untrained], open_episodes={})
    assert opened.title == "A new year is not trained yet"
    (over,) = messages_for([year_observation([], alerts=ALERTS)], open_episodes={"new_year": "2027"})
    assert over.title == "The new year is trained"


def test_a_calendar_that_ends_is_reported_until_a_newer_release_goes_on() -> None:
    ending = calendar_observation({"XBOM": dt.date(2026, 12, 31)}, alerts=ALERTS)
    assert (ending.on, ending.stamp, ending.link) == (True, "2026-12-31", "http://ui.test/assets/raw_panel")
    assert "pip install --upgrade exchange_calendars" in ending.sentence
    (over,) = messages_for([calendar_observation({}, alerts=ALERTS)], open_episodes={"calendars": "2026-12-31"})
    assert over.title == "The trading calendars go on"
