"""Dagster's storage: chosen by one variable, and no run is lost when many begin at once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_shared.serdes import serialize_value

from forecast_assets.cli.materialise import prepare_home
from forecast_assets.core.errors import BadSetting
from forecast_assets.resources.run_storage import postgres_storage
from forecast_assets_tests.resources.postgres import PostgresServer, needs_postgres

CROWD = 8


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home as the commands make it, not yet used."""
    prepare_home(tmp_path / "home")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


def run_at_once() -> str:
    """Return the output of the processes, all of which must have succeeded."""
    command = [sys.executable, "-m", "forecast_assets_tests.resources.crowd", str(CROWD)]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def ended(instance: dg.DagsterInstance) -> list[str]:
    """How each run that is on record ended, by its row and by its own events."""
    statuses = []
    for run in instance.get_runs():
        assert instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_SUCCESS)
        statuses.append(run.status.value)
    return statuses


def test_in_a_fresh_home_runs_that_begin_at_once_are_all_on_record(home: Path) -> None:
    run_at_once()
    with dg.DagsterInstance.get() as instance:
        assert ended(instance) == ["SUCCESS"] * CROWD
    assert (home / "history" / "runs.db").exists()


@needs_postgres
def test_one_variable_moves_all_storage_to_postgres_and_shows_no_password(
    home: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DAGSTER_POSTGRES_URL", server.url)
    output = run_at_once()
    assert server.ask("select status, count(*) from runs group by status") == [("SUCCESS", CROWD)]
    assert server.ask(
        "select count(distinct run_id) from event_logs where dagster_event_type = 'PIPELINE_SUCCESS'"
    ) == [(CROWD,)]
    assert server.ask("select count(*) from job_ticks") == [(CROWD,)]
    with dg.DagsterInstance.get() as instance:
        assert ended(instance) == ["SUCCESS"] * CROWD
        output += serialize_value(instance.get_ref())  # what Dagster passes on by command line
    assert not [path for path in home.rglob("*") if path.suffix == ".db"]
    output += "".join(path.read_text(errors="replace") for path in home.rglob("*") if path.is_file())
    output += server.log.read_text()
    for table in ("runs", "event_logs", "job_ticks"):
        output += str(server.ask(f"select * from {table}"))
    assert "postgres_url" not in output
    assert server.password not in output


@needs_postgres
def test_a_wrong_password_is_one_sentence_that_does_not_repeat_it(server: PostgresServer) -> None:
    with pytest.raises(BadSetting, match=r"no connection to 127\.0\.0\.1: .*password authentication failed") as caught:
        postgres_storage(server.url.replace(server.password, "guessed-wrong"))
    assert "guessed-wrong" not in str(caught.value)


def test_a_url_of_another_database_raises_with_the_right_form() -> None:
    with pytest.raises(BadSetting, match="write it like postgresql://user:password@host:5432/database"):
        postgres_storage("mysql://forecast:secret@db/forecast")
