"""The sweep: materialised, killed and resumed, and its settings used by later stages."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.resources.trial_log import trial_journal
from forecast_assets.store.artefact_files import CHOICES, TUNED_SETTINGS
from forecast_assets_tests.helpers.graph import PANEL, Graph, copied

WIDE = ["sweep.coverage_low=0.0", "sweep.coverage_high=1.0"]
"""Every setting is feasible: on the smoke panel's short inner year no coverage can be accurate."""


@pytest.fixture(scope="module")
def panel_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panel's assets, made once for all sweeps."""
    root = tmp_path_factory.mktemp("panel")
    with Graph(root) as graph:
        assert graph.run(*PANEL).failures == []
    return root


@pytest.fixture
def panel_graph(panel_root: Path, tmp_path: Path) -> Iterator[Graph]:
    """A graph of its own with only the panel's assets."""
    with copied(panel_root, tmp_path) as graph:
        yield graph


def test_the_networks_are_trained_with_the_settings_that_the_sweep_finds(panel_graph: Graph) -> None:
    chosen = [*WIDE, "sweep.learning_rate=[0.007]"]
    assert panel_graph.run(*PANEL, "sweep", "b2_tft_ticker", years=["2019"], overrides=chosen).failures == []
    found = panel_graph.version("sweep").json(TUNED_SETTINGS)
    assert found["settings"]["windows.lookback"] == 20
    assert found["years"] == [2017]
    trials = panel_graph.table("sweep")
    assert trials.height == 2
    assert trials["feasible"].all()
    # Both have one lookback and one width: the cheapest of those within the tolerance is the best.
    assert found["trial"] == trials.sort("loss", "trial")["trial"][0]
    trained = panel_graph.version("b2_tft_ticker", "2019").manifest.config
    assert trained["b2_tft_ticker"]["learning_rate"] == 0.007
    assert trained["b2_tft_ticker"]["epochs"] == 1  # a setting that was not searched is the profile's
    choices = pl.read_parquet(panel_graph.version("sweep").path(CHOICES))
    assert set(choices["setting"]) == {"calibration.rate", "trading"}
    by_hand = [*chosen, "b2_tft_ticker.learning_rate=0.02"]
    assert panel_graph.run("b2_tft_ticker", years=["2019"], overrides=by_hand).failures == []
    assert panel_graph.version("b2_tft_ticker", "2019").manifest.config["b2_tft_ticker"]["learning_rate"] == 0.02


def test_without_a_feasible_trial_the_profiles_settings_are_used(panel_graph: Graph) -> None:
    impossible = ["sweep.coverage_low=0.999", "sweep.coverage_high=1.0"]
    assert panel_graph.run(*PANEL, "sweep", overrides=impossible).failures == []
    version = panel_graph.version("sweep")
    assert version.json(TUNED_SETTINGS)["settings"] == {}
    assert "none of 2 finished trials" in str(version.manifest.facts["outcome"])
    assert version.manifest.facts["checks"]["feasible"]["passed"] is False
    assert panel_graph.table("sweep")["feasible"].to_list() == [False, False]
    logged = trial_journal(str(panel_graph.root)).read()
    assert sorted(record["fold"] for record in logged) == ["2017", "2017"]


def test_without_trials_nothing_is_searched(panel_graph: Graph) -> None:
    assert panel_graph.run(*PANEL, "sweep", overrides=["sweep.trials=0"]).failures == []
    assert panel_graph.version("sweep").json(TUNED_SETTINGS)["settings"] == {}


def test_a_killed_sweep_is_resumed_with_no_trial_lost_or_doubled(panel_graph: Graph) -> None:
    assert panel_graph.run(*PANEL).failures == []
    root = panel_graph.root
    environment = {
        **os.environ,
        "FORECAST_DATA_DIR": str(root),
        "FORECAST_PROFILE": "smoke",
        "DAGSTER_HOME": str(root / "home"),
        "WANDB_MODE": "disabled",
    }
    settings = [f"--set={setting}" for setting in (*WIDE, "sweep.epochs=6", "sweep.samples_per_epoch=1024")]
    command = [sys.executable, "-m", "forecast_assets.cli", "sweep", "--trials=4", "--workers=2", *settings]
    trial_log = root / "ledger" / "trials.jsonl"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 180
    while not trial_log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (root / "store" / "sweep").exists() or not panel_graph.store.has("sweep")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    trials = panel_graph.table("sweep")
    assert trials.height == 4
    assert trials.select("model", "learning_rate").n_unique() == 4
    fits = [json.loads(line) for line in trial_log.read_text().splitlines() if json.loads(line)["kind"] == "fit"]
    assert len(fits) == len({fit["id"] for fit in fits}) == 4
    assert [path.name for path in (root / "checkpoints").rglob("*.safetensors")] == ["forecasts.safetensors"]


