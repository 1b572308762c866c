"""Malformed raw panels: how many are misread, of 14 categories of 25 generated files and 1,000 mutated ones.

python -m benchmarks.ingest
"""

import collections
import json
import random
import tempfile
from pathlib import Path

import polars as pl

from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.malformed import cases, judge, mutated
from forecast_assets_tests.helpers.reading import read_files
from tools.results import record

MUTATED = 1_000


def main() -> None:
    spec = compose_settings("full", []).panel

    def read(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, int]:
        accepted, reading = read_files([path], spec=spec)
        return accepted, reading.rejected, reading.rows_read

    files = cases() + [mutated(random.Random(f"mutated {seed}"), 1 + seed % 6) for seed in range(MUTATED)]
    counts: collections.Counter[str] = collections.Counter(case.category for case in files)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(files):
            if found := judge(case, Path(folder, "panel.csv"), read):
                wrong.append({"file": number, "category": case.category, "what": found})
                print(json.dumps(wrong[-1]), flush=True)
    figure = {"value": len(wrong), "files": len(files), "categories": dict(counts), "wrong": wrong}
    print(record("ingest", {"malformed_silent_changes": figure}, command="python -m benchmarks.ingest"))


if __name__ == "__main__":
    main()
