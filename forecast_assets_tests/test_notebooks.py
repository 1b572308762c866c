"""The notebooks run from top to bottom, on a store that the graph has filled."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from forecast_assets_tests.helpers.fev_scores import HAS_FEV, WITHOUT, variables
from forecast_assets_tests.helpers.graph import Graph

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
FIRST = "first_forecast.ipynb"
BENCHMARK = "equity_benchmark.ipynb"
FIT = "forecaster = Forecaster.fit(panel, data_dir=DATA, profile=PROFILE, years=[2019])"
TASKS = 'tasks = fev.Benchmark.from_yaml("benchmark.yaml").tasks'
LOAD = "forecaster = Forecaster.load(DATA)"


def executed(name: str, *, instead: dict[str, str] | None = None) -> tuple[str, int]:
    """What a notebook prints when it runs, and how many figures it draws; ``instead``: other sources for cells."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for cell in notebook.cells:
        cell.source = (instead or {}).get(cell.source, cell.source)
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


def outputs_are_committed(name: str) -> bool:
    return any(cell.get("outputs") for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells)


def test_the_two_notebooks_that_are_read_are_shown_with_their_outputs() -> None:
    shown = [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb")) if outputs_are_committed(path.name)]
    assert shown == [BENCHMARK, FIRST]


def test_from_a_csv_to_a_fan_chart(smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert FIT in [cell.source for cell in nbformat.read(NOTEBOOKS / FIRST, as_version=4).cells]
    data = tmp_path / "data"
    shutil.copytree(smoke_graph.root, data)  # the panel's file is written beside it
    monkeypatch.setenv("FORECAST_DATA_DIR", str(data))
    monkeypatch.setenv("FORECAST_PROFILE", "smoke")
    text, figures = executed(FIRST, instead={FIT: LOAD})  # fitting is tested with Forecaster
    assert "Forecasts: Ensemble against HAR-X volatility regression" in text
    assert figures == 1


@pytest.mark.skipif(not HAS_FEV, reason=WITHOUT)
def test_outside_models_are_scored_beside_ours(
    smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On two windows of each task; the store is there already, so that nothing is trained."""
    assert TASKS in [cell.source for cell in nbformat.read(NOTEBOOKS / BENCHMARK, as_version=4).cells]
    data = tmp_path / "data"
    shutil.copytree(smoke_graph.root, data)  # the benchmark is written beside it
    for name, value in variables(tmp_path / "hf").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORECAST_DATA_DIR", str(data))
    monkeypatch.setenv("FORECAST_PROFILE", "smoke")
    text, _ = executed(BENCHMARK, instead={TASKS: f"{TASKS}\nfor task in tasks:\n    task.num_windows = 2"})
    assert "The same by our own definition; 0 of our forecasts were stood in for." in text
    assert all(model in text for model in ("GARCH (arch)", "LightGBM", "our ensemble"))


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
