"""Canary secrets: fake ones in every secret variable, failures everywhere, and a search of every byte left behind.

    python -m campaigns.canary          all failures, recorded

Each failure is a real process with all secrets in its environment; what it prints goes to a file beside the data root, the
Dagster home and the W&B folder, and all of that is searched: for the secret as it is, URL-encoded, in base64 at each
alignment and in hexadecimal, in files as they are and in what is packed in them (gzip, zip, SQLite, Parquet, PNG texts).
"""

import argparse
import base64
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from forecast_assets_tests.helpers.slack_api import CHANNEL, TOKEN, SlackApi
from tools.results import ROOT, record

NOWHERE = "127.0.0.1:9"
SECRETS = {
    "SLACK_BOT_TOKEN": TOKEN,
    "FORECAST_API_TOKEN": "canary-api+token/9fJ2=xYp0",
    "FORECAST_SMTP_URL": "smtp://alerts:canary-smtp+pass-Vt71mE@127.0.0.1:9",
    "FORECAST_WEBHOOK_URL": "http://127.0.0.1:9/canary-webhook-path-Zp44sD",
    "FORECAST_WEBHOOK_SECRET": "canary-webhook+secret/Qe93uK",
    "WANDB_API_KEY": "ca9a41e5" * 5,
    "AWS_SECRET_ACCESS_KEY": "canary/Aws+Secret/wJalr8XUtnFEMI",
    "AWS_SESSION_TOKEN": "canary//session+IQoJb3JpZ2luX2Vj",
    "PGPASSWORD": "canary-pg+pass/Tr0ub4dor",
    "DAGSTER_CLOUD_API_TOKEN": "canary-dagster+cloud/77aQ",
    "url password": "canary-url-pa55-Kq83vN",  # of whatever URL a user may name
    "proxy password": "canary-proxy-pa55-Lw20tB",
}
LOGIN = f"user:{SECRETS['url password']}"
FROM_ENVIRONMENT = {"env": "SLACK_BOT_TOKEN"}
LAUNCHED: list[dict[str, Any]] = [
    {},
    {"source": {"config": {"panel": "/proc/self/environ"}}},
    {"source": {"config": {"panel": FROM_ENVIRONMENT}}},
    {"settings": {"config": {"profile": FROM_ENVIRONMENT}}},
    {"settings": {"config": {"overrides": [FROM_ENVIRONMENT]}}},
    {"settings": {"config": {"overrides": ["+x=${oc.env:SLACK_BOT_TOKEN}"]}}},
    {"store": {"config": {"data_dir": FROM_ENVIRONMENT}}},
    {"compute": {"config": {"threads": FROM_ENVIRONMENT}}},
]
"""Resources of runs that are launched; all but the first ask for a secret."""
ALERT = """
import datetime as dt, logging, os, sys
logging.basicConfig(level=logging.DEBUG)
from forecast_assets.automation.outbox import Outbox
from forecast_assets.resources.channels.channel import Message
from forecast_assets.resources.channels.mail import AlertMail
from forecast_assets.resources.channels.slack import AlertSlack
from forecast_assets.resources.channels.webhook import AlertWebhook
os.environ |= {"FORECAST_MAIL_FROM": "alerts@forecasts.test", "FORECAST_MAIL_TO": "desk@forecasts.test"}
outbox = Outbox(sys.argv[1], [of(timeout_seconds=1) for of in (AlertSlack, AlertMail, AlertWebhook)])
message = Message("a.b.opened", "a", "b", "opened", "warning", "title", "text", "http://ui.test/")
outbox.enqueue([message], now=dt.datetime.now(dt.UTC))
for hour in range(4):
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2 * hour)
    print(outbox.deliver(now=later))
"""
BUG = """
import fastapi.testclient
from forecast_assets.resources import environment
from forecast_assets.serving.app import create_app
from forecast_assets.serving.loading import Loader
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import small_store
from forecast_assets.serving.snapshot import Snapshot
loader = small_store(Store("served"))
def broken(*_):
    raise RuntimeError("a bug")
token = environment.api_token()
with fastapi.testclient.TestClient(create_app(loader, token=token), raise_server_exceptions=False) as client:
    Snapshot.find = Snapshot.latest_day = broken
    for path in ("/predict?ticker=T9&date=2018-03-13", "/explain?ticker=T00"):
        for given in (token, "wrong", "Bearer " + token, "Bearer x" + token):
            answer = client.get(path, headers={"authorization": given})
            print(answer.status_code, dict(answer.headers), answer.text)
"""


