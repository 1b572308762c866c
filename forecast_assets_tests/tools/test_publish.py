"""Which stages have changed since a published run."""

import shutil
from pathlib import Path

import pytest

from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import Graph
from tools.publish import current_stages, sentence, stages_of


def test_a_run_of_todays_code_has_no_stage_that_changed(smoke_graph: Graph) -> None:
    stages = stages_of(smoke_graph.store)
    assert {"raw_panel", "announcements", "b3_tft_sector", "ensemble", "backtest_report", "ablation_report"} <= set(
        stages
    )
    assert "serving_model" not in stages  # no report rests on it
    assert sentence(stages, current_stages()) == f"None of its {len(stages)} stages has changed since."


def test_changed_and_vanished_stages_are_named() -> None:
    assert sentence({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2"}) == "Changed since, of its 3 stages: `b`, `c`."
    assert "all of them count as changed" in sentence(None, {"a": "1"})


def test_years_of_different_code_are_not_published(smoke_graph: Graph, tmp_path: Path) -> None:
    shutil.copytree(smoke_graph.root / "store", tmp_path / "store")
    store = Store(tmp_path / "store")
    version = store.current("baselines", "2019")
    staging = store.stage("baselines", "2019", input_key=version.input_key)
    for name in version.manifest.files:
        shutil.copy(version.path(name), staging.path / name)
    store.commit(staging, {"parents": version.manifest.parents, "config": {}, "code_version": "other"})
    with pytest.raises(SystemExit, match="baselines: its years were made by different code"):
        stages_of(store)
