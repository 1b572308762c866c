"""Invariants that must hold after a fault, and after the run that follows it; functions return violations as sentences."""

import json
import re
import zipfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

from campaigns.faults.graph_parts import unfinished_runs
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.names import MANIFEST
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from tools.results import ROOT

TIMED = ("sweep",)
"""Assets whose tables hold seconds, so that no two runs give the same bytes."""

NAMED = "serving_model"
"""Key of a night's record that holds a version's name, half of which is random."""

DEBUGGING = (".debug_pkl", "serialization_id")
"""Members of a traced model that hold source locations, which only torch's error messages read."""


def store_problems(root: Path) -> list[str]:
    """Check every version against its manifest, and that every CURRENT names one."""
    return [str(problem) for problem in Store(root / "data" / "store").verify()]


def litter(root: Path) -> list[str]:
    """Find unpublished versions and temporary files."""
    store = root / "data" / "store"
    unpublished = [path for path in store.glob("*/*/*-????????") if path.is_dir() and not (path / MANIFEST).exists()]
    temporary = list((root / "data").rglob(".*.tmp"))
    return [f"left behind: {path.relative_to(root)}" for path in (*unpublished, *temporary)]


def contents(root: Path) -> dict[str, str]:
    """Return the digest of every current artefact's files."""
    store = Store(root / "data" / "store")
    slots = [(asset, partition) for asset in store.assets() for partition in store.slots(asset)]
    current = [store.current(asset, partition) for asset, partition in slots if asset not in TIMED]
    return {version.label: _content(version) for version in current}


def _content(version: Version) -> str:
    """The digests of its manifest, which `verify` has checked, without what is not a result."""
    digests = {name: entry.sha256 for name, entry in version.manifest.files.items()}
    if "model.pt" in digests:
        with zipfile.ZipFile(version.path("model.pt")) as archive:
            names = sorted(name for name in archive.namelist() if not name.endswith(DEBUGGING))
            digests["model.pt"] = canonical_json([[name, sha256(archive.read(name)).hexdigest()] for name in names])
    if "night.json" in digests:
        night = version.json("night.json")
        digests["night.json"] = canonical_json({key: value for key, value in night.items() if key != NAMED})
    return sha256_text(canonical_json(digests))


def differences(root: Path, reference: Path) -> list[str]:
    """Find artefacts whose content differs from that of the run without faults."""
    here, there = contents(root), contents(reference)
    return [
        f"{label}: content {here.get(label)} is not {there.get(label)}"
        for label in sorted(here.keys() | there.keys())
        if here.get(label) != there.get(label)
    ]


TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*.*", re.MULTILINE)


def tracebacks(root: Path) -> list[str]:
    """Find the commands of a trial whose output holds a traceback."""
    return sorted(log.name for log in root.glob("*.log") if TRACEBACK.search(log.read_text(errors="replace")))


def own_tracebacks(printed: str) -> list[str]:
    """Return the last line of each traceback that leads through this project; a server's own speak of what was killed."""
    found = TRACEBACK.findall(printed)
    return [trace.rpartition("\n")[2] for trace in found if f'File "{ROOT}/forecast_assets/' in trace]


def doubles(root: Path, reference: Path) -> list[str]:
    """Find trials counted twice or lost, and nights committed twice."""
    found = []
    ids = [json.loads(line)["id"] for line in _lines(root / "data" / "ledger" / "trials.jsonl")]
    found += [
        f"trial {name} stands {count} times in the trial log" for name, count in Counter(ids).items() if count > 1
    ]
    expected = {json.loads(line)["id"] for line in _lines(reference / "data" / "ledger" / "trials.jsonl")}
    found += [f"trial {name} is lost or foreign" for name in sorted(set(ids) ^ expected)]
    store = Store(root / "data" / "store")
    for night in store.partitions("nightly_forecast"):
        count = len(store.versions("nightly_forecast", night))
        found += [f"night {night} was committed {count} times"] if count != 1 else []
    return found


def after_rerun(root: Path, reference: Path) -> list[str]:
    """Check all invariants, once the graph has been run again."""
    return [
        *store_problems(root),
        *differences(root, reference),
        *doubles(root, reference),
        *litter(root),
        *unfinished_runs(root / "home"),
        *_report(root),
    ]


def _report(root: Path) -> list[str]:
    store = Store(root / "data" / "store")
    published = store.current("backtest_report").path("metrics.json").read_bytes()
    shown = root / "data" / "reports" / "latest" / "metrics.json"
    return [] if shown.read_bytes() == published else ["reports/latest is not the report in the store"]


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()]
