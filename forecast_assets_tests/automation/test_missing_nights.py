"""No silent gap: what failed, was delivered late or hidden by an odd date stays due, and is tried again in turn."""

import json
from pathlib import Path

import dagster as dg
import pytest

from forecast_assets.automation.jobs import NIGHT_RUN, NIGHTLY
from forecast_assets.automation.nights import NIGHT, due_nights, skip_nights
from forecast_assets.automation.schedules import next_night, next_night_after_a_failure
from forecast_assets.core.errors import BadSetting
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.asset_keys import RAW_PANEL
from forecast_assets.store.panel_in_use import days_in_panel, untrained_years
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import publish

SESSIONS = [f"2025-0{month}-{day:02d}" for month in (3, 4) for day in range(1, 29)]


def panel(root: Path, sessions: list[str], *, years: tuple[str, ...] = ("2025",)) -> Store:
    """A store whose panel has these sessions."""
    store = Store(root / "store")
    contents = {"years": list(years), "days": sessions[-30:], "sessions": sessions}
    publish(store, {PARTITIONS: json.dumps(contents)}, asset=RAW_PANEL)
    return store


def night(store: Store, day: str, *, assets: tuple[str, ...] = NIGHT) -> None:
    for asset in assets:
        publish(store, {"f": "x"}, asset=asset, partition=day)


def test_a_night_that_failed_between_two_others_is_due_until_it_is_done(tmp_path: Path) -> None:
    store = panel(tmp_path, SESSIONS[:3])
    night(store, SESSIONS[0])
    night(store, SESSIONS[2])
    assert due_nights(store, str(tmp_path)) == [SESSIONS[1]]
    night(store, SESSIONS[1], assets=NIGHT[:1])
    assert due_nights(store, str(tmp_path)) == [SESSIONS[1]]  # its positions and checks are missing still
    night(store, SESSIONS[1], assets=NIGHT[1:])
    assert due_nights(store, str(tmp_path)) == []


def test_every_session_of_a_late_delivery_is_due_however_many_there_are(tmp_path: Path) -> None:
    store = panel(tmp_path, SESSIONS[:40])
    night(store, SESSIONS[0])
    assert due_nights(store, str(tmp_path)) == SESSIONS[1:40]


def test_a_night_dated_ahead_stops_no_real_one(tmp_path: Path) -> None:
    store = panel(tmp_path, SESSIONS[:3])
    night(store, SESSIONS[0])
    night(store, "2062-05-01")
    assert due_nights(store, str(tmp_path)) == SESSIONS[1:3]
    assert days_in_panel(store, NIGHT[0]) == [SESSIONS[0]]


def test_a_missing_night_can_be_given_up_by_name_and_no_other(tmp_path: Path) -> None:
    store, root = panel(tmp_path, SESSIONS[:4]), str(tmp_path)
    night(store, SESSIONS[0])
    night(store, SESSIONS[3])
    for odd in (SESSIONS[0], SESSIONS[3], "yesterday", "2062-05-01"):
        with pytest.raises(BadSetting, match=f"'{odd}' is not missing; due are {SESSIONS[1]}, {SESSIONS[2]}"):
            skip_nights(store, root, [SESSIONS[1], odd])
    assert due_nights(store, root) == SESSIONS[1:3]
    skip_nights(store, root, [SESSIONS[1]])
    assert due_nights(store, root) == [SESSIONS[2]]


def test_before_the_first_night_the_last_session_alone_is_due(tmp_path: Path) -> None:
    assert due_nights(panel(tmp_path, SESSIONS[:3]), str(tmp_path)) == [SESSIONS[2]]


def test_a_year_of_the_panel_without_an_ensemble_is_untrained(tmp_path: Path) -> None:
    store = panel(tmp_path, SESSIONS, years=("2024", "2025", "2026"))
    assert untrained_years(store) == []  # nothing is trained yet: no year is new
    publish(store, {"f": "x"}, asset="ensemble", partition="2025")
    assert untrained_years(store) == ["2026"]
    publish(store, {"f": "x"}, asset="ensemble", partition="2026")
    assert untrained_years(store) == []


def test_a_failed_night_is_passed_over_once_per_tick_and_holds_up_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))
    store = panel(tmp_path, SESSIONS[:4])
    night(store, SESSIONS[0])
    with dg.DagsterInstance.ephemeral() as instance:

        def ended(day: str, *, well: bool, tick: str = "1", **tags: str) -> object:
            """What follows a run of the night of ``day``."""
            status = dg.DagsterRunStatus.SUCCESS if well else dg.DagsterRunStatus.FAILURE
            run = instance.create_run_for_job(
                nightly_job(), tags={NIGHT_RUN: tick, "dagster/partition": day, **tags}, status=status
            )
            if well:
                night(store, day)
            sensor = next_night if well else next_night_after_a_failure
            kind = "PIPELINE_SUCCESS" if well else "PIPELINE_FAILURE"
            event = dg.DagsterEvent(event_type_value=kind, job_name=NIGHTLY.name, message="")
            context = dg.build_run_status_sensor_context(sensor.name, event, instance, run)
            resources = {"store": StoreResource(data_dir=str(tmp_path)), "settings": SettingsResource(profile="smoke")}
            return sensor(context, **resources)

        retried = ended(SESSIONS[1], well=False, **{"dagster/will_retry": "true"})
        assert isinstance(retried, dg.SkipReason)
        following = ended(SESSIONS[1], well=False)
        assert isinstance(following, dg.RunRequest)
        assert following.partition_key == SESSIONS[2]
        following = ended(SESSIONS[2], well=True)
        assert isinstance(following, dg.RunRequest)
        assert following.partition_key == SESSIONS[3]
        last = ended(SESSIONS[3], well=True)
        assert isinstance(last, dg.SkipReason)
        assert last.skip_message == f"tried and still due: {SESSIONS[1]}"
        night(store, SESSIONS[1])
        done = ended(SESSIONS[1], well=True, tick="2")
        assert isinstance(done, dg.SkipReason)
        assert done.skip_message == "no night is due"


def nightly_job() -> dg.JobDefinition:
    @dg.job(name=NIGHTLY.name)
    def job() -> None:
        pass

    return job
