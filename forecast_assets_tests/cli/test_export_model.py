"""Published TFTs against pytorch-forecasting: the asset check of every fold, and the command that exports one."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from forecast_assets.assets.fold.reference_check import REFERENCE, TOLERANCE
from forecast_assets.cli.app import cli
from forecast_assets.core.models.catalogue import CATALOGUE
from forecast_assets_tests.helpers.graph import Graph

TFTS = [model.key for model in CATALOGUE if model.family == "tft"]


@pytest.mark.parametrize("key", TFTS)
def test_every_trained_tft_was_compared_with_its_reference(smoke_graph: Graph, key: str) -> None:
    fold = smoke_graph.version(key, "2019")
    check = fold.manifest.facts["checks"][REFERENCE.name]
    assert check["passed"]
    if "skipped" not in fold.manifest.facts:
        assert 0 < check["metadata"]["largest_difference"] <= TOLERANCE / 10


def test_the_best_fit_is_exported_by_experiment_or_key(smoke_graph: Graph, tmp_path: Path) -> None:
    folders = []
    for name in ("B2", "b2_tft_ticker"):
        folders.append(tmp_path / name)
        done = export(name, tmp_path / name, smoke_graph)
        assert done.exit_code == 0, done.output
        assert done.output.startswith(f"{tmp_path / name}: weights, hyperparameters and README.txt of b2_tft_ticker/")
    first, second = (load_file(folder / "weights.safetensors") for folder in folders)
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)
    assert json.loads((folders[0] / "network.json").read_text())["hidden_size"] == 4
    assert "TemporalFusionTransformer(**settings" in (folders[0] / "README.txt").read_text()


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("B4", "not comparable: PatchTst is no Temporal Fusion Transformer"),
        ("B9", "B9: no such network; choose from b0_mlp, "),
    ],
)
def test_what_is_no_tft_is_one_sentence_and_leaves_nothing(
    smoke_graph: Graph, tmp_path: Path, model: str, sentence: str
) -> None:
    done = export(model, tmp_path / "out", smoke_graph)
    assert done.exit_code == 1
    assert sentence in done.output
    assert not (tmp_path / "out").exists()


def export(model: str, out: Path, graph: Graph) -> Result:
    arguments = ["export-model", model, "2019", str(out), "--data-dir", str(graph.root)]
    return CliRunner().invoke(cli, arguments)
