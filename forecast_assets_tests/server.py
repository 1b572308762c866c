"""A real Dagster webserver with its daemon, on loopback, for tests that use the graph as people do."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).parent.parent
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


class DagsterServer:
    """``dagster dev`` on the project's workspace, smoke profile, a data root and a Dagster home of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "server.log"

    def __enter__(self) -> Self:
        home = self.root / "dagster_home"
        home.mkdir()
        shutil.copyfile(PROJECT / "dagster_home" / "dagster.yaml", home / "dagster.yaml")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "FORECAST_DATA_DIR": str(self.root / "data"),
            "FORECAST_PROFILE": "smoke",
        }
        arguments = ["dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster", *arguments],
                cwd=PROJECT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait("the webserver", self._answers, seconds=90)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a GraphQL answer; an AssertionError with its errors."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def runs(self) -> list[dict[str, Any]]:
        return self.ask("{runsOrError{... on Runs{results{runId status jobName}}}}")["runsOrError"]["results"]

    def backfill(self, assets: list[str], partitions: list[str]) -> None:
        """Launch what the UI's "Launch backfill" launches."""
        parameters = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": partitions}
        query = """mutation($p: LaunchBackfillParams!){launchPartitionBackfill(backfillParams: $p){
            ... on LaunchBackfillSuccess{backfillId} ... on PythonError{message}}}"""
        assert "backfillId" in self.ask(query, {"p": parameters})["launchPartitionBackfill"]

    def wait_for_runs(self, count: int, *, seconds: float) -> list[dict[str, Any]]:
        """Until that many runs exist and all have finished."""
        done: list[dict[str, Any]] = []

        def finished() -> bool:
            done[:] = self.runs()
            return len(done) >= count and all(run["status"] in FINISHED for run in done)

        self.wait(f"{count} runs", finished, seconds=seconds)
        return done

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the server stopped:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{what}: not there after {seconds} s\n{self.log.read_text()[-2000:]}"
            time.sleep(0.5)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("{version}"))
        except OSError:
            return False
