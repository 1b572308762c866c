"""``python -m forecast_assets.train``: one fold from the command line, and W&B's agents that call it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file

from forecast_assets.cli.app import cli
from forecast_assets.core.errors import BadSetting
from forecast_assets.resources.trial_log import collect_trials
from forecast_assets.train import checked, experiment_of
from forecast_assets_tests.helpers.graph import Graph, copied

SCHEMA = Path(__file__).parent / "data" / "wandb_sweep_schema.json"
"""From W&B's ``sweeps`` 0.3.0 (MIT licence); the package itself can't be installed beside numpy 2."""


def environment(graph: Graph) -> dict[str, str]:
    return {
        **os.environ,
        "FORECAST_DATA_DIR": str(graph.root),
        "FORECAST_PROFILE": "smoke",
        "WANDB_MODE": "disabled",
    }


def train(graph: Graph, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "forecast_assets.train", *arguments]
    return subprocess.run(command, env=environment(graph), capture_output=True, text=True, timeout=240)


def test_it_trains_what_the_asset_trains_and_the_trial_is_counted_once(smoke_graph: Graph) -> None:
    before = len(collect_trials(smoke_graph.store, str(smoke_graph.root)).trials)
    done = train(smoke_graph, "model=tft", "horizon=multi", "exp_id=B3", "year=2019")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip().rpartition("; ")[2])
    asset = smoke_graph.version("b3_tft_sector", "2019")
    assert json.loads((folder / "settings.json").read_text())["input_key"] == asset.manifest.input_key
    for seed in asset.manifest.seeds:
        mine, its = (
            load_file(where)
            for where in (folder / f"weights-{seed}.safetensors", asset.path(f"weights-{seed}.safetensors"))
        )
        assert all(mine[name].equal(its[name]) for name in its)
    assert len(collect_trials(smoke_graph.store, str(smoke_graph.root)).trials) == before
    assert not (folder / "checkpoints").exists()


def test_without_macro_series_the_mixture_of_experts_is_an_error_with_the_reason(smoke_graph: Graph) -> None:
    done = train(smoke_graph, "exp_id=B5", "year=2019")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("forecast-assets: b5_moe: the panel has no vix, vix_change_5, us10y")
    assert "FORECAST_MACRO" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def own_graph(smoke_graph: Graph, tmp_path: Path) -> Iterator[Graph]:
    """A copy, for tests that add trials."""
    with copied(smoke_graph.root, tmp_path / "graph") as graph:
        yield graph


def test_several_settings_at_once_are_as_many_trials(own_graph: Graph) -> None:
    before = len(collect_trials(own_graph.store, str(own_graph.root)).trials)
    done = train(own_graph, "exp_id=B4", "year=2019", "fit.hidden=2,6", "fit.fits=1", "--multirun")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation pinball") == 2
    assert len(collect_trials(own_graph.store, str(own_graph.root)).trials) == before + 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["exp_id=B3", "yaer=2019"], "there is no setting 'yaer'; the nearest is year"),
        (["exp_id=B3", "year=2019", "data=lookbak60"], "data: there is no 'lookbak60'; the nearest is lookback60"),
        (["exp_id=B3", "year=2019", "model=lstm"], "model: there is no 'lstm'; the nearest is"),
        (["exp_id=B3", "year=2019", "horizon=3"], "horizon: there is no '3'; the nearest is multi"),
        (["exp_id=B3", "year=2019", "b3_tft_sector.hiden=3"], "the nearest is b3_tft_sector.hidden"),
        (["exp_id=B3"], "year is missing"),
    ],
)
def test_an_unknown_key_or_value_is_one_sentence_with_the_nearest_name(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))
    with pytest.raises(BadSetting, match=sentence):
        checked(arguments)


def test_an_experiment_of_another_family_is_an_error() -> None:
    with pytest.raises(BadSetting, match="B3 is a tft; model=patchtst has B4"):
        experiment_of("B3", "patchtst")
    with pytest.raises(BadSetting, match="there is no 'B33'; the nearest is B3"):
        experiment_of("B33", None)


def test_an_unknown_setting_of_the_network_is_one_sentence_and_no_traceback(smoke_graph: Graph) -> None:
    done = train(smoke_graph, "exp_id=B3", "year=2019", "fit.hiden=3")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("there is no setting 'fit.hiden'; the nearest is fit.hidden")
    assert "Traceback" not in done.stderr


def test_the_wandb_sweep_is_valid_and_its_command_runs(
    own_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(own_graph.root))
    out = tmp_path / "sweep.yaml"
    result = CliRunner().invoke(cli, ["sweep", "--profile=smoke", "--wandb-yaml", str(out)])
    assert result.exit_code == 0, result.output
    sweep = yaml.safe_load(out.read_text())
    jsonschema.validate(sweep, json.loads(SCHEMA.read_text()))
    values = [f"{name}={choice['values'][0]}" for name, choice in sweep["parameters"].items()]
    filled = {"${env}": ["env"], "${interpreter}": [sys.executable], "${args_no_hyphens}": values}
    command = [part for word in sweep["command"] for part in filled.get(word, [word])]
    done = subprocess.run(command, env=environment(own_graph), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "validation pinball" in done.stdout
