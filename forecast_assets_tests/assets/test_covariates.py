"""The page about own series through the graph: columns, checks and lineage; what an edited file and a replay change."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.assets.covariates import own_series
from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.covariates.declare import declared_features
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.source import PanelSource
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets_tests.helpers.graph import DEMO_ROOT, Graph, copied, environment
from forecast_assets_tests.helpers.paths import PROJECT

PAGE = PROJECT / "docs" / "covariates.md"
EVENTS = ("x_earnings_1d", "x_earnings_5d", "x_earnings_20d", "x_earnings_next")
NAMES = (
    *("x_credit_change", "x_credit_spread", *EVENTS),
    *("x_earnings_variance_1d", "x_earnings_variance_5d", "x_earnings_variance_20d", "x_short_interest_share"),
)


@pytest.fixture(scope="module")
def graph(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The smoke graph after what the page does."""
    blocks = re.findall(r"```(bash|python|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["bash", "python", "yaml", "bash"]
    (export, example, declared, run) = (text for _, text in blocks)
    folder = tmp_path_factory.mktemp("covariates")
    with copied(smoke_graph.root, folder / "data" / "demo") as made, environment(FORECAST_PROFILE="smoke"):
        for arguments in (["-m", *export.replace("forecast-assets", "forecast_assets.cli").split()], ["-c", example]):
            subprocess.run([sys.executable, *arguments], cwd=folder, env=os.environ | DEMO_ROOT, check=True)
        (made.root / "covariates.yaml").write_text(declared)
        command = run.split()
        assert command[:3] == ["forecast-assets", "run", "--select"]
        assert made.run(*command[3].split(",")).failures == []
        yield made


def test_the_columns_are_in_the_panel_and_the_tensors_and_are_described(graph: Graph) -> None:
    own = own_series(graph.version("covariates"))
    assert tuple(feature.name for feature in declared_features(own.specs)) == NAMES
    version, table = graph.version("feature_panel"), graph.table("feature_panel")
    assert set(NAMES) <= set(table.columns)
    described = version.manifest.facts["columns"]
    assert set(described) >= set(table.columns)
    assert described["x_credit_change"]["reads"] == [["covariates", "known_from"], ["covariates", "value"]]
    assert described["x_credit_change"]["description"].startswith(
        "log(spread / spread 5 values before), missing after 10"
    )
    tensors = PanelTensors.load(graph.version("windowed_tensors").path(TENSORS))
    assert set(NAMES) <= set(tensors.feature_names)
    facts = graph.version("covariates").manifest.facts
    assert (facts["series"], facts["values_credit"]) == (3, own.of("credit").height)
    assert all(table[name].n_unique() > 1 for name in NAMES)


def test_an_extended_panel_has_the_columns_of_one_made_anew(graph: Graph) -> None:
    assert graph.version("feature_panel").manifest.facts["extended"]
    own, found = own_series(graph.version("covariates")), graph.table("feature_panel")
    scratch = feature_panel(graph.table("calendar_panel"), features=FeatureSpec(), covariates=own)
    # The sizes of reports are inferred by a stage of its own, which the scratch panel is without.
    shared = [name for name in scratch.columns if not name.startswith("x_earnings_variance")]
    assert found.select(shared).equals(scratch.select(shared))


def test_the_leakage_checks_ran_over_the_series(graph: Graph) -> None:
    checks = graph.version("feature_panel").manifest.facts["checks"]
    assert {name for name, check in checks.items() if check["passed"]} >= {"truncation", "poison"}


def test_without_a_declaration_the_tables_are_those_of_before(graph: Graph, smoke_graph: Graph) -> None:
    assert smoke_graph.table("covariates").is_empty()
    assert smoke_graph.version("covariates").manifest.facts["note"].startswith("no covariates.yaml in the data root")
    plain = smoke_graph.table("feature_panel")
    assert not [name for name in plain.columns if name.startswith("x_")]
    assert graph.table("feature_panel").select(plain.columns).equals(plain)


def test_an_edited_file_is_a_changed_input_and_a_comment_is_not(graph: Graph, tmp_path: Path) -> None:
    with copied(graph.root, tmp_path / "graph") as other:
        before = other.ids()
        declared = other.root / "covariates.yaml"
        declared.write_text(declared.read_text() + "# the same\n")
        assert other.run("covariates", "feature_panel").failures == []
        assert other.ids() == before
        credit = other.root / "credit.csv"
        lines = credit.read_text().splitlines()
        lines[-2] = lines[-2].replace(",", ",9")  # known before the panel's last closes, unlike the last one
        credit.write_text("\n".join(lines) + "\n")
        assert other.run("covariates", "feature_panel").failures == []
        now, was = other.table("feature_panel"), graph.table("feature_panel")
        assert not now.equals(was)
        last = was["date"].max()
        assert now.filter(pl.col("date") < last).equals(was.filter(pl.col("date") < last))


def test_what_is_declared_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))
    source = PanelSource()
    assert source.covariates().specs == {}
    nothing = source.covariates().digest()
    monkeypatch.setenv("FORECAST_COVARIATES", str(tmp_path / "mine.yaml"))
    with pytest.raises(BadInput, match=r"mine.yaml: no such file; name the declarations with FORECAST_COVARIATES"):
        source.covariates()
    (tmp_path / "mine.yaml").write_text("mood: {path: mood.csv, kind: observed}\n")
    with pytest.raises(BadInput, match=r"mine.yaml: mood: path: there is no file .*mood.csv; correct the path"):
        source.covariates()
    (tmp_path / "mood.csv").write_text("date,value\n")
    assert source.covariates().files == {"mood": tmp_path / "mood.csv"}
    assert source.covariates().digest() != nothing


def test_a_file_that_cannot_be_used_stops_the_stage_with_one_sentence(graph: Graph, tmp_path: Path) -> None:
    with copied(graph.root, tmp_path / "graph") as other:
        (other.root / "credit.csv").write_text("date,spread\n2019-01-02,high\n")
        (failure,) = other.run("covariates").failures
        assert failure.message == "credit.csv: line 2: spread is not a number; leave it empty where there is none"
        (other.root / "covariates.yaml").write_text("short: {path: short.csv, kind: static}\n")
        (other.root / "short.csv").write_text("ticker,size\nAAPL US,1\n")
        (failure,) = other.run("covariates", "feature_panel").failures
        assert failure.message.startswith("short.csv: no ticker of short (AAPL US) is in the panel; name them as")
