"""The run of record: the whole loop on a full panel, once, to decide claims that are declared beforehand.

    make record PANEL=panel.parquet MACRO=macro.csv [ROOT=data/record]
    python -m campaigns.run_of_record --root ROOT --panel P --macro M --trial     same steps, nothing written to the project

The claims go into the trial log. Then: the graph with the ``full`` profile (search on the inner years, every model,
ensemble, books, both reports, a night), ``verify``, and the tests of the book's value at risk. What was done is not done
again where the run is started anew, and its hours add up in ``ROOT/run_of_record.json``. At the end the metrics go to
``benchmarks/metrics``, the figures recorded, and the pages written from them.

A full panel's three fits of each network take five to six CPU hours. ``FITS`` asks for two, the fewest that show how much
fits differ, and as many as two cores make at once; that is part of what is declared.
"""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.resources.trial_log import declare_claims
from forecast_assets.store.artefact_files import BACKTEST_METRICS
from forecast_assets.store.asset_keys import BACKTEST_REPORT
from forecast_assets.store.store import Store
from tools.claims import CLAIMS
from tools.publish import current_stages, publish, published_stages
from tools.results import ROOT, record

SUBJECT, RIVAL = "ensemble", "harx"
FITS = {"tft": 2, "b4_patchtst": 2}
"""Settings group -> fits a year, where the profile has more: on two cores these take most of the time."""

SEARCHES_AT_ONCE = 2
"""Trials of the search at a time: each takes one core."""

SCORE_EVERY = "10"
"""Days from one score of the copulas to the next: an energy score of a full panel takes seconds."""


@dataclass(frozen=True)
class Steps:
    """The steps of a run: their hours, which add up over restarts, and which are done, in a file."""

    path: Path
    environment: Mapping[str, str]

    def hours(self) -> dict[str, float]:
        """Return the hours of each step so far."""
        return self._read()["hours"]

    def run(self, step: str, *commands: list[str], of: str = "") -> None:
        """Run commands of the project's folder side by side, their output passed on; nothing where they are done for ``of``.

        ``of``: what is looked at, for a step that only looks. Raises SystemExit where one fails.
        """
        if of and self._read()["done"].get(step) == of:
            print(f"{step}: done", flush=True)
            return
        started, running = time.monotonic(), []
        for command in commands:
            print(f"{step}: {' '.join(command)}", flush=True)
            running.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | self.environment))
        codes = [process.wait() for process in running]
        now = self._read()
        now["hours"][step] = now["hours"].get(step, 0.0) + (time.monotonic() - started) / 3600
        if not any(codes):
            now["done"][step] = of
        self.path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        if failed := [code for code in codes if code]:
            raise SystemExit(f"{step} ended with exit code {failed[0]}; start it again to go on from there")

    def _read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {"hours": {}, "done": {}}


def figures(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the figures of a report's metrics that the claims are about."""

    def ratios(model: str, rows: list[dict[str, Any]]) -> dict[int, float]:
        return {row["horizon"]: row["pinball_ratio"] for row in rows if row["model"] == model}

    overall = ratios(SUBJECT, metrics["forecasts"])
    by_year: dict[int, dict[str, float]] = {}
    for year in metrics["years"]:
        rows = [row for row in metrics["forecasts_by_year"] if row["year"] == year]
        by_year[year] = {model: round(mean(ratios(model, rows).values()), 5) for model in (SUBJECT, RIVAL)}
    better = [year for year, of in by_year.items() if of[SUBJECT] < of[RIVAL]]
    intervals = {
        row["horizon"]: [round(row["pinball_ratio_low"], 5), round(row["pinball_ratio_high"], 5)]
        for row in metrics["forecasts"]
        if row["model"] == SUBJECT
    }
    about = {"tickers": metrics["facts"]["tickers"], "years": metrics["years"]}
    return {
        "ensemble_vs_ewma_test": {
            "value": round(mean(overall[horizon] for horizon in HORIZONS), 5),
            "by_horizon": {str(horizon): round(overall[horizon], 5) for horizon in HORIZONS},
            "intervals": {str(horizon): intervals[horizon] for horizon in HORIZONS},
            **about,
        },
        "ensemble_worst_horizon_test": {"value": round(max(overall.values()), 5), **about},
        "years_better_than_harx": {"value": len(better), "better": better, "by_year": by_year, **about},
    }


def stale_stages() -> dict[str, Any]:
    """Return the figure of stages whose code is not that of the published run."""
    published, current = published_stages() or {}, current_stages()
    changed = sorted(name for name, version in published.items() if current.get(name) != version)
    return {"value": len(changed) if published else len(current), "stages": changed, "of": len(published)}


def main() -> None:
    """Declare, run, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="data root of the run; kept until it is published")
    parser.add_argument("--panel", type=Path, required=True)
    parser.add_argument("--macro", type=Path, required=True, help="CSV with Date, VIX, US10Y, US2Y")
    parser.add_argument("--profile", default="full")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings over the profile's")
    parser.add_argument("--trial", action="store_true", help="publish and record nothing")
    given = parser.parse_args()
    for path in (given.panel, given.macro):
        if not path.exists():
            raise SystemExit(f"{path} does not exist")
    root = given.root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    declare_claims(str(root), CLAIMS, now=dt.datetime.now(dt.UTC))

    settings = ["verdict=reference", *(f"{group}.fits={fits}" for group, fits in FITS.items())]
    settings += [f"sweep.workers={SEARCHES_AT_ONCE}", *given.set]
    home = root / "dagster_home"
    home.mkdir(exist_ok=True)
    environment = {
        "DAGSTER_HOME": str(home),
        "FORECAST_DATA_DIR": str(root),
        "FORECAST_PROFILE": given.profile,
        "FORECAST_MACRO": str(given.macro.resolve()),
        "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"),
    }
    command, steps = [sys.executable, "-m", "forecast_assets.cli"], Steps(root / "run_of_record.json", environment)
    overrides = [part for setting in settings for part in ("--set", setting)]
    steps.run("run", [*command, "run", "--panel", str(given.panel.resolve()), *overrides])
    report = Store(root / "store").current(BACKTEST_REPORT)
    joint = ["benchmarks.joint", "--data-dir", str(root), "--declared", "--score-every", SCORE_EVERY]
    looks = [*command, "verify"], [sys.executable, "-m", *joint, *(["--dry"] if given.trial else [])]
    steps.run("verify, value at risk", *looks, of=report.data_version)

    found = figures(report.json(BACKTEST_METRICS))
    hours = steps.hours()
    found["record_hours"] = {
        "value": round(sum(hours.values()), 2),
        "hours": {step: round(spent, 3) for step, spent in hours.items()},
        "fits": FITS,
    }
    if not given.trial:
        publish(root / "store")
        found["stale_stages"] = stale_stages()
        record("record", found, command="make record PANEL=panel.parquet MACRO=macro.csv")
        subprocess.run([sys.executable, "-m", "tools.pages"], cwd=ROOT, check=True)  # it imports this module
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
