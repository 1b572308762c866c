"""What the Dagster UI says: whether every asset's page is complete, and whether "stale" is what a run would change.

    python -m benchmarks.dagster_ui             prints the figures
    python -m benchmarks.dagster_ui --record    also writes them to benchmarks/results/dagster_ui.json

The smoke graph is run after each of a set of changes: none, a setting, the setting back, code, rows of one year, new
sessions; then a night from before these is run again. Before each step the UI is asked whether it is stale, after it the
store whether another version is current. A server is asked which runs its pages list, after commands and clicks; and the
automation lives through a month of nights.
"""

import argparse
import datetime as dt
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from forecast_assets.assets.framework.metadata import version_metadata
from forecast_assets.automation.own_runs import execute
from forecast_assets.core.panel.demo import write_demo_csv
from forecast_assets.definitions import ASSETS, defs
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store import keys
from forecast_assets.store.artefact_files import TABLE
from forecast_assets_tests.helpers.graph import Graph, environment
from forecast_assets_tests.helpers.month import Month, wrong
from forecast_assets_tests.helpers.server import DagsterServer
from forecast_assets_tests.helpers.staleness import Step, disagreements, observe_files, watched
from tools.results import ROOT, record

DROPPED = dt.date(2019, 12, 20)  # last session of the panel before the new ones
RAISED = dt.date(2019, 6, 3)  # whose closes are changed
EDITED = "garch"  # module whose code is changed


def main() -> None:
    """Measure, print, and record where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    os.environ |= {"FORECAST_WORKERS": "1"}
    with tempfile.TemporaryDirectory() as folder, Graph(Path(folder)) as graph:
        steps = changes(graph)
        figures = {"assets_incomplete": incomplete(graph), "staleness_disagreements": staleness(steps)}
    figures |= {"runs_missing_from_overview": missing_runs(), "wrong_ticks": month()}
    print(json.dumps(figures, indent=2))
    if arguments.record:
        path = record("dagster_ui", figures, command="python -m benchmarks.dagster_ui --record")
        print(f"{path.relative_to(ROOT)} updated")


def changes(graph: Graph) -> dict[str, list[Step]]:
    """Run the graph after each change; return the steps of each run."""
    demo = graph.root / "demo_panel.csv"
    write_demo_csv(demo, compose_settings(graph.profile, []).demo)
    rows = pl.read_csv(demo, infer_schema=False)
    rows = rows.filter(pl.col("Date").str.contains(r"^\d{4}-\d{2}-\d{2}$"))
    panel, patch, steps = graph.root / "panel.csv", pytest.MonkeyPatch(), dict[str, list[Step]]()
    early = rows.filter(pl.col("Date") <= str(DROPPED))
    early.write_csv(panel)
    ran(graph, panel=panel)

    def change(name: str, overrides: tuple[str, ...] = ()) -> None:
        observe_files(graph, panel=panel)
        with watched(graph, patch, overrides) as steps[name]:
            ran(graph, panel=panel, overrides=overrides)

    change("none")
    change("setting", ("backtest.cost_bps=50",))
    change("setting back")
    digest = keys._source_digest
    patch.setattr(keys, "_source_digest", lambda path, *of: digest(path, *of)[path.stem == EDITED :])
    change("code")
    raised = pl.when(pl.col("Date") == str(RAISED)).then(pl.lit("77.7")).otherwise(pl.col("Closing Price"))
    early.with_columns(raised.alias("Closing Price")).write_csv(panel)
    change("rows of one year")
    rows.with_columns(raised.alias("Closing Price")).write_csv(panel)
    change("new sessions")
    with watched(graph, patch) as steps["the night before them again"]:
        night_again(graph, str(DROPPED))
    patch.undo()
    return steps


def missing_runs() -> dict[str, Any]:
    """Return how many runs the UI does not list: of commands, and of a button."""
    with tempfile.TemporaryDirectory() as folder, DagsterServer(Path(folder)) as server:
        server.command("run", "--select", "raw_panel")
        server.command("run", "--select", "flags,calendar_panel")
        server.backfill(["baselines"], ["2019"])
        runs = server.wait_for_runs(3, seconds=240)
        listed = server.runs_of_jobs()
    missing = [run for run in runs if run["runId"] not in listed]
    return {"value": len(missing), "runs": dict(Counter(run["jobName"] for run in runs))}


def month() -> dict[str, Any]:
    """Return how many requests of a month's ticks were wrong, came twice or are missing."""
    with dg.DagsterInstance.ephemeral() as instance:
        lived = Month(instance)
        found = wrong(lived.pass_by())
    return {
        "value": len(found["extra"]) + len(found["missing"]),
        "ticks": lived.ticks,
        "requests": dict(Counter(f"{day}, {partition or 'reports'}" for day, _, partition in lived.requests)),
    } | found


def ran(graph: Graph, *, panel: Path, overrides: tuple[str, ...] = ()) -> None:
    """Run the whole graph. Raises RuntimeError where an asset fails."""
    if failures := graph.run(panel=panel, overrides=overrides).failures:
        raise RuntimeError(f"{failures[0].asset}: {failures[0].message}")


def night_again(graph: Graph, day: str) -> None:
    """Run the job of a night that is not the newest one. Raises RuntimeError where it fails."""
    job, settings = defs.resolve_job_def("nightly"), {"config": {"profile": graph.profile}}
    assets = [key.to_user_string() for key in job.asset_layer.executable_asset_keys]
    run_config = {"resources": {"settings": settings}}
    with environment(FORECAST_DATA_DIR=graph.data, FORECAST_PROFILE=graph.profile):
        result = execute(job, instance=graph.instance, assets=assets, partition=day, run_config=run_config, tags={})
    if not result.success:
        raise RuntimeError(f"the night of {day} failed")


def staleness(steps: dict[str, list[Step]]) -> dict[str, Any]:
    """Return how many steps the UI called stale that changed nothing, or the other way round."""
    wrong = {name: disagreements(of) for name, of in steps.items()}
    return {
        "value": sum(map(len, wrong.values())),
        "steps": {name: len(of) for name, of in steps.items()},
        "changed": {name: sum(step.changed for step in of) for name, of in steps.items()},
        "disagreements": {
            name: dict(Counter(f"{step.asset}, {'stale' if step.stale else 'fresh'}" for step in of))
            for name, of in wrong.items()
            if of
        },
    }


def incomplete(graph: Graph) -> dict[str, Any]:
    """Return how many assets lack a description, an owner, a kind, a check, or a description of a column.

    An asset that publishes nothing of its own (a view, what is observed or reported) needs no check.
    """
    lacking: dict[str, list[str]] = {}
    for spec in defs.resolve_all_asset_specs():
        given = {"description": spec.description, "owner": spec.owners, "kind": spec.kinds}
        lacking[spec.key.to_user_string()] = [name for name, value in given.items() if not value]
    checks = {asset.key.to_user_string(): list(asset.check_specs) for asset in ASSETS}
    for asset in graph.store.assets():
        if not checks[asset]:
            lacking[asset].append("check")
        version = graph.version(asset, graph.store.slots(asset)[-1])
        if TABLE in version.manifest.files:
            shown = version_metadata(asset, version, data_root=graph.data)["dagster/column_schema"].columns
            lacking[asset] += [f"column {column.name}" for column in shown if not column.description]
    found = {asset: names for asset, names in lacking.items() if names}
    return {"value": len(found), "assets": len(lacking), "lacking": found}


if __name__ == "__main__":
    main()
