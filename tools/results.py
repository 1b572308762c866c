"""Write result files, ``benchmarks/results/*.json``; folders of results.

A file holds ``figures`` (key -> value and details), the ``machine`` they were measured on, and package ``versions``,
``command`` and ``commit`` of the last measurement. Each figure has its own commit too, since one key can be measured again
alone.
"""

import datetime as dt
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("dagster", "lightning", "numpy", "pandas", "polars", "pytorch-forecasting", "scipy", "torch")


def record(name: str, figures: dict[str, dict[str, Any]], *, command: str, folder: Path = RESULTS) -> Path:
    """Merge ``figures`` (key -> {"value": number, ...details}) into ``<folder>/<name>.json`` and return its path.

    Raises SystemExit where the file was measured on another machine: figures of two machines are not mixed.
    """
    path = folder / f"{name}.json"
    before = json.loads(path.read_text()) if path.exists() else {"figures": {}, "machine": machine()}
    if before["machine"] != machine():
        raise SystemExit(f"{path}: its figures are from another machine; delete the file and measure all of them here.")
    made = {"commit": commit(), "date": dt.datetime.now(dt.UTC).date().isoformat()}
    merged = before["figures"] | {key: figure | made for key, figure in figures.items()}
    result = {
        "figures": dict(sorted(merged.items())),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        "command": command,
        "commit": made["commit"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Return what figures depend on, without a host name: processor, cores that this process may use, memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit() -> str:
    """Return the checked-out commit, with "-dirty" where the tree differs from it in more than results."""
    head = _git("rev-parse", "--verify", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!benchmarks/metrics")
    return f"{head or 'uncommitted'}{'-dirty' if changed else ''}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
