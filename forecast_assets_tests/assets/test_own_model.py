"""The model of ``docs/own_model.md`` on the whole graph, beside one that fails and one that looks ahead."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.assets.fold.candidates import SKIPPED
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.store.artefact_files import RAW_FORECASTS
from forecast_assets_tests.helpers.graph import Graph, copied
from forecast_assets_tests.helpers.paths import PROJECT

PAGE = PROJECT / "docs" / "own_model.md"
YEARS = ("2018", "2019")
MOST_LINES = 30
pytestmark = pytest.mark.timeout(600)  # the smoke graph where it is not made yet, and a run of a further process

BROKEN = """
from forecast_assets.core.models.entry import Model, ModelSpec

class Broken:
    def __init__(self, spec): ...
    def fit(self, train, *, seed):
        return self
    def predict(self, origins):
        return -origins.quantiles()

MODEL = Model("U2", "u2_broken", title="Broken", spec=ModelSpec, estimator=Broken, description="U2: the tails swapped.")
"""

LEAKY = """
from forecast_assets.core.models.entry import Model, ModelSpec

class Leaky:
    def __init__(self, spec): ...
    def fit(self, train, *, seed):
        return self
    def predict(self, origins):
        last = origins.summary - origins.summary.mean(axis=0)  # of all that are asked, later ones too
        return origins.quantiles(log_scale=0.1 * last[:, :1])

MODEL = Model("U3", "u3_leaky", title="Leaky", spec=ModelSpec, estimator=Leaky, description="U3: over the whole call.")
"""

RUN = """
import sys
from pathlib import Path
from forecast_assets_tests.helpers.graph import Graph
models, reports = ("u1_ridge", "u2_broken", "u3_leaky"), ("ensemble", "backtest", "backtest_report", "ablation_report")
overrides = ["u1_ridge.penalty=500", "u1_ridge.fits=2"]
with Graph(Path(sys.argv[1])) as graph:
    assert graph.run("raw_panel").failures == []  # so that Dagster knows the years
    outcome = graph.run("sweep", *models, *reports, years=["2018", "2019"], overrides=overrides)
    assert outcome.failures == [], outcome.failures
