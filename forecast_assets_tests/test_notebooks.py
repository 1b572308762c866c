"""The notebooks run from top to bottom, on a store that the graph has filled."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from forecast_assets_tests.graph import Graph

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_the_benchmark_table_is_rebuilt_from_the_store(smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(smoke_graph.root))
    notebook = nbformat.read(NOTEBOOKS / "benchmark.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "Both tables are the published ones" in printed
    figures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(figures) == 2
