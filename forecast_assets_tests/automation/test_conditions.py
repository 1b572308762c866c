"""What the automation requests, over nights at the year's turn."""

import datetime as dt

import dagster as dg

from forecast_assets.automation.conditions import CONDITIONED, new_years_and_reports
from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS
from forecast_assets.resources.panel_names import FIRST
from forecast_assets_tests.helpers.month import CHANGED, NEW_YEAR, Month, wrong


def test_a_new_year_is_requested_once_and_reports_follow_changed_results() -> None:
    """Some of its days; ``benchmarks.dagster_ui`` lives through all of them."""
    days = [CHANGED - dt.timedelta(days=1), CHANGED, NEW_YEAR, NEW_YEAR + dt.timedelta(days=1)]
    with dg.DagsterInstance.ephemeral() as instance:
        requests = Month(instance, days).pass_by()
    assert wrong(requests) == {"extra": [], "missing": []}


def test_the_automation_is_off_until_it_is_switched_on_and_says_what_it_costs() -> None:
    sensor = new_years_and_reports(FIRST)
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert "takes hours" in (sensor.description or "")


def test_nothing_of_a_night_is_requested_by_a_condition() -> None:
    assert not {*PANEL_ASSETS, *NIGHT_ASSETS} & set(CONDITIONED)
