"""Edit a copy of the package: seed a mutant and run the tests that must catch it, or make a change and see it work."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forecast_assets_tests.helpers.changes import Change
from forecast_assets_tests.helpers.mutants import Mutant
from forecast_assets_tests.helpers.paths import PROJECT

TESTS_FAILED = 1
"""pytest's exit code when tests ran and some failed; an import error or a usage error has another."""


@dataclass(frozen=True)
class Outcome:
    """Result of the tests on one copy."""

    caught: bool
    by: str  # the first test that failed; "" where all passed
    output: str


def copy_packages(folder: Path, *names: str) -> None:
    """Copy top-level packages of the project to ``folder``."""
    for name in names:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def replace_once(path: Path, edits: Sequence[tuple[str, str]], *, what: str) -> None:
    """Replace each old text in a file by the new one. Raises ValueError where it is not there exactly once."""
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        if (found := text.count(old)) != 1:
            raise ValueError(f"{what}: {old!r} stands {found} times in {path.name}; correct the edit")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def seed(mutant: Mutant, package: Path) -> None:
    """Make the mutant's edits in a copy of the package."""
    replace_once(package / "core" / mutant.file, mutant.edits, what=mutant.name)


def run_tests(tests: tuple[str, ...], folder: Path, *, mutant: Mutant | None) -> Outcome:
    """Copy package and tests to ``folder``, seed ``mutant`` (None: nothing) and run ``tests`` until one fails.

    Raises RuntimeError where they could not be run at all: a mutant that does not import is not caught.
    """
    copy_packages(folder, "forecast_assets", "forecast_assets_tests")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    if mutant is not None:
        seed(mutant, folder / "forecast_assets")
    done = python_in(
        folder,
        *("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "--tb=line"),
        *(f"forecast_assets_tests/{path}" for path in dict.fromkeys(tests)),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",  # the tests use none but the timeout, and loading all takes seconds
    )
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in (0, TESTS_FAILED) or (done.returncode == TESTS_FAILED and not failed):
        raise RuntimeError(f"the tests did not run: {done.stdout}{done.stderr}")
    return Outcome(bool(failed), failed[0].removeprefix("forecast_assets_tests/") if failed else "", done.stdout)


def make_change(change: Change, folder: Path) -> list[str]:
    """Apply ``change`` to a copy of the package below ``folder`` and run its check there; return the files it touched.

    The check may import ``forecast_assets_tests.helpers``. Raises RuntimeError where it fails.
    """
    apply_change(change, folder)
    done = python_in(folder, "-c", change.check, PYTHONPATH=f"{folder}{os.pathsep}{PROJECT}")
    if done.returncode:
        raise RuntimeError(f"{change.what}: the check failed: {done.stdout}{done.stderr}")
    return sorted({*change.added, *change.edited})


def apply_change(change: Change, folder: Path) -> None:
    """Copy the package to ``folder`` and make the change's edits there."""
    copy_packages(folder, "forecast_assets")
    package = folder / "forecast_assets"
    for name, text in change.added.items():
        if (package / name).exists():
            raise ValueError(f"{change.name}: {name} exists; correct the change")
        (package / name).write_text(text, encoding="utf-8")
    for name, edits in change.edited.items():
        replace_once(package / name, edits, what=change.name)


def python_in(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with the copy of the package in ``folder``."""
    paths = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
