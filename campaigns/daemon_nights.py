"""Ten nights through the real daemon: three exchanges, both clock changes, a half-day, holidays and an unreliable data feed.

    python -m campaigns.daemon_nights          about half an hour on two cores

Webserver, daemon and code server run with their wall clock moved (campaigns/clock.py) and the nightly
schedule switched on. Each session's rows arrive as a file before 22:00 New York, except as listed below, and nothing is
started by hand. Alerts go to a Slack server on loopback.

    Fri 25 Oct 2019   an ordinary night; Europe's clocks change on Sunday
    Mon 28            an ordinary night; then the machine loses power (kill -9 of everything)
    Tue 29 - Thu 31   off; the files arrive all the same
    Fri  1 Nov        on again at 08:00: three nights to catch up with. A half-day in Stockholm. New York's clocks change
    Mon  4            a holiday in Tokyo. The file is late and comes after the night's tick
    Tue  5            Stockholm's rows are missing: the night waits for them until 01:00
    Wed  6            they arrive, with a revised close of Monday
    Thu  7            an ordinary night

A session is right if it has one committed night whose forecasts of that day are those of the tickers whose rows had arrived,
each within 1e-6 of what ``forecast-assets nightly`` makes of the same files, one command after the other without a daemon,
and until the revision also of the walk-forward over the whole panel. (After it no walk-forward is comparable: calibration
follows the forecasts that the nights before had issued.)
"""

import argparse
import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from campaigns.clock import MovedClock
from forecast_assets.automation.jobs import PANEL
from forecast_assets.automation.schedules import nightly_schedule
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.core.models.catalogue import NETWORKS
from forecast_assets.core.panel.demo import demo_panel
from forecast_assets.core.specs import DemoSpec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.server import FINISHED, DagsterDeployment, DagsterServer
from forecast_assets_tests.helpers.slack_api import CHANNEL, TOKEN, SlackApi
from tools.results import record

EXCHANGES = (("XNYS", ""), ("XSTO", ".ST"), ("XTKS", ".T"))
HISTORY_ENDS = dt.date(2019, 10, 24)
SESSIONS = tuple(dt.date(2019, 10, day) for day in (25, 28, 29, 30, 31)) + tuple(
    dt.date(2019, 11, day) for day in (1, 4, 5, 6, 7)
)
OUTAGE = SESSIONS[2:5]
LATE, MISSING, REVISING = SESSIONS[6:9]
REVISED = ("SYN03", LATE)
REVISION = 1.02
NEW_YORK = ZoneInfo("America/New_York")
TIMEOUT_SECONDS = 900
TOLERANCE = 1e-6
PREPARED = "prepared"
"""Folder of the store as it was before the first night."""
UP_TO_ENSEMBLE = (
    *("raw_panel", "rejected_rows", "calendar_panel", "announcements"),
    *("macro_series", "covariates", "feature_panel", "windowed_tensors", "sweep"),
    *("baselines", *NETWORKS, "ensemble"),
)
QUIET = 60
"""Checks, half a second apart, without a new run, before a night counts as over."""


def at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    """Return a wall-clock time in New York."""
    return dt.datetime.combine(day, dt.time(hour, minute), NEW_YORK)


