"""A Postgres server of a test's own, on loopback, with a password; Debian's ``postgresql`` is enough."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

USER = "forecast"


def server_programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``; Debian keeps them off the PATH, in a folder per version."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    return Path(found).parent if found else None


needs_postgres = pytest.mark.skipif(
    server_programs() is None, reason="no Postgres server installed; install Debian's package postgresql"
)


class PostgresServer:
    """``with PostgresServer() as server: connect(server.url)``; its files are removed at the end."""

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        programs = server_programs()
        assert programs is not None
        # The server does not run as root, and its user may not enter the folders that pytest makes for root.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.log = self.folder / "log"
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644 if owner else 0o600)
        data = self.folder / "data"
        made = [str(programs / "initdb"), "-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}"]
        made += ["--locale=C", "--encoding=UTF8", "--no-sync"]
        subprocess.run(made, cwd=self.folder, check=True, capture_output=True, **owner)
        secret.unlink()
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options["log_statement"] = "all"  # a password in any statement would appear in the log
        command = [
            str(programs / "postgres"),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **owner)
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGINT)  # its "fast" shutdown: no waiting for clients
        try:
            self.process.wait(timeout=30)
        finally:
            shutil.rmtree(self.folder)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        import psycopg2

        connection = psycopg2.connect(self.url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def _wait(self) -> None:
        import psycopg2

        until = time.monotonic() + 60
        while True:
            try:
                psycopg2.connect(self.url).close()
                return
            except psycopg2.OperationalError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.05)
