"""Weights of a Chronos model: a folder's content is their digest, and what cannot be had is a sentence."""

from pathlib import Path

import pytest

from forecast_assets.resources.chronos_weights import find_weights
from forecast_assets.resources.source import PanelSource
from forecast_assets_tests.helpers.chronos_weights import HAS_CHRONOS, WITHOUT

pytestmark = pytest.mark.skipif(not HAS_CHRONOS, reason=WITHOUT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "chronos-mine"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"1")
    return made


def test_a_folder_is_named_by_its_last_part(folder: Path) -> None:
    found = find_weights(str(folder))
    assert (found.name, found.folder, found.problem) == ("chronos-mine", folder, "")


def test_other_content_is_another_digest(folder: Path) -> None:
    before = find_weights(str(folder)).digest()
    assert find_weights(str(folder)).digest() == before
    (folder / "model.safetensors").write_bytes(b"2")
    assert find_weights(str(folder)).digest() != before


def test_without_a_name_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORECAST_CHRONOS", raising=False)
    found = PanelSource().chronos()
    assert found.name == ""
    assert found.folder is None
    assert found.problem == (
        "no weights are named: FORECAST_CHRONOS takes a folder of a Chronos model's weights, or its id on the hub"
    )


def test_a_folder_without_weights_says_what_it_lacks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setenv("FORECAST_CHRONOS", str(folder))
    found = PanelSource().chronos()
    assert found.folder is None
    assert found.problem == f"{folder}: no file *.safetensors in it; name the folder of a model"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = find_weights(str(tmp_path / "none"))
    assert (found.name, found.folder) == ("none", None)
    assert found.problem == f"{tmp_path / 'none'}: no such folder; name one with FORECAST_CHRONOS, or leave it unset"


def test_a_missing_package_is_named_with_its_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast_assets.resources.chronos_weights.PACKAGE", "no-such-package")
    assert find_weights(str(folder)).problem == (
        "the package no-such-package is not installed: pip install 'forecast-assets[chronos]'"
    )


def test_a_model_of_the_hub_is_read_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    missing = find_weights("somebody/chronos-mine")
    assert missing.folder is None
    assert missing.problem.startswith("somebody/chronos-mine: no such folder, and not to be had from the hub (")
    repository, commit = tmp_path / "models--somebody--chronos-mine", "a" * 40
    snapshot = repository / "snapshots" / commit
    for path, content in ((snapshot / "config.json", "{}"), (repository / "refs" / "main", commit)):
        path.parent.mkdir(parents=True)
        path.write_text(content)
    found = find_weights("somebody/chronos-mine")
    assert (found.name, found.folder) == ("somebody/chronos-mine", snapshot)
    assert found.digest() != missing.digest()
