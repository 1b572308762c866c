"""The run of record's figures, from the metrics that a report publishes, and that a failed step ends it."""

import sys
from pathlib import Path
from statistics import mean

import pytest

from campaigns.run_of_record import Steps, figures
from forecast_assets.store.artefact_files import BACKTEST_METRICS
from forecast_assets.store.asset_keys import BACKTEST_REPORT
from forecast_assets_tests.helpers.graph import Graph


def test_the_figures_are_the_reports_own_numbers(smoke_graph: Graph) -> None:
    metrics = smoke_graph.store.current(BACKTEST_REPORT).json(BACKTEST_METRICS)
    found = figures(metrics)
    of_ensemble = [row["pinball_ratio"] for row in metrics["forecasts"] if row["model"] == "ensemble"]
    assert found["ensemble_vs_ewma_test"]["value"] == pytest.approx(mean(of_ensemble), abs=1e-5)
    assert found["ensemble_worst_horizon_test"]["value"] == pytest.approx(max(of_ensemble), abs=1e-5)
    years = found["years_better_than_harx"]
    assert set(years["better"]) == {year for year, of in years["by_year"].items() if of["ensemble"] < of["harx"]}
    assert list(years["by_year"]) == metrics["years"]


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_the_hours_of_a_step_add_up_and_a_failed_one_ends_the_run(tmp_path: Path) -> None:
    steps = Steps(tmp_path / "steps.json", {})
    steps.run("wait", python("import time; time.sleep(0.05)"))
    first = steps.hours()["wait"]
    with pytest.raises(SystemExit, match="wait ended with exit code 3; start it again"):
        steps.run("wait", python("import time; time.sleep(0.05); raise SystemExit(3)"), python("pass"))
    assert steps.hours()["wait"] >= first + 0.05 / 3600


def test_a_look_at_what_was_looked_at_is_not_repeated_and_a_failed_one_is(tmp_path: Path) -> None:
    steps, seen = Steps(tmp_path / "steps.json", {"SEEN": str(tmp_path / "seen")}), tmp_path / "seen"
    look = python("import os; open(os.environ['SEEN'], 'a').write('x')")
    with pytest.raises(SystemExit):
        steps.run("look", look, python("raise SystemExit(1)"), of="a report")
    for of in ("a report", "a report", "another", "another"):
        steps.run("look", look, of=of)
    assert seen.read_text() == "xxx"
