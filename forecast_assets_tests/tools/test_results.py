"""Result files: figures are merged, machines are not mixed."""

import json
from pathlib import Path

import pytest

from tools.results import record


def test_a_figure_measured_alone_is_merged_into_the_others(tmp_path: Path) -> None:
    record("speed", {"a": {"value": 1.0}, "b": {"value": 2.0}}, command="both", folder=tmp_path)
    path = record("speed", {"b": {"value": 3.0, "rounds": 7}}, command="b alone", folder=tmp_path)
    result = json.loads(path.read_text())
    assert {key: figure["value"] for key, figure in result["figures"].items()} == {"a": 1.0, "b": 3.0}
    assert result["figures"]["b"]["rounds"] == 7
    assert result["command"] == "b alone"
    assert set(result) == {"figures", "machine", "versions", "command", "commit"}


def test_figures_of_two_machines_are_not_mixed(tmp_path: Path) -> None:
    path = record("speed", {"a": {"value": 1.0}}, command="here", folder=tmp_path)
    path.write_text(path.read_text().replace('"cores": ', '"cores": 1000'))
    with pytest.raises(SystemExit, match="another machine"):
        record("speed", {"b": {"value": 2.0}}, command="there", folder=tmp_path)
