"""A sweep of 24 trials on the 40-ticker panel, killed in the middle and resumed: trials lost or doubled, minutes.

    python -m benchmarks.sweep                  kill -9 at half of the trials, then the same command again
    python -m benchmarks.sweep --trials 4       a trial run, printed and not recorded

The search space is the profile's, with its capped window samples. The whole process group is killed, workers included.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.resources.trial_log import trial_journal
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import PANEL
from forecast_assets_tests.helpers.paths import PANEL_40
from tools.results import ROOT, record

TRIALS = 24
POLL_SECONDS = 1.0


def measure(root: Path, *, trials: int, workers: int) -> dict[str, dict[str, Any]]:
    """Run, kill and resume; return the figures of the trial table and the trial log."""
    environment = {
        **os.environ,
        "FORECAST_DATA_DIR": str(root),
        "FORECAST_PROFILE": "full",
        "DAGSTER_HOME": str(root / "home"),
        "WANDB_MODE": "offline",
        "OMP_NUM_THREADS": "1",
    }
    cli = [sys.executable, "-m", "forecast_assets.cli"]
    select = ",".join(PANEL)
    subprocess.run([*cli, "run", "--panel", str(PANEL_40), "--select", select], env=environment, check=True, cwd=ROOT)
    command = [*cli, "sweep", f"--trials={trials}", f"--workers={workers}"]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    while process.poll() is None and ended(root) < trials // 2:
        time.sleep(POLL_SECONDS)
    if process.poll() is not None:
        raise SystemExit(f"the sweep ended with {process.returncode} before it could be killed")
    before = ended(root)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, env=environment, check=True, cwd=ROOT)
    minutes = (time.perf_counter() - started) / 60
    version = Store(root / "store").current("sweep")
    table = pl.read_parquet(version.path("table.parquet"))
    return figures(table, fits(root), trials=trials, before=before, minutes=minutes, facts=dict(version.manifest.facts))


def fits(root: Path) -> list[dict[str, Any]]:
    """Return the fits in the trial log."""
    journal = root / "ledger" / "trials.jsonl"
    return [row for row in trial_journal(str(root)).read() if row["kind"] == "fit"] if journal.exists() else []


def ended(root: Path) -> int:
    """Count the trials in the trial log, which is written when a trial ends, once for each of its years."""
    return len({(row["model"], row["spec"]) for row in fits(root)})


def figures(
    table: pl.DataFrame,
    logged: list[dict[str, Any]],
    *,
    trials: int,
    before: int,
    minutes: float,
    facts: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """Count trials that are missing, doubled, or not in the trial log exactly once per year they ran."""
    settings = ["model", "hidden", "learning_rate", "lookback"]
    doubled = table.height - table.select(settings).n_unique()
    lost = trials - table.filter(pl.col("state").is_in(["complete", "pruned"])).height
    log_doubled = sum(count - 1 for count in Counter(row["id"] for row in logged).values())
    log_lost = table.height - len({(row["model"], row["spec"]) for row in logged})
    return {
        "sweep_resume_lost_or_doubled": {
            "value": abs(lost) + doubled + log_doubled + abs(log_lost),
            "trials": table.height,
            "ended_before_the_kill": before,
            "lost": lost,
            "doubled": doubled,
            "ledger_doubled": log_doubled,
            "ledger_lost": log_lost,
        },
        "sweep_minutes": {"value": round(minutes, 2), "unit": "min, both runs together", "trials": trials},
        "sweep_share_of_epochs_pruned": {
            "value": facts["share_of_epochs_pruned"],
            "pruned": facts["pruned"],
            "trial_seconds": facts["trial_seconds"],
            "outcome": facts.get("outcome"),
        },
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if not PANEL_40.exists():
        raise SystemExit(f"{PANEL_40} does not exist: the reference panel is needed")
    with tempfile.TemporaryDirectory() as root:
        measured = measure(Path(root), trials=options.trials, workers=options.workers)
    print(json.dumps(measured, indent=2))
    if options.trials == TRIALS:
        record("sweep", measured, command="python -m benchmarks.sweep")


if __name__ == "__main__":
    main()
