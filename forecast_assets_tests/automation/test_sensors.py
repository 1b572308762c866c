"""The sensor as Dagster evaluates it, on a real instance, a real store and a Slack API on loopback."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from forecast_assets.assets.drift_checks import year_trained
from forecast_assets.automation.jobs import NIGHT_RUN
from forecast_assets.automation.sensors import alerts
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.resources.channels.table import open_channels
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.keys import sha256_text
from forecast_assets.store.store import Store
from forecast_assets_tests.automation.test_alerts import verdict
from forecast_assets_tests.helpers.graph import Graph, environment
from forecast_assets_tests.helpers.slack_api import CHANNEL, TOKEN, SlackApi


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackApi]:
    with SlackApi() as running:
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("SLACK_CHANNEL", CHANNEL)
        monkeypatch.setenv("SLACK_BASE_URL", running.url)
        yield running


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as made:
        yield made


def night(root: Path, day: int, **states: str) -> None:
    store, found = Store(root / "store"), verdict(day, **states)
    staging = store.stage("drift_checks", found["as_of"], input_key=sha256_text(json.dumps(found)))
    (staging.path / "verdict.json").write_text(json.dumps(found))
    fields = {"parents": {}, "config": {}, "code_version": "0", "seeds": [], "slices": {}, "facts": {}}
    store.commit(staging, fields)  # type: ignore[arg-type]


def tick(root: Path, instance: dg.DagsterInstance) -> str:
    resources = {
        "store": StoreResource(data_dir=str(root)),
        "settings": SettingsResource(profile="smoke"),
        "source": PanelSource(),
        "alert_channels": open_channels(),
    }
    with (
        environment(FORECAST_DATA_DIR=root),
        dg.build_sensor_context(instance=instance, resources=resources) as context,
    ):
        outcome = alerts(context)
    assert isinstance(outcome, dg.SkipReason)
    return str(outcome.skip_message)


def ended(name: str, instance: dg.DagsterInstance, *, well: bool = True, tags: dict[str, str] | None = None) -> None:
    """A run of a job called ``name``, and how it ended."""

    @dg.op
    def step() -> None:
        if not well:
            raise RuntimeError("on purpose")

    @dg.job(name=name)
    def job() -> None:
        step()

    assert job.execute_in_process(instance=instance, raise_on_error=False, tags=tags).success == well


def test_an_episode_makes_one_message_and_its_end_another_across_ticks(
    tmp_path: Path, instance: dg.DagsterInstance, api: SlackApi
) -> None:
    night(tmp_path, 1, alarm="warning")
    assert tick(tmp_path, instance) == "1 messages sent."
    assert tick(tmp_path, instance) == "No message waits."
    night(tmp_path, 2, alarm="warning")
    assert tick(tmp_path, instance) == "No message waits."
    night(tmp_path, 3)
    night(tmp_path, 4, rule="information")
    assert tick(tmp_path, instance) == "2 messages sent."
    titles = [text.split("*")[1] for text in api.texts]
    assert titles == [
        ":warning: Coverage alarm",
        ":white_check_mark: Coverage alarm is over",
        ":information_source: Coverage outside the plan's limits",
    ]
    assert "assets/drift_checks?partition=2025-07-01" in api.texts[0]


def test_a_failed_nightly_run_is_reported_once_and_so_is_the_next_success(
    tmp_path: Path, instance: dg.DagsterInstance, api: SlackApi
) -> None:
    for _ in range(2):
        ended("nightly", instance, well=False)
        tick(tmp_path, instance)
    ended("nightly", instance)
    tick(tmp_path, instance)
    assert [text.split("*")[1] for text in api.texts] == [
        ":x: The nightly run failed",
        ":white_check_mark: The nightly run succeeded again",
    ]


def test_a_panel_that_could_not_be_read_is_reported_if_the_night_needed_it(
    tmp_path: Path, instance: dg.DagsterInstance, api: SlackApi
) -> None:
    night = {NIGHT_RUN: "2025-07-01T22:00:00-04:00"}
    ended("panel", instance, well=False)
    tick(tmp_path, instance)
    assert api.texts == []
    ended("panel", instance, well=False, tags=night)
    ended("panel", instance)  # by hand: the night has still not been started again
    tick(tmp_path, instance)
    ended("panel", instance, tags=night)
    tick(tmp_path, instance)
    assert [text.split("*")[1] for text in api.texts] == [
        ":x: The night's panel was not read",
        ":white_check_mark: The night's panel was read again",
    ]


def test_a_damaged_verdict_fails_the_tick_and_still_lets_waiting_messages_out(
    tmp_path: Path, instance: dg.DagsterInstance, api: SlackApi
) -> None:
    night(tmp_path, 1, alarm="warning")
    api.faults, api.retry_after_seconds = ["busy"], 1
    tick(tmp_path, instance)
    night(tmp_path, 2)
    store = Store(tmp_path / "store")
    store.current("drift_checks", "2025-07-02").path("verdict.json").write_text("{")
    time.sleep(1)  # as long as Slack asked to wait
    with pytest.raises(CorruptArtefact, match="2025-07-02"):
        tick(tmp_path, instance)
    assert len(api.posted) == 1


def test_the_drift_checks_of_the_graph_show_plots_and_warnings_that_stop_nothing(smoke_graph: Graph) -> None:
    day = smoke_graph.store.partitions("drift_checks")[-1]
    version = smoke_graph.version("drift_checks", day)
    assert {"plot-coverage.png", "plot-feature_distances.png", "plot-pit.png"} <= set(version.manifest.files)
    checks = version.manifest.facts["checks"]
    assert set(checks) == {
        "features_like_the_reference",
        "coverage_within_limits",
        "estimated_loss_as_usual",
        "year_is_trained",
    }
    assert all(check["warns"] for check in checks.values() if not check["passed"])


def test_the_first_night_of_a_year_without_a_model_says_what_to_click() -> None:
    assert year_trained(dt.date(2026, 12, 31), newest="2026").passed
    check = year_trained(dt.date(2027, 1, 4), newest="2026")
    assert (check.passed, check.warns) == (False, True)
    assert check.description.startswith("the panel has 2027 and no model is trained for it: an earlier year's goes on")
    assert "In the UI, materialise partition 2027 of the job walk_forward and then report" in check.description
