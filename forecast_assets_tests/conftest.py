"""Fixtures shared by the whole suite: a clean environment, and the smoke graph materialised once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Small tensors on two cores: a second thread costs more than it brings, and results must not depend on their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from forecast_assets_tests.graph import Graph


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's own settings."""
    for name in list(os.environ):
        if name.startswith("FORECAST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture(scope="session")
def smoke_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The whole graph on the smoke profile's synthetic panel, materialised once; tests only read it."""
    with Graph(tmp_path_factory.mktemp("smoke")) as graph:
        graph.run()
        yield graph


@pytest.fixture
def empty_graph(tmp_path: Path) -> Iterator[Graph]:
    """A graph of its own, nothing materialised."""
    with Graph(tmp_path) as graph:
        yield graph
