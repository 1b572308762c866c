"""Compare what two runs of the graph published: every table, weight and number, without ids, versions and texts.

    python -m benchmarks.content BEFORE AFTER                two data roots; prints what differs
    python -m benchmarks.content BEFORE AFTER --record       also writes the figure ``demo_results_changed``

Shows that a refactoring changed no result: run the demo with the code before and after it, each into a data root of its
own. Tables are compared cell by cell, weights bit by bit, JSON files number by number under the same keys. Texts may have
been reworded, and ids depend on the code.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from tools.results import ROOT, record

BINARY = (".safetensors",)
RENAMED = {"losses_of_young_names.parquet": "losses_of_new_listings.parquet"}
"""Files that were renamed: old name -> new one."""

RENAMED_KEYS = {
    "visits_per_epoch": "samples_per_epoch",
    "ends_per_run": "ends_per_block",
    "young_share": "new_listing_share",
    "shadow_sessions": "comparison_sessions",
}
"""Settings that were renamed: old name -> new one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    stores = [Store(root / "store") for root in (asked.before, asked.after)]
    compared, changed = 0, []
    for place, first, second in pairs(*stores):
        compared += 1
        if first is None or second is None or digest(first) != digest(second):
            changed.append(place)
            print(f"{place}: {'is gone' if second is None else 'is new' if first is None else 'differs'}")
    print(f"{compared} files compared, {len(changed)} differ")
    if asked.record:
        figure = {"value": len(changed), "compared": compared}
        path = record("content", {"demo_results_changed": figure}, command="python -m benchmarks.content")
        print(f"{path.relative_to(ROOT)} updated")
    sys.exit(bool(changed))


def pairs(before: Store, after: Store) -> Iterator[tuple[str, Path | None, Path | None]]:
    """Yield every compared file, by asset and partition, with its path in either store."""
    slots = sorted(
        {(asset, slot or "") for store in (before, after) for asset in store.assets() for slot in store.slots(asset)}
    )
    for asset, slot in slots:
        first, second = (files(store.current(asset, slot or None)) for store in (before, after))
        for name in sorted(first.keys() | second.keys()):
            yield f"{asset}/{slot or 'all'}/{name}", first.get(name), second.get(name)


def files(version: Version) -> dict[str, Path]:
    """Return tables, weights and JSON files of a version, by name."""
    wanted = [name for name in version.manifest.files if Path(name).suffix in (".parquet", ".json", *BINARY)]
    return {RENAMED.get(name, name): version.path(name) for name in wanted}


def digest(path: Path) -> str:
    """Hash the content of a file: cells with their types, bytes of weights, numbers with their places."""
    if path.suffix in BINARY:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".parquet":
        table = pl.read_parquet(path)
        if "seconds" in table.columns:  # how long a trial took
            table = table.drop("seconds")
        return hashlib.sha256(table.write_ipc(None, compression="uncompressed").getvalue()).hexdigest()
    content = json.loads(path.read_text())
    if path.name == "trials.json":  # in the order of their ids, which depend on the code
        trials = sorted(json.dumps(list(numbers(trial))) for trial in content["trials"])
        return hashlib.sha256(json.dumps(trials).encode()).hexdigest()
    return hashlib.sha256(json.dumps(list(numbers(content))).encode()).hexdigest()


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, float | bool | None]]:
    """Yield the numbers of a JSON value with their places, in the order of the keys, without texts."""
    if isinstance(value, dict):
        named = {RENAMED_KEYS.get(str(key), str(key)): item for key, item in value.items()}
        for key in sorted(named):
            yield from numbers(named[key], f"{place}.{key}")
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from numbers(item, f"{place}[{k}]")
    elif not isinstance(value, str):
        yield place, value


if __name__ == "__main__":
    main()
