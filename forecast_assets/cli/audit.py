"""``audit``: whether features, a model or a file of forecasts look ahead."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

import click

from forecast_assets.cli.common import json_option, listed, set_option, user_command
from forecast_assets.core.errors import BadInput

UNUSABLE = 2
"""Exit code where nothing could be audited; 1 is a leak and 0 none."""
PATIENCE = 5.0  # seconds between lines of progress


@click.command("audit")
@click.argument("target", required=False, metavar="FILE.py:NAME")
@click.option("--forecasts", type=click.Path(path_type=Path), help="Audit a file of forecasts, with --panel.")
@click.option("--panel", type=click.Path(path_type=Path), help="A panel to audit on, instead of the synthetic one.")
@click.option("--ignore", metavar="COLUMNS", help="Columns that may look ahead, such as labels.")
@click.option(
    "--decide",
    type=click.Choice(["day", "close"]),
    default="day",
    show_default=True,
    help="A row may read all closes of its date, or those up to its own exchange's close.",
)
@click.option("--columns", type=click.Choice(["raw", "calendar"]), help="Columns to hand over; else found by trying.")
@click.option(
    "--frame",
    "frame_kind",
    type=click.Choice(["polars", "polars lazy", "pandas"]),
    help="Frame to hand over; else found.",
)
@json_option
@set_option
@partial(user_command, exit_code=UNUSABLE)
def command(
    target: str | None,
    forecasts: Path | None,
    panel: Path | None,
    ignore: str | None,
    decide: str,
    columns: str | None,
    frame_kind: str | None,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Test features, a model or forecasts for look-ahead. NAME is a function of a panel, or a class with fit and predict.

    Exits with 1 for a leak, 0 for none and 2 for what can't be audited.
    """
    if (target is None) == (forecasts is None):
        raise BadInput("audit: name a function (my_features.py:make), or --forecasts FILE with --panel PANEL")
    if forecasts is not None:
        from forecast_assets.cli.audit_forecasts import audit_file

        found = audit_file(forecasts, panel, overrides=list(overrides))
    else:
        job = {
            "target": target,
            "panel": str(panel) if panel else None,
            "overrides": list(overrides),
            "ignore": listed(ignore),
            "decide": decide,
            "columns": columns,
            "frame_kind": frame_kind,
        }
        found = in_worker(job)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join([found["sentence"], *_notes(found)]))
    sys.exit(0 if found["clean"] else 1)


def in_worker(job: dict[str, Any]) -> dict[str, Any]:
    """Return the audit of ``job`` from a process of its own. Raises BadInput where there is none, or not in time."""
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    limit = compose_settings(environment.profile_name(), job["overrides"]).audit.limit_seconds
    command_line = [sys.executable, "-m", "forecast_assets.cli.audit_worker", json.dumps(job)]
    lines: queue.Queue[str | None] = queue.Queue()
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True, start_new_session=True) as worker:
        assert worker.stdout is not None
        reader = threading.Thread(target=_read, args=(worker.stdout, lines), daemon=True)
        reader.start()
        try:
            return _answer(worker, lines, job["target"], limit=limit)
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)  # and what the user's code has started
            reader.join()


def _answer(
    worker: "subprocess.Popen[str]", lines: "queue.Queue[str | None]", target: str, *, limit: float
) -> dict[str, Any]:
    begin = reported = time.monotonic()
    last: dict[str, Any] = {}
    while True:
        try:
            line = lines.get(timeout=max(0.0, min(begin + limit, reported + PATIENCE) - time.monotonic()))
        except queue.Empty:
            if time.monotonic() >= begin + limit:
                return _out_of_time(target, last, limit)
            reported = time.monotonic()
            runs = f"{last['done']} of {last['of']} runs" if last else "the first run"
            click.echo(f"{target}: {runs}, {reported - begin:.0f} s", err=True)
            continue
        if line is None:
            raise BadInput(f"{target}: its process ended with code {worker.wait()} and without a result; see above")
        content = json.loads(line)
        if "unusable" in content:
            raise BadInput(content["unusable"])
        if "result" in content:
            result: dict[str, Any] = content["result"]
            return result
        last = content


def _read(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _out_of_time(target: str, last: dict[str, Any], limit: float) -> dict[str, Any]:
    """Return the leak that was found before time ran out. Raises BadInput where there is none."""
    done = f"{last['done']} of {last['of']} runs done" if last else "not one run done"
    if last.get("leak"):
        note = f"stopped after {limit:g} s, {done}"
        return {"clean": False, "sentence": f"{target}: LEAK - {last['leak']}", "notes": [note]}
    raise BadInput(
        f"{target}: not finished within {limit:g} s, {done} and no leak found in them; give it more time (--set "
        "audit.limit_seconds=900), fewer cuts (--set audit.cuts=4) or a smaller --panel"
    )


def _notes(found: dict[str, Any]) -> list[str]:
    return [f"  note: {note}" for note in found["notes"]]
