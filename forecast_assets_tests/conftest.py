"""Fixtures shared by the whole suite: a clean environment, and the smoke graph materialised once.

What takes seconds to import is imported by the fixture that needs it: the tests of each mutant load this file again.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Small tensors on two cores: a second thread costs more than it brings, and results must not depend on their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from forecast_assets.store.locks import exclusive
from forecast_assets_tests.helpers.browser import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from forecast_assets_tests.helpers.graph import Graph

# Before any fixture of a module, which is made before the first test's own: one that trains would start processes.
for own in [name for name in os.environ if name.startswith("FORECAST_")]:
    del os.environ[own]
os.environ |= {"FORECAST_WORKERS": "1", "WANDB_MODE": "offline"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what drives the whole system, which takes longest: at the end neither of two processes waits for it."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent != here)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the user's own settings, and train in the tests' own process, which is quicker for their small fits.

    What a command exports in this process is gone before the next module's fixtures.
    """
    for name in list(os.environ):
        if name.startswith("FORECAST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FORECAST_WORKERS", "1")
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield
    for name in [name for name in os.environ if name.startswith("FORECAST_")]:
        del os.environ[name]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; the module is marked ``needs_chromium``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def smoke_graph(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator["Graph"]:
    """The whole graph on the smoke profile's synthetic panel, materialised once; tests only read it.

    With ``pytest -n 2``, the process that needs it first makes it, and each works on a copy of its own.
    """
    from forecast_assets_tests.helpers.graph import copied

    root = tmp_path_factory.mktemp("smoke")
    if not hasattr(pytestconfig, "workerinput"):
        made = root / "made"
        materialise(made)
    else:
        made = tmp_path_factory.getbasetemp().parent / "smoke"  # a folder of this session, for all its processes
        with exclusive(made.with_suffix(".lock"), what="the smoke graph"):
            if not made.exists():
                materialise(root / "made")
                (root / "made").rename(made)
    with copied(made, root / "graph") as graph:
        graph.run("raw_panel")  # computes nothing, but registers the years with Dagster
        yield graph


def materialise(root: Path) -> None:
    from forecast_assets_tests.helpers.graph import Graph

    root.mkdir()
    with Graph(root) as graph:
        failures = graph.run().failures
    assert failures == []


@pytest.fixture
def empty_graph(tmp_path: Path) -> Iterator["Graph"]:
    """A graph of its own with nothing materialised."""
    from forecast_assets_tests.helpers.graph import Graph

    with Graph(tmp_path) as graph:
        yield graph