class Feed:
    """A data vendor: one panel, delivered to a folder of input files a session at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delivered: set[dt.date] = set()
        self.panel = demo_panel(DemoSpec(tickers=9, start=dt.date(2016, 1, 4), end=SESSIONS[-1]), exchanges=EXCHANGES)
        self.revision = self.panel.filter(pl.col("Ticker") == REVISED[0], pl.col("Date") == REVISED[1]).with_columns(
            pl.col("Closing Price") * REVISION
        )
        assert self.revision.height == 1
        folder.mkdir()
        self._write("history", self.panel.filter(pl.col("Date") <= HISTORY_ENDS))

    def complete(self, folder: Path) -> Path:
        """Write the whole panel, never revised, as one file into a folder; return the folder."""
        folder.mkdir()
        self.panel.write_csv(folder / "panel.csv")
        return folder

    def deliver(self, day: dt.date) -> None:
        """Write the file of a session, as far as the vendor has it, unless it was delivered before."""
        if day in self.delivered:
            return
        self.delivered.add(day)
        missing = pl.col("Ticker").str.ends_with(".ST") & (pl.col("Date") == MISSING)
        rows = self.panel.filter(pl.col("Date") == day)
        if day == MISSING:
            rows = rows.filter(~missing)
        if day == REVISING:
            rows = pl.concat([self.panel.filter(missing), self.revision, rows])
        self._write(str(day), rows)

    def tickers(self, day: dt.date) -> list[str]:
        """Return the tickers that traded on ``day`` and whose rows had arrived by the night."""
        rows = self.panel.filter(pl.col("Date") == day)
        if day == MISSING:
            rows = rows.filter(~pl.col("Ticker").str.ends_with(".ST"))
        return rows["Ticker"].sort().to_list()

    def _write(self, name: str, rows: pl.DataFrame) -> None:
        rows.write_csv(self.folder / f"{name}.part")
        (self.folder / f"{name}.part").rename(self.folder / f"{name}.csv")  # so that the file appears complete


class Nights:
    """A machine with its clock, its data feed and its Slack."""

    def __init__(self, root: Path, slack: SlackApi) -> None:
        self.root = root
        self.feed = Feed(root / "input_files")
        self.clock = MovedClock(root / "clock", at(HISTORY_ENDS, 23))
        self.store = Store(root / "data" / "store")
        self.slack = slack

    @property
    def variables(self) -> dict[str, str]:
        return {
            **self.clock.variables,
            "FORECAST_PANEL": str(self.feed.folder),
            "WANDB_MODE": "disabled",
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_CHANNEL": CHANNEL,
            "SLACK_BASE_URL": self.slack.url,
        }

    def command(self, root: Path, files: Path, *words: str) -> Store:
        """Run a ``forecast-assets`` command on a data root of its own; return its store."""
        (root / "home").mkdir(parents=True, exist_ok=True)
        places = {"DAGSTER_HOME": str(root / "home"), "FORECAST_DATA_DIR": str(root / "data")}
        panel = {"FORECAST_PROFILE": "smoke", "FORECAST_PANEL": str(files)}
        command = [sys.executable, "-m", "forecast_assets.cli", *words, "--set", "sweep.trials=0"]
        subprocess.run(command, env={**os.environ, **self.variables, **places, **panel}, check=True)
        return Store(root / "data" / "store")

    def machine(self) -> DagsterServer:
        """Return Dagster's services on the machine."""
        return DagsterDeployment(self.root, **self.variables)

    def pass_day(self, server: DagsterServer, day: dt.date, *, late: bool = False) -> None:
        """Live from just before the tick of a session's evening to the end of what it started."""
        if not late:
            self.feed.deliver(day)
        before = Counter(run["jobName"] for run in server.runs())
        self.clock.move_to(at(day, 21, 59) + dt.timedelta(seconds=50))
        self._log("the tick")
        server.wait("the tick", lambda: self._count(server, PANEL.name) > before[PANEL.name], seconds=TIMEOUT_SECONDS)
        if day == MISSING:
            self.clock.move_to(
                at(day + dt.timedelta(days=1), 1, 5)
            )  # nine hours after New York's close it waits no more
        self.settle(server, until=None if late else day)

    def settle(self, server: DagsterServer, *, until: dt.date | None) -> None:
        """Wait until the night of ``until`` is committed and no run is active or started."""
        if until is not None:
            server.wait(f"the night of {until}", lambda: self.is_done(until), seconds=TIMEOUT_SECONDS)
        quiet: list[int] = []

        def is_quiet() -> bool:
            runs = server.runs()
            quiet.append(len(runs) if all(run["status"] in FINISHED for run in runs) else -1)
            return len(quiet) > QUIET and quiet[-1] >= 0 and len(set(quiet[-QUIET:])) == 1

        server.wait("quiet", is_quiet, seconds=TIMEOUT_SECONDS)
        self._log(f"nights {self.store.partitions('nightly_forecast')[-3:]}, {dict(self.outcomes(server))}")

    def is_done(self, day: dt.date) -> bool:
        """Return whether the whole night, its drift checks included, is committed."""
        return str(day) in self.store.partitions("drift_checks")

    def outcomes(self, server: DagsterServer) -> Counter[str]:
        """Count the runs by job and how they ended."""
        return Counter(f"{run['jobName']} {run['status']}" for run in server.runs())

    def _count(self, server: DagsterServer, job: str) -> int:
        return sum(run["jobName"] == job for run in server.runs())

    def _log(self, what: str) -> None:
        print(f"{self.clock.now.astimezone(NEW_YORK):%a %d %b %H:%M} {what}", flush=True)


