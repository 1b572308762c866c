"""The notebooks run from top to bottom, on a store that the graph has filled."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from forecast_assets_tests.helpers.graph import Graph

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def executed(name: str) -> tuple[str, int]:
    """What a notebook prints when it runs, and how many figures it draws."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


def test_the_benchmark_table_is_rebuilt_from_the_store(smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(smoke_graph.root))
    text, figures = executed("benchmark.ipynb")
    assert "Both tables are the published ones" in text
    assert figures == 2


def test_the_notebook_on_the_panel_runs(smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(smoke_graph.root))
    text, figures = executed("explore.ipynb")
    assert "conflicting rows" in text
    assert figures == 2
