"""Ctrl-C in a terminal: one sentence, exit code 130 and no traceback, whenever it is pressed."""

import sys
from pathlib import Path

import pytest

from campaigns.interrupts import interrupt


@pytest.mark.parametrize(
    ("after", "twice"), [("", False), ("windowed_tensors ", False), ("rejected_rows ", True)], ids=str
)
def test_ctrl_c_ends_a_run_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, twice: bool
) -> None:
    """While it imports, between the last step of a job and its end, inside a step, and twice."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    command = [sys.executable, "-m", "forecast_assets.cli", "run", "--profile", "smoke", "--data-dir", str(tmp_path)]
    done = interrupt(command, when=lambda seconds, output: seconds > 0.5 and after in output, twice=twice)
    assert done.pressed == 1 + twice
    assert done.faults == [], done.output
    if after:
        assert "stopped by a signal in " in done.output
