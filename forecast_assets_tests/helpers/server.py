"""A real Dagster webserver with its daemon, on loopback, for tests that use the graph as users do."""

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

from forecast_assets_tests.helpers.paths import PROJECT

FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DagsterServer:
    """What ``make dev`` starts, on the project's workspace, smoke profile, a data root and a Dagster home of its own.

    A second one on the same ``root`` continues with the first one's files. ``variables`` are added to the environment.
    ``workspace``: the code locations.
    """

    def __init__(
        self, root: Path, *, home: str = "dagster_home", workspace: str = "workspace.yaml", **variables: str
    ) -> None:
        self.workspace = workspace
        self.root = root
        self.home = root / home
        self.variables = variables
        self.log = root / "server.log"

    def __enter__(self) -> Self:
        self.home.mkdir(exist_ok=True)  # exists where a killed server is started again
        shutil.copyfile(PROJECT / "dagster_home" / "dagster.yaml", self.home / "dagster.yaml")
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        with self.log.open("ab") as log:
            for program, *arguments in self.commands():
                process = subprocess.Popen(
                    [str(Path(sys.executable).parent / program), *arguments],
                    cwd=PROJECT,
                    env=self.environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=self.processes[0].pid if self.processes else 0,
                )
                self.processes.append(process)
                self.started(len(self.processes))
        self.wait("the webserver", self._answers, seconds=90)
        return self

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its programs."""
        return {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "FORECAST_DATA_DIR": str(self.root / "data"),
            "FORECAST_PROFILE": "smoke",
            **self.variables,
        }

    def command(self, *arguments: str) -> None:
        """Type a forecast-assets command beside it, on its data and Dagster home."""
        program = [sys.executable, "-m", "forecast_assets.cli", *arguments]
        done = subprocess.run(program, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def commands(self) -> list[list[str]]:
        """Return the programs to start, with arguments; all of them end together."""
        return [["forecast-assets", "ui", "-w", self.workspace, "-h", "127.0.0.1", "-p", str(self.port)]]

    def started(self, count: int) -> None:
        """Wait for what the next program needs, once ``count`` programs were started."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if all(process.poll() is not None for process in self.processes):
            return
        os.killpg(self.processes[0].pid, signal.SIGTERM)
        try:
            for process in self.processes:
                process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would."""
        os.killpg(self.processes[0].pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """Return the data of a GraphQL answer. Raises AssertionError with its errors."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, newest first."""
        query = "{runsOrError{... on Runs{results{runId status jobName tags{key value}}}}}"
        return self.ask(query)["runsOrError"]["results"]

    def runs_of_jobs(self) -> set[str]:
        """Return the runs that the pages of the jobs list, and Overview has: those of the code location, once begun."""
        query = """{repositoryOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName:
            "forecast_assets"}){... on Repository{jobs{runs{runId startTime repositoryOrigin{id}}}}}}"""
        listed = [run for job in self.ask(query)["repositoryOrError"]["jobs"] for run in job["runs"]]
        return {run["runId"] for run in listed if run["startTime"] is not None and run["repositoryOrigin"] is not None}

    def switch_on(self, schedule: str, *, location: str = "forecast_assets") -> None:
        """Start a schedule, as its switch in the UI does."""
        query = """mutation($s: ScheduleSelector!){startSchedule(scheduleSelector: $s){__typename
            ... on ScheduleStateResult{scheduleState{status}} ... on PythonError{message}}}"""
        code = {"repositoryName": "__repository__", "repositoryLocationName": location}
        answer = self.ask(query, {"s": {**code, "scheduleName": schedule}})["startSchedule"]
        assert answer.get("scheduleState") == {"status": "RUNNING"}, answer

    def backfill(self, assets: list[str], partitions: list[str]) -> None:
        """Launch a backfill, as the UI's button does."""
        parameters = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": partitions}
        query = """mutation($p: LaunchBackfillParams!){launchPartitionBackfill(backfillParams: $p){
            ... on LaunchBackfillSuccess{backfillId} ... on PythonError{message}}}"""
        assert "backfillId" in self.ask(query, {"p": parameters})["launchPartitionBackfill"]

    def backfills(self) -> dict[str, str]:
        """Return the backfills and their statuses, newest first."""
        query = "{partitionBackfillsOrError{... on PartitionBackfills{results{id status}}}}"
        return {each["id"]: each["status"] for each in self.ask(query)["partitionBackfillsOrError"]["results"]}

    def cancel(self, backfill: str) -> None:
        """Cancel a backfill and end its runs, as the UI's button does; return once a run has heard of it."""
        self.ask("mutation($b: String!){cancelPartitionBackfill(backfillId: $b){__typename}}", {"b": backfill})
        running = [run["runId"] for run in self.runs() if run["status"] not in FINISHED]
        self.ask("mutation($r: [String!]!){terminateRuns(runIds: $r){__typename}}", {"r": running})
        query = (
            """query($r: ID!){logsForRun(runId: $r){... on EventConnection{events{... on MessageEvent{message}}}}}"""
        )

        def heard() -> bool:
            events = self.ask(query, {"r": running[0]})["logsForRun"]["events"]
            return any("termination signal" in event["message"] for event in events)

        self.wait("the signal's arrival", heard, seconds=60)

    def wait_for_runs(self, count: int, *, seconds: float) -> list[dict[str, Any]]:
        """Wait until ``count`` runs exist and all have finished; return them."""
        done: list[dict[str, Any]] = []

        def finished() -> bool:
            done[:] = self.runs()
            return len(done) >= count and all(run["status"] in FINISHED for run in done)

        self.wait(f"{count} runs", finished, seconds=seconds)
        return done

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float, every: float = 0.5) -> None:
        until = time.monotonic() + seconds
        while not condition():
            ended = any(process.poll() is not None for process in self.processes)
            assert not ended, f"the server stopped:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{what}: timed out after {seconds} s\n{self.log.read_text()[-2000:]}"
            time.sleep(every)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("{version}"))
        except OSError:
            return False


class DagsterDeployment(DagsterServer):
    """Code server, webserver and daemon as processes of their own, as a machine's service manager runs them.

    Unlike those of ``make dev``, they survive a jump of the wall clock: no heartbeat ties one to the other.
    """

    def commands(self) -> list[list[str]]:
        self.code_port = free_port()
        server = {"host": "127.0.0.1", "port": self.code_port, "location_name": "forecast_assets"}
        workspace = self.root / "deployment.yaml"
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        module = ["-m", "forecast_assets.definitions", "--inject-env-vars-from-instance"]
        return [
            ["dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(self.code_port), *module],
            [
                "python",
                "-m",
                "forecast_assets.webserver",
                "-w",
                str(workspace),
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
            ],
            ["dagster-daemon", "run", "-w", str(workspace)],
        ]

    def started(self, count: int) -> None:
        if count == 1:  # the others give up on a code location that does not answer at once
            self.wait("the code server", self._has_code, seconds=90)

    def _has_code(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.code_port), timeout=1).close()
        except OSError:
            return False
        return True