"""


def code_of_page() -> str:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


@pytest.fixture(scope="module")
def graph(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The smoke graph after a further run, in a process of its own: the catalogue is made when it is imported."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(code_of_page())
    (folder / "broken.py").write_text(BROKEN)
    (folder / "leaky.py").write_text(LEAKY)
    with copied(smoke_graph.root, folder / "graph") as graph:
        surroundings = {
            **os.environ,
            "FORECAST_MODELS": os.pathsep.join(["mine.py", str(folder / "broken.py"), "leaky.py"]),
            "FORECAST_WORKERS": "2",  # fits in other processes, which load the files again
            "PYTHONPATH": str(PROJECT),
        }
        done = subprocess.run(
            [sys.executable, "-c", RUN, graph.root],
            cwd=folder,
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        yield graph


def test_the_pages_model_has_at_most_30_lines() -> None:
    assert len([line for line in code_of_page().splitlines() if line.strip()]) <= MOST_LINES


@pytest.mark.parametrize("year", YEARS)
def test_it_publishes_what_a_network_does_but_weights(graph: Graph, year: str) -> None:
    fold, other = graph.version("u1_ridge", year), graph.version("b8_summary", year)
    assert set(fold.manifest.files) == {name for name in other.manifest.files if not name.startswith("weights-")}
    assert fold.manifest.seeds == (0, 1)
    assert fold.manifest.config["u1_ridge"]["penalty"] == 500
    table = graph.table("u1_ridge", year)
    keys = ["date", "ticker", "horizon"]
    assert table.select(keys).equals(graph.table("b8_summary", year).select(keys))
    raw = pl.read_parquet(fold.path(RAW_FORECASTS))
    assert raw.select(pl.selectors.starts_with("q")).width == len(QUANTILES)
    assert not raw.select("q025").equals(pl.read_parquet(other.path(RAW_FORECASTS)).select("q025"))


def test_it_says_that_it_is_in_no_ensemble_and_is_none_of_its_members(graph: Graph) -> None:
    assert "in no ensemble, which has to be served" in graph.version("u1_ridge", "2019").manifest.facts["limits"]
    parents = {label.partition("/")[0] for label in graph.version("ensemble", "2019").manifest.parents}
    assert parents & {"u1_ridge", "u2_broken", "u3_leaky"} == set()
    assert parents >= set(CANDIDATES)


def test_it_has_a_row_in_both_reports_and_a_book(graph: Graph) -> None:
    report = graph.version("backtest_report").json("metrics.json")
    ablation = graph.version("ablation_report").json("ablation.json")
    for rows in (report["forecasts"], ablation["scores"]):
        assert "u1_ridge" in {row["model"] for row in rows}
    assert "u1_ridge" in set(graph.table("backtest", "2019")["strategy"])
    assert "Ridge on summaries" in graph.version("backtest_report").path("backtest.html").read_text()


def test_each_of_its_fits_is_a_trial(graph: Graph) -> None:
    trials = graph.version("backtest_report").json("trials.json")["trials"]
    assert len([trial for trial in trials if "u1_ridge" in str(trial)]) == len(YEARS) * 2


def test_a_model_that_fails_is_skipped_with_the_sentence_and_the_rest_is_made(graph: Graph) -> None:
    for year in YEARS:
        fold = graph.version("u2_broken", year)
        assert re.fullmatch(
            r".*broken\.py: predict\(\) returned quantiles that cross for \d+ of \d+ forecast origins",
            fold.manifest.facts[SKIPPED],
        )
        assert graph.table("u2_broken", year).is_empty()
    report = graph.version("backtest_report").json("metrics.json")
    assert "u2_broken" not in {row["model"] for row in report["forecasts"]}


def test_a_model_that_looks_ahead_is_skipped_with_the_first_origin_that_tells(graph: Graph) -> None:
    for year in YEARS:
        skipped = graph.version("u3_leaky", year).manifest.facts[SKIPPED]
        assert re.fullmatch(
            r"leaky\.py: predict\(\) looks ahead: quantile \S+ of \S+ over \d+ sessions on \d{4}-\d\d-\d\d changes from \S+ "
            r"to \S+ when the values after \d{4}-\d\d-\d\d are (garbage|exchanged at random) \((poison|shuffle)\)",
            skipped,
        )
        assert graph.table("u3_leaky", year).is_empty()


def test_a_model_is_audited_once_for_all_years(graph: Graph) -> None:
    assert graph.version("u1_ridge", "2019").manifest.facts["audit"] == "audited: no look-ahead found"
    found = [json.loads(path.read_text()) for path in (graph.root / "checkpoints" / "audits").iterdir()]
    assert len(found) == len(["u1_ridge", "u2_broken", "u3_leaky"])
    assert len([outcome for outcome in found if outcome["leak"]]) == 1
    assert not any(outcome["not_judged"] for outcome in found)


def test_no_network_search_or_ensemble_was_made_again_for_it(graph: Graph, smoke_graph: Graph) -> None:
    kept = {*CANDIDATES, "sweep", "ensemble"}
    before, after = smoke_graph.ids(), graph.ids()
    assert {slot: before[slot] for slot in before if slot[0] in kept} == {
        slot: after[slot] for slot in after if slot[0] in kept
    }


@pytest.mark.parametrize("command", ["run", "knobs"])
def test_a_file_that_cannot_be_loaded_stops_a_command_with_one_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "mine.py").write_text("MODEL = 1 / 0")
    surroundings = os.environ | {"FORECAST_MODELS": "mine.py", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-m", "forecast_assets.cli", command],
        cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "forecast-assets: mine.py: cannot be loaded, it raises ZeroDivisionError: division by zero\n"
