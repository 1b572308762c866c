"""Run a job whose step is a process of its own and waits at a gate: ``python -m`` this module, then a Dagster home.

The step appends a line to ``<data root>/at_work`` when it begins to write, and waits until ``<data root>/gate`` exists.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg

from forecast_assets.assets.framework import output
from forecast_assets.resources import environment

ASSET = "macro_series"
real = output.write_content


def write_behind_the_gate(content: Any, path: Path) -> None:
    root = Path(environment.data_dir())
    with (root / "at_work").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not (root / "gate").exists():
        time.sleep(0.05)
    real(content, path)


def job() -> dg.JobDefinition:
    """Return the panel's job with the gate; every step's process calls this again."""
    output.write_content = write_behind_the_gate
    from forecast_assets.definitions import defs

    return defs.resolve_job_def("panel")


def main(home: str) -> None:
    from forecast_assets_tests.assets.framework import gated  # by its module name, since each step imports it

    with dg.DagsterInstance.local_temp(home, overrides={"telemetry": {"enabled": False}}) as instance:
        result = dg.execute_job(
            dg.reconstructable(gated.job),
            instance=instance,
            asset_selection=[dg.AssetKey(ASSET)],
            run_config={"loggers": {"console": {"config": {}}}},
        )
        sys.exit(0 if result.success else 1)


if __name__ == "__main__":
    main(sys.argv[1])
