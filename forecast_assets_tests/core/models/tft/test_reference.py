"""Trained networks against pytorch-forecasting's own, in product code: the comparison and the exported folder."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from forecast_assets.core.errors import BadInput
from forecast_assets.core.models.base import single_batch
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.models.tft.reference import (
    NETWORK,
    README,
    WEIGHTS,
    export_network,
    largest_difference,
    reference_inputs,
)
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.core.training.test_fit import GRAPH, LOOKBACK, SPECS, with_graph
from forecast_assets_tests.helpers.tensors import random_panel

TFTS = ("b1_tft", "b2_tft_ticker", "b3_tft_sector", "b5_moe", "b6_graph", "b7_maml")


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return with_graph(random_panel(tickers=4, sessions=300), GRAPH.graph)


@pytest.fixture(scope="module")
def ends(panel: PanelTensors) -> torch.Tensor:
    return panel.ends(LOOKBACK)[40::7]


@pytest.fixture(scope="module")
def stats(panel: PanelTensors) -> FoldStats:
    train = panel.ends(LOOKBACK)
    train = train[torch.isfinite(panel.targets[train]).all(dim=1)]
    return fit_stats(panel, Fold(year=0, train=train, validation=train, test=train))


def random_model(name: str, stats: FoldStats) -> Tft:
    """With no parameter at its initial zero or one."""
    torch.manual_seed(0)
    model = MODELS[name].build(SPECS[name], stats=stats, lookback=LOOKBACK)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert isinstance(model, Tft)
    return model


@pytest.mark.parametrize("name", TFTS)
def test_hidden_states_are_those_of_pytorch_forecasting(
    name: str, panel: PanelTensors, stats: FoldStats, ends: torch.Tensor
) -> None:
    model = random_model(name, stats)
    assert 0 < largest_difference(model, ends, panel=panel, stats=stats) < 1e-5
    assert model.training


def test_a_changed_network_differs_from_its_reference(
    panel: PanelTensors, stats: FoldStats, ends: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("b2_tft_ticker", stats)
    before = model.network.outputs
    monkeypatch.setattr(model.network, "outputs", lambda rows, *rest: before(rows.roll(1, dims=1), *rest))
    assert largest_difference(model, ends, panel=panel, stats=stats) > 1e-3


def test_an_undefined_state_is_no_agreement(
    panel: PanelTensors, stats: FoldStats, ends: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("b2_tft_ticker", stats)
    before = model.network.outputs
    monkeypatch.setattr(model.network, "outputs", lambda rows, *rest: before(rows * float("nan"), *rest))
    assert math.isnan(largest_difference(model, ends, panel=panel, stats=stats))


def test_other_networks_are_not_comparable(
    panel: PanelTensors, stats: FoldStats, ends: torch.Tensor, tmp_path: Path
) -> None:
    mlp = MODELS["b0_mlp"].build(SPECS["b0_mlp"], stats=stats, lookback=LOOKBACK)
    with pytest.raises(BadInput, match="not comparable: NormalMlp is no Temporal Fusion Transformer"):
        largest_difference(mlp, ends, panel=panel, stats=stats)
    with pytest.raises(BadInput, match="not comparable"):
        export_network(mlp, tmp_path)


@pytest.mark.parametrize("name", ["b1_tft", "b3_tft_sector"])
def test_a_stranger_loads_an_export_by_its_readme_alone(
    name: str, panel: PanelTensors, stats: FoldStats, ends: torch.Tensor, tmp_path: Path
) -> None:
    """In another process, which does not have this project on its path."""
    model, folder = random_model(name, stats).eval(), tmp_path / "out" / name
    export_network(model, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([WEIGHTS, NETWORK, README])
    inputs = model.inputs(single_batch(model, ends, panel=panel, stats=stats))
    given = {k: v.contiguous() for k, v in reference_inputs(*inputs, lookback=LOOKBACK).items()}
    save_file(given, tmp_path / "inputs.safetensors")
    snippet = "\n".join(line.strip() for line in (folder / README).read_text().splitlines() if line.startswith("    "))
    use = (
        "import torch, safetensors.torch as files\n"
        f"with torch.no_grad(): made = network(files.load_file({str(tmp_path / 'inputs.safetensors')!r}))\n"
        f"files.save_file(dict(raw=torch.cat(made['prediction'], dim=1)), {str(tmp_path / 'raw.safetensors')!r})\n"
    )
    command = [sys.executable, "-I", "-W", "ignore", "-c", f"{snippet}\n{use}"]
    subprocess.run(command, cwd=folder, check=True, timeout=200)
    with torch.no_grad():
        raw = model.raw(single_batch(model, ends, panel=panel, stats=stats))
    torch.testing.assert_close(load_file(tmp_path / "raw.safetensors")["raw"], raw, rtol=0, atol=1e-5)
    assert raw.std() > 0.1
    settings = json.loads((folder / NETWORK).read_text())
    assert settings["time_varying_reals_encoder"] == [*SPECS[name].reads.columns]


def test_an_export_says_which_parts_are_not_in_it(stats: FoldStats, tmp_path: Path) -> None:
    export_network(random_model("b5_moe", stats), tmp_path)
    assert "without the parts that Moe adds" in (tmp_path / README).read_text()
