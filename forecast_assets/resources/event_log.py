"""Dagster's log of events in SQLite, with its databases kept open.

Dagster opens and closes a database for each event. The last one to close it flushes its write-ahead log to disk, which
takes longer than all else that an unchanged run does.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS


@dataclass(frozen=True)
class _Opened:
    """A database that is open; its file may be removed, and a process that was forked off must not use it."""

    engine: sqlalchemy.Engine
    process: int
    file: tuple[int, int] | None


class OpenEventLog(SqliteEventLogStorage):
    """Keeps the index and the last run's database open. Several processes may use the same files, as with Dagster's own."""

    def __init__(self, base_dir: str) -> None:
        self._opened: dict[str, _Opened] = {}
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            if shard not in self._initialized_dbs:
                self._initdb(self._engine(shard))
                self._initialized_dbs.add(shard)
            with self._engine(shard).connect() as connection:
                written = _changes(connection)
                with connection.begin():
                    yield connection
                if shard != INDEX_SHARD_NAME and _changes(connection) > written:
                    os.utime(
                        self.path_for_shard(shard)
                    )  # the UI watches the file, and what is written stands beside it

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        file, opened = _identity(self.path_for_shard(shard)), self._opened.get(shard)
        if opened is None or (opened.process, opened.file) != (os.getpid(), file):
            for other in [name for name in self._opened if name == shard or name != INDEX_SHARD_NAME]:
                self._close(other)
            opened = _Opened(
                sqlalchemy.create_engine(
                    self.conn_string_for_shard(shard),
                    poolclass=sqlalchemy.QueuePool,
                    pool_size=1,
                    max_overflow=4,  # tables are made over two
                    connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
                ),
                os.getpid(),
                file,
            )
            self._opened[shard] = opened
        return opened.engine

    def _close(self, shard: str) -> None:
        opened = self._opened.pop(shard)
        opened.engine.dispose(close=opened.process == os.getpid())

    def dispose(self) -> None:
        super().dispose()
        with self._db_lock:
            for shard in list(self._opened):
                self._close(shard)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _changes(connection: sqlalchemy.Connection) -> int:
    """Return the rows that the connection has written since it was opened."""
    return int(getattr(connection.connection.dbapi_connection, "total_changes", 0))
