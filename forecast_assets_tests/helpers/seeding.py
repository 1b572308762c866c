"""Run the proofs on a copy of the package in which one leak was seeded."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from forecast_assets_tests.helpers.mutants import Mutant

ROOT = Path(__file__).resolve().parents[2]
TESTS_FAILED = 1
"""pytest's exit code when tests ran and some failed; an import error or a usage error has another."""


@dataclass(frozen=True)
class Outcome:
    """What the proofs said of one copy."""

    caught: bool
    by: str  # the first test that failed; "" where all passed
    output: str


def seed(mutant: Mutant, package: Path) -> None:
    """Make the mutant's edits in a copy of the package. Raises ValueError where a text is not there exactly once."""
    path = package / "core" / mutant.file
    text = path.read_text(encoding="utf-8")
    for old, new in mutant.edits:
        if (found := text.count(old)) != 1:
            raise ValueError(f"{mutant.name}: {old!r} stands {found} times in core/{mutant.file}; mend the catalogue")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def run_proofs(proofs: tuple[str, ...], folder: Path, *, mutant: Mutant | None) -> Outcome:
    """Copy package and tests to ``folder``, seed ``mutant`` (None: nothing) and run the proofs until one fails.

    Raises RuntimeError where they could not be run at all: a mutant that does not import proves nothing.
    """
    for name in ("forecast_assets", "forecast_assets_tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    if mutant is not None:
        seed(mutant, folder / "forecast_assets")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "--tb=line"]
        + [f"forecast_assets_tests/{proof}" for proof in dict.fromkeys(proofs)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the proofs use none but the timeout, and loading all takes seconds
        },
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in (0, TESTS_FAILED) or (done.returncode == TESTS_FAILED and not failed):
        raise RuntimeError(f"the proofs did not run: {done.stdout}{done.stderr}")
    return Outcome(bool(failed), failed[0].removeprefix("forecast_assets_tests/") if failed else "", done.stdout)
