"""Parts of the graph that trials run again, their artefacts removed from a copy of a finished store."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from campaigns.faults.worker import start
from forecast_assets.core.models.catalogue import NETWORKS
from tools.results import ROOT

YEAR = "2019"
FOLD = (*NETWORKS, "baselines", "f0_chronos", "ensemble", "backtest", "rivals")
PANEL = (
    *("raw_panel", "rejected_rows", "calendar_panel", "announcements"),
    *("macro_series", "covariates", "feature_panel", "windowed_tensors"),
)
REPORT = ("backtest_report", "ablation_report")
NIGHT = ("challenger", "serving_model", "nightly_forecast", "target_positions", "drift_checks")


@dataclass(frozen=True)
class GraphPart:
    """Assets that one command makes again. ``partition``: only this one."""

    assets: tuple[str, ...]
    arguments: tuple[str, ...]
    partition: str | None = None

    def remove(self, root: Path) -> None:
        """Remove the part's artefacts from a copy of the finished store."""
        for asset in self.assets:
            folder = root / "data" / "store" / asset
            shutil.rmtree(folder / self.partition if self.partition else folder)
        if self.assets == REPORT:
            shutil.rmtree(root / "data" / "reports")


def _select(*assets: str) -> tuple[str, ...]:
    return ("run", "--select", ",".join(assets))


GRAPH_PARTS = {
    "panel": GraphPart(PANEL, _select(*PANEL)),
    "ensemble": GraphPart(("ensemble", "backtest"), (*_select("ensemble", "backtest"), "--years", YEAR), YEAR),
    "network": GraphPart(("b1_tft",), (*_select("b1_tft"), "--years", YEAR), YEAR),
    "report": GraphPart(REPORT, _select(*REPORT)),
    "night": GraphPart(NIGHT, ("nightly",)),
}


SHIPPED = ROOT / "dagster_home" / "dagster.yaml"
QUIET = """
# Each step's output would be copied by four more processes; a trial keeps it in one log.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


def prepare(folder: Path) -> None:
    """Make the finished store below ``folder`` by one run without faults, and a Dagster home that has its partitions."""
    if (folder / "finished").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for log, home in (("make", "first"), ("again", "home")):
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text(SHIPPED.read_text() + QUIET)
        arguments = ("run",) if log == "make" else _select("raw_panel")
        if start(arguments, root=folder, log=log).wait() != 0:
            raise SystemExit(f"the run without faults failed; see {folder / log}.log")
        if home == "first":
            shutil.rmtree(folder / "home")
    (folder / "finished").touch()


def lay_out(reference: Path, root: Path, *, shared: bool = True) -> Path:
    """Copy the finished store for a trial; ``shared`` files are hard links, since versions are never rewritten."""
    while root.exists():  # a process that is being killed may still write
        shutil.rmtree(root, ignore_errors=True)
    copy: Callable[..., object] = partial(os.link, follow_symlinks=False) if shared else shutil.copy2
    shutil.copytree(reference / "data" / "store", root / "data" / "store", copy_function=copy, symlinks=True)
    for locks in (".locks", ".work"):  # the only files of a store that are written in place
        shutil.rmtree(root / "data" / "store" / locks, ignore_errors=True)
    for name in ("raw", "ledger", "reports"):
        shutil.copytree(reference / "data" / name, root / "data" / name)
    shutil.copytree(reference / "home", root / "home", symlinks=True)
    return root


def unfinished_runs(home: Path) -> list[str]:
    """Return the runs in the Dagster home that have neither succeeded nor failed."""
    with sqlite3.connect(f"file:{home / 'history' / 'runs.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT run_id, status FROM runs").fetchall()
    return [f"{run} is {status}" for run, status in rows if status not in ("SUCCESS", "FAILURE", "CANCELED")]
