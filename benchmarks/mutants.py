"""Leaks seeded in a copy of the package: which test catches each.

python -m benchmarks.mutants
"""

import tempfile
from pathlib import Path

from forecast_assets_tests.helpers.mutants import MUTANTS
from forecast_assets_tests.helpers.seeding import run_tests
from tools.results import record


def main() -> None:
    caught: dict[str, str] = {}
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_tests(mutant.tests, Path(folder), mutant=mutant)
        caught[mutant.name] = outcome.by
        print(f"{mutant.name}: {outcome.by or 'MISSED'}", flush=True)
    missed = sorted(name for name, by in caught.items() if not by)
    figures = {
        "leakage_mutants_seeded": {"value": len(MUTANTS), "caught_by": caught},
        "leakage_mutants_missed": {"value": len(missed), "missed": missed},
    }
    print(record("mutants", figures, command="python -m benchmarks.mutants"))


if __name__ == "__main__":
    main()
