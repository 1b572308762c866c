"""Dagster's storage of runs, events and schedules: SQLite in its home, or Postgres where the environment names one.

Named in dagster.yaml, so that all processes of an instance use the same: commands, webserver, daemon, code server and runs.
The URL stays in the environment: Dagster passes an instance on by command line, which the process list shows.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import dagster as dg
import sqlalchemy
from dagster import StringSource
from dagster._config import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy.engine.interfaces import DBAPIConnection

from forecast_assets.core.errors import BadSetting
from forecast_assets.resources import environment
from forecast_assets.resources.event_log import OpenEventLog
from forecast_assets.store.locks import exclusive

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
DRIVER = "postgresql+psycopg2"
"""The driver that dagster-postgres installs; for a plain ``postgresql://`` SQLAlchemy 2.1 would use psycopg 3."""

TABLES_LOCK = 0x666F726563617374  # number of the advisory lock ("forecast" in ASCII) held while tables are created


class EnvironmentStorage(DagsterStorage[dg.DagsterInstance], ConfigurableClass):
    """One of Dagster's own storages, chosen by ``FORECAST_DAGSTER_POSTGRES_URL``; ``home`` is for SQLite's files."""

    def __init__(self, home: Path, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        url = environment.dagster_postgres_url()
        self._storage = sqlite_storage(home) if url is None else postgres_storage(url)
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(Path(config_value["home"]), inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        super().register_instance(instance)
        self._storage.register_instance(instance)

    @property
    def run_storage(self) -> RunStorage[dg.DagsterInstance]:
        return self._storage.run_storage

    @property
    def event_log_storage(self) -> EventLogStorage[dg.DagsterInstance]:
        return self._storage.event_log_storage

    @property
    def schedule_storage(self) -> ScheduleStorage[dg.DagsterInstance]:
        return self._storage.schedule_storage


class SqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with an event log that stays open."""

    def __init__(self, base_dir: str) -> None:
        super().__init__(base_dir)
        self._event_log_storage = OpenEventLog(str(Path(base_dir, "history", "runs")))


def sqlite_storage(home: Path) -> DagsterStorage[dg.DagsterInstance]:
    """Open SQLite in ``home``, one process at a time: where several create the tables at once, runs get lost."""
    if not sqlalchemy.event.contains(sqlalchemy.Engine, "connect", flush_at_checkpoints):
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", flush_at_checkpoints)
    with exclusive(home / ".sqlite.lock", what="Dagster's SQLite tables"):
        return SqliteStorage(str(home))


def flush_at_checkpoints(connection: DBAPIConnection, _record: object) -> None:
    """Let a SQLite database with a write-ahead log be flushed to disk at its checkpoints, not after each event.

    A run writes hundreds of events. A process that is killed loses none; a power cut may take the last ones, which are
    Dagster's history: what a run makes has its own durable steps in the store.
    """
    if isinstance(connection, sqlite3.Connection) and connection.execute("pragma journal_mode").fetchone() == ("wal",):
        connection.execute("pragma synchronous=normal")


def postgres_storage(url: str) -> DagsterStorage[dg.DagsterInstance]:
    """Open Postgres at ``url``, one process at a time: where several create the tables at once, some fail.

    Raises BadSetting where there is no connection; no message repeats the URL, which has a password.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not urlsplit(url).hostname:
        raise BadSetting("FORECAST_DAGSTER_POSTGRES_URL: write it like postgresql://user:password@host:5432/database")
    try:
        from dagster_postgres import DagsterPostgresStorage
        from dagster_postgres.utils import DagsterPostgresException, retry_pg_connection_fn
    except ModuleNotFoundError as error:
        raise BadSetting(
            "FORECAST_DAGSTER_POSTGRES_URL: dagster-postgres is not installed; pip install 'forecast-assets[postgres]'"
        ) from error
    try:
        engine = sqlalchemy.create_engine(f"{DRIVER}://{rest}", poolclass=sqlalchemy.NullPool)
        with retry_pg_connection_fn(engine.connect) as connection:
            connection.execute(sqlalchemy.text(f"select pg_advisory_xact_lock({TABLES_LOCK})"))  # until it is closed
            return DagsterPostgresStorage(f"{DRIVER}://{rest}")
    except DagsterPostgresException as error:
        reason = str(error.__cause__).partition("\n")[0]
        raise BadSetting(
            f"FORECAST_DAGSTER_POSTGRES_URL: no connection to {urlsplit(url).hostname}: {reason}"
        ) from error