def forms(secret: str) -> dict[str, bytes]:
    """Return the encodings that a secret is searched in."""
    plain = secret.encode()
    found = {"plain": plain, "url": quote(secret, safe="").encode(), "json": json.dumps(secret)[1:-1].encode()}
    found["hex"] = plain.hex().encode()
    for shift in range(3):  # alignments by the bytes before it; characters shared with them are cut off
        text = base64.b64encode(b"\0" * shift + plain)
        cut = text[4 if shift else 0 : -4]
        found[f"base64 {shift}"] = cut
        found[f"base64url {shift}"] = cut.replace(b"+", b"-").replace(b"/", b"_")
    return found


def contents(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and of what is packed in it."""
    data = path.read_bytes()
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                yield name.encode() + packed.read(name)
    if data[:16] == b"SQLite format 3\0":
        with tempfile.TemporaryDirectory() as folder:  # a copy, since reading may change the file
            copy = Path(folder) / path.name
            for suffix in ("", "-wal", "-shm"):
                if Path(f"{path}{suffix}").exists():
                    shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
            with sqlite3.connect(copy) as database:
                yield "\n".join(database.iterdump()).encode("utf-8", "replace")
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1":
        yield pl.read_parquet(path).select(pl.col(pl.String)).write_csv().encode()
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        yield from _png_texts(data)


def _png_texts(data: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        chunk = data[at + 8 : at + 8 + size]
        if kind == b"zTXt":
            yield zlib.decompress(chunk.partition(b"\0")[2][1:])
        elif kind == b"iTXt":
            yield chunk
        at += 12 + size


def leaks(root: Path) -> tuple[list[str], int]:
    """Search all files below ``root``; return (a line per file, secret and encoding found, files searched)."""
    wanted = {name: forms(secret) for name, secret in SECRETS.items()}
    found, files = [], 0
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        files += 1
        for data in contents(path):
            for name, spellings in wanted.items():
                found += [
                    f"{path.relative_to(root)}: {name} ({form})" for form, text in spellings.items() if text in data
                ]
    return sorted(set(found)), files


class Canary:
    """Causes failures below ``root``; ``logs`` holds what each printed or answered."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.logs.mkdir(parents=True)
        self.codes: dict[str, int] = {}
        given = {name: secret for name, secret in SECRETS.items() if " " not in name}
        keep = {
            name: value for name, value in os.environ.items() if not name.startswith(("FORECAST_", "WANDB_", "AWS_"))
        }
        self.environment = (
            keep
            | given
            | {
                "PYTHONPATH": str(ROOT),
                "DAGSTER_HOME": str(root / "home"),
                "FORECAST_PROFILE": "smoke",
                "FORECAST_DATA_DIR": str(root / "data"),
                "SLACK_CHANNEL": CHANNEL,
                "AWS_ACCESS_KEY_ID": "AKIACANARY",
                "AWS_ENDPOINT_URL": f"http://{NOWHERE}",
                "AWS_MAX_ATTEMPTS": "1",
                "WANDB_BASE_URL": f"http://{NOWHERE}",
                "WANDB_MODE": "offline",
                "HTTPS_PROXY": f"http://user:{SECRETS['proxy password']}@{NOWHERE}",
            }
        )

    def run(self, name: str, *arguments: str, **variables: str) -> None:
        """Run one process; its output becomes a log."""
        with (self.logs / f"{name}.txt").open("wb") as log:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.root,
                env=self.environment | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=500,
                check=False,
            )
        self.codes[name] = done.returncode

    def command(self, name: str, *arguments: str, **variables: str) -> None:
        """Run ``forecast-assets --debug ...``."""
        self.run(name, "-m", "forecast_assets.cli", "--debug", *arguments, **variables)

    def urls_with_credentials(self) -> None:
        """Pass credentials in URLs where they do not belong."""
        self.command("data url", "run", "--select", "raw_panel", FORECAST_DATA_DIR=f"s3://{LOGIN}@bucket/x")
        self.command("data url option", "status", "--data-dir", f"https://host/x?token={SECRETS['url password']}")
        self.command("panel url", "run", "--select", "raw_panel", "--panel", f"https://{LOGIN}@host/p.csv")
        macro = f"https://{LOGIN}@host/m.csv"
        self.command("macro url", "run", "--select", "macro_series", FORECAST_MACRO=macro)
        url = f"postgresql://{LOGIN}@{NOWHERE}/db"
        self.command("study", "sweep", "--storage", url)
        self.command("study setting", "run", "--select", "raw_panel", "--set", f"sweep.storage={url}")
        for name, wrong in (("postgres", url), ("postgres scheme", f"mysql://{LOGIN}@host/db")):
            self.command(name, "run", "--select", "raw_panel", FORECAST_DAGSTER_POSTGRES_URL=wrong)
        self.run("train", "-m", "forecast_assets.train", "model=tft", "exp_id=B3", "year=2019", f"sweep.storage={url}")

    def overrides(self) -> None:
        """Ask for secrets by settings that refer to the environment or hold one, and by paths."""
        token = SECRETS["SLACK_BOT_TOKEN"]
        for number, override in enumerate(
            (
                "+x=${oc.env:SLACK_BOT_TOKEN}",
                "backtest.cost_bps=${oc.env:AWS_SECRET_ACCESS_KEY}",
                "panel.columns={date: [${oc.env:FORECAST_API_TOKEN}]}",
                "${oc.env:SLACK_BOT_TOKEN}=1",
                "hydra.run.dir=${oc.env:SLACK_BOT_TOKEN}",
                f"backtest.cost_bps={token}",
            )
        ):
            self.command(f"override {number}", "run", "--select", "raw_panel", "--set", override)
        argument = "fit.hidden=${oc.env:SLACK_BOT_TOKEN}"
        self.run("train override", "-m", "forecast_assets.train", "model=tft", "exp_id=B3", "year=2019", argument)

    def unreachable(self) -> None:
        """Use servers that refuse connections."""
        self.command("s3", "run", "--select", "raw_panel", FORECAST_DATA_DIR="s3://bucket/root")

    def stages(self) -> None:
        """Run stages that fail by a user's mistake and by a bug, and a fit whose tracking fails."""
        (self.root / "bad.csv").write_text("Date,Ticker\n2020-01-02,A\n")
        self.command("ingest", "run", "--select", "raw_panel", "--panel", "bad.csv")
        panel = "raw_panel,macro_series,covariates,calendar_panel,feature_panel,windowed_tensors"
        self.command("panel", "run", "--select", panel)
        blocked = self.root / "data" / "store" / "baselines"
        blocked.write_text("a file where a folder belongs")
        self.command("bug", "run", "--select", "baselines", "--years", "2019")
        blocked.unlink()
        self.command("study server", "sweep", "--storage", f"postgresql://user@{NOWHERE}/db")
        self.command("tracking", "run", "--select", "sweep,b0_mlp", "--years", "2019", WANDB_MODE="online")
        self.command("tracking offline", "run", "--select", "b1_tft", "--years", "2019")

    def slack(self) -> None:
        """Send alerts while Slack rejects, fails, answers late or not at all."""
        with SlackApi() as api:
            api.faults = ["refused", "broken", "hangs"]
            self.run("slack", "-c", ALERT, "queue", SLACK_BASE_URL=api.url, HTTPS_PROXY="")
            self.run(
                "slack rejects", "-c", ALERT, "refused", SLACK_BASE_URL=api.url, SLACK_CHANNEL="C1", HTTPS_PROXY=""
            )
        nowhere = f"http://{LOGIN}@{NOWHERE}/api/"
        self.run("slack unreachable", "-c", ALERT, "unreachable", SLACK_BASE_URL=nowhere, HTTPS_PROXY="")
        self.run("slack behind a proxy", "-c", ALERT, "proxy")

    def bug(self) -> None:
        """Serve with a bug."""
        self.run("service bug", "-c", BUG)

    def service(self) -> None:
        """Request from the service without a token, with a wrong one, without data, on unknown paths."""
        port, token = "18991", SECRETS["FORECAST_API_TOKEN"]
        with (self.logs / "service.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "forecast_assets.cli", "serve", "--port", port],
                cwd=self.root,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            answers = []
            _until(lambda: ask(f"http://127.0.0.1:{port}/health/live", {})[0] == 200, seconds=120)
            for path in ("/predict?ticker=A", "/metrics", "/", "/docs", "/openapi.json", "/health/ready", "/nothing"):
                for given in ("", token, f"Bearer {token}", f"Bearer {token}x", f"Basic {token}"):
                    answers.append(ask(f"http://127.0.0.1:{port}{path}", {"authorization": given}))
            (self.logs / "answers.txt").write_text("\n".join(map(str, answers)))
            self.codes["service answers"] = len({status for status, _ in answers})
        finally:
            process.terminate()
            process.wait(60)

    def dagster(self) -> None:
        """Fail runs under the Dagster UI, some of which ask for secrets; keep events, configuration, logs and pages."""
        from forecast_assets_tests.helpers.server import DagsterServer

        with _environment(self.environment | {"FORECAST_PANEL": str(self.root / "bad.csv")}):
            folder = self.root / "ui"
            folder.mkdir()
            with DagsterServer(folder) as server:
                query = """mutation($p: ExecutionParams!){launchRun(executionParams: $p){__typename
                    ... on LaunchRunSuccess{run{runId}} ... on PythonError{message}}}"""
                selector = {
                    "repositoryLocationName": "forecast_assets",
                    "repositoryName": "__repository__",
                    "jobName": "panel",
                }
                answers: list[Any] = []
                for resources in LAUNCHED:
                    asked = {"selector": selector, "runConfigData": {"resources": resources}}
                    try:
                        answers.append(server.ask(query, {"p": asked})["launchRun"])
                    except urllib.error.HTTPError as refused:  # before it began: what it says is searched like the rest
                        answers.append(refused.read().decode(errors="replace"))
                launched = sum("run" in answer for answer in answers if isinstance(answer, dict))
                self.codes["launches refused"] = len(LAUNCHED) - launched
                runs = server.wait_for_runs(launched, seconds=240 * len(LAUNCHED))
                self.codes["dagster run"] = int({run["status"] for run in runs} == {"FAILURE"})
                pages = [
                    server.ask(
                        """query($id: ID!){runOrError(runId: $id){... on Run{status runConfigYaml tags{key value}
                        eventConnection{events{__typename ... on MessageEvent{message}
                        ... on ExecutionStepFailureEvent{error{message stack causes{message stack}}}}}}}}""",
                        {"id": run["runId"]},
                    )
                    for run in runs
                ]
                pages += answers
                pages += [
                    server.ask("{instance{info daemonHealth{allDaemonStatuses{daemonType}}}}"),
                    server.ask("{workspaceOrError{__typename ... on Workspace{locationEntries{name}}}}"),
                ]
                with urllib.request.urlopen(f"{server.url}/runs/{runs[0]['runId']}", timeout=60) as page:
                    (self.logs / "run page.html").write_bytes(page.read())
                (self.logs / "graphql.txt").write_text(json.dumps(pages))


def ask(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Return (status, headers and body); status 0 without an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, f"{answer.headers}{answer.read().decode(errors='replace')}"
    except urllib.error.HTTPError as error:
        return error.code, f"{error.headers}{error.read().decode(errors='replace')}"
    except OSError as error:
        return 0, str(error)


def _until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not there after {seconds:g} seconds")
        time.sleep(0.2)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Cause all failures, search, record."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        canary = Canary(root)
        for failures in (
            canary.urls_with_credentials,
            canary.overrides,
            canary.unreachable,
            canary.stages,
            canary.slack,
            canary.bug,
            canary.service,
            canary.dagster,
        ):
            failures()
        found, files = leaks(root)
        planted = root / "planted.txt"
        planted.write_text(f"https://{LOGIN}@host")
        control = len(leaks(root)[0]) - len(found)
    details: dict[str, Any] = {
        "leaks": found,
        "files_searched": files,
        "secrets": len(SECRETS),
        "exit_codes": canary.codes,
    }
    figures = {"secrets_leaked": {"value": len(found), "planted_and_found": control, **details}}
    print(json.dumps(figures, indent=2))
    print(record("canary", figures, command="python -m campaigns.canary"))


if __name__ == "__main__":
    main()