def test_another_cost_repeats_no_fit_of_the_search(panel_graph: Graph) -> None:
    assert panel_graph.run(*PANEL, "sweep", overrides=WIDE).failures == []
    first, trials = panel_graph.version("sweep"), panel_graph.table("sweep")
    kept = sorted(path.name for path in Path(panel_graph.root, "checkpoints", "sweep").rglob("*") if path.is_file())
    assert kept.count("forecasts.safetensors") == 1
    assert not [name for name in kept if name.startswith("epoch")]
    before = counts(panel_graph)
    assert panel_graph.run("sweep", overrides=[*WIDE, "backtest.cost_bps=50"]).failures == []
    assert panel_graph.version("sweep").id != first.id
    assert panel_graph.table("sweep").equals(trials)
    after = counts(panel_graph)
    assert after["fit"] == before["fit"]
    assert before["look"] == 2  # a rate and a trading rule, in one inner year
    assert after["look"] == 3  # the trading rule was evaluated again, at the new cost


def test_every_evaluation_on_inner_years_is_counted_once_however_often_it_runs(panel_graph: Graph) -> None:
    tried = [
        *WIDE,
        "sweep.calibration_rate=[0.01,0.02,0.05]",
        "sweep.smoothing=[0.5,0.9]",
        "sweep.kelly_fraction=[0.25,0.5]",
    ]
    assert panel_graph.run(*PANEL, "sweep", overrides=tried).failures == []
    assert counts(panel_graph) == {"fit": 2, "look": 3 + 4}
    looks = [record for record in trial_journal(str(panel_graph.root)).read() if record["kind"] == "look"]
    assert {record["fold"] for record in looks} == {"2017"}  # an inner year, which no test year's evaluation has
    assert len({record["spec"] for record in looks}) == 7
    again = [*tried, "backtest.bootstrap_samples=51"]  # a setting of intervals, which evaluates nothing else
    assert panel_graph.run("sweep", overrides=again).failures == []
    assert counts(panel_graph) == {"fit": 2, "look": 7}
    one_more = [*tried, "sweep.calibration_rate=[0.01,0.02,0.05,0.1]"]
    assert panel_graph.run("sweep", overrides=one_more).failures == []
    assert counts(panel_graph)["look"] in (8, 8 + 4)  # the trading rules count again where the new rate is chosen


@pytest.mark.parametrize("models", ["[b2_tft_ticker,b4_patchtst]", "[b6_graph]"])
def test_missing_forecasts_are_made_again(panel_graph: Graph, models: str) -> None:
    settings = [*WIDE, f"sweep.models={models}"]
    assert panel_graph.run(*PANEL, "sweep", overrides=settings).failures == []
    chosen = pl.read_parquet(panel_graph.version("sweep").path(CHOICES))
    (stored,) = Path(panel_graph.root, "checkpoints", "sweep").rglob("forecasts.safetensors")
    content = stored.read_bytes()
    stored.unlink()
    assert panel_graph.run("sweep", overrides=[*settings, "backtest.bootstrap_samples=51"]).failures == []
    assert stored.read_bytes() == content
    assert pl.read_parquet(panel_graph.version("sweep").path(CHOICES)).equals(chosen)


def counts(graph: Graph) -> Counter[str]:
    return Counter(record["kind"] for record in trial_journal(str(graph.root)).read())


def test_a_network_without_its_columns_is_not_searched_and_the_others_are(panel_graph: Graph) -> None:
    models = "sweep.models=[b5_moe,b6_graph,b7_maml]"
    assert panel_graph.run("sweep", overrides=[models, "sweep.trials=4", *WIDE]).failures == []
    trials = panel_graph.table("sweep")
    assert set(trials["model"]) == {"b6_graph", "b7_maml"}
    assert set(trials["state"]) <= {"complete", "pruned"}
    assert panel_graph.run("sweep", overrides=["sweep.models=[b5_moe]", *WIDE]).failures == []
    outcome = panel_graph.version("sweep").manifest.facts["outcome"]
    assert str(outcome).startswith("no model can be searched: b5_moe: the panel has no vix, ")


def test_a_model_that_cannot_be_searched_says_why_and_a_wrong_name_is_answered(panel_graph: Graph) -> None:
    assert panel_graph.run("sweep", overrides=["sweep.models=[g0_lightgbm,b0_mlp]", *WIDE]).failures == []
    outcome = str(panel_graph.version("sweep").manifest.facts["outcome"])
    assert "g0_lightgbm: The sweep does not search its settings, which are not those of the networks" in outcome
    assert "b0_mlp: The sweep leaves the baseline as it is." in outcome
    (failure,) = panel_graph.run("sweep", overrides=["sweep.models=[b3_tft]"]).failures
    assert "sweep.models: there is no model 'b3_tft'; the nearest is b1_tft" in str(failure)