def live(nights: Nights) -> dict[str, Any]:
    """Live through the days of the module's docstring; return what the daemon ran and the alerts sent to Slack."""
    nights.command(nights.root / PREPARED, nights.feed.folder, "run")
    shutil.copytree(nights.root / PREPARED / "data", nights.root / "data")
    with nights.machine() as server:
        nights.clock.move_to(at(SESSIONS[0], 12))
        server.switch_on(nightly_schedule.name)
        for day in SESSIONS[:2]:
            nights.pass_day(server, day)
        server.kill()
    for day in OUTAGE:
        nights.feed.deliver(day)
    nights.clock.move_to(at(SESSIONS[5], 8))
    with nights.machine() as server:
        nights.settle(server, until=OUTAGE[-1])
        for day in SESSIONS[5:]:
            nights.pass_day(server, day, late=day == LATE)
            if day == LATE:
                nights.feed.deliver(day)
                nights.clock.move_to(at(MISSING, 9))
                server.wait("the deadline's alert", lambda: bool(nights.slack.texts), seconds=TIMEOUT_SECONDS)
        runs = nights.outcomes(server)
    return {"runs": dict(sorted(runs.items())), "alerts": [text.splitlines()[0] for text in nights.slack.texts]}


def judge(nights: Nights) -> dict[str, str]:
    """Return what is wrong with a session's night, by session; empty where all is right."""
    replayed = replay(nights)
    files = nights.feed.complete(nights.root / "panel")
    select = [word for asset in UP_TO_ENSEMBLE for word in ("--select", asset)]
    walk_forward = nights.command(nights.root / "walk_forward", files, "run", *select)
    expected = pl.read_parquet(walk_forward.current("ensemble", str(SESSIONS[0].year)).path(TABLE))
    wrong = {}
    for day in SESSIONS:
        references = [pl.read_parquet(replayed.current("nightly_forecast", str(day)).path(TABLE))]
        references += [expected.filter(pl.col("split") == "test")] if day < REVISING else []
        found = judge_night(nights, day, references)
        if found:
            wrong[str(day)] = found
    unasked = set(nights.store.partitions("nightly_forecast")) - {str(HISTORY_ENDS), *map(str, SESSIONS)}
    return wrong | dict.fromkeys(unasked, "a night of no session")


def replay(nights: Nights) -> Store:
    """Run the nightly command on the same files in the same order; two files at once make up for lost nights."""
    feed, root = Feed(nights.root / "replayed_files"), nights.root / PREPARED
    store = Store(root / "data" / "store")
    for arrivals in (
        [SESSIONS[0]],
        [SESSIONS[1]],
        [*OUTAGE],
        [SESSIONS[5]],
        [LATE, MISSING],
        [REVISING],
        [SESSIONS[-1]],
    ):
        for day in arrivals:
            feed.deliver(day)
        store = nights.command(root, feed.folder, "nightly")
    return store


def judge_night(nights: Nights, day: dt.date, references: Sequence[pl.DataFrame]) -> str | None:
    """Return what is wrong with the night of ``day``, compared with other forecasts of the same origins."""
    versions = nights.store.versions("nightly_forecast", str(day))
    if len(versions) != 1:
        return f"{len(versions)} committed results"
    of_day = pl.col("date") == day
    own = pl.read_parquet(versions[0].path(TABLE)).filter(of_day)
    expected = nights.feed.tickers(day)
    if own["ticker"].unique().sort().to_list() != expected:
        return f"forecasts of {own['ticker'].unique().sort().to_list()}, expected {expected}"
    for reference in references:
        both = own.join(reference.filter(of_day), on=["ticker", "horizon"], suffix="_other")
        if both.height != own.height:
            return f"{own.height} forecasts, {both.height} of them in the reference"
        apart = max(np.abs((both[q] - both[f"{q}_other"]).to_numpy()).max() for q in QUANTILE_COLUMNS)
        if apart > TOLERANCE:
            return f"quantiles differ by {apart:.2e}"
    return None


def main() -> None:
    """Live through the ten nights, judge and record them."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder, SlackApi() as slack:
        nights = Nights(Path(folder), slack)
        story = live(nights)
        wrong = judge(nights)
        promoted = [v.id for v in nights.store.versions("serving_model")]
        figure = {"value": len(wrong), "sessions": len(SESSIONS), "wrong": wrong, "champions": len(promoted), **story}
    print(figure, flush=True)
    record("daemon_nights", {"daemon_nights_wrong": figure}, command="python -m campaigns.daemon_nights")


if __name__ == "__main__":
    main()
