"""The nightly challenger and the target positions of the next open, on the smoke graph."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from forecast_assets.champion.retraining import names_missing_from_panel
from forecast_assets.core.backtest.next_positions import POSITIONS_SCHEMA
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.graph import Graph
from forecast_assets_tests.helpers.tensors import random_panel

MEMBERS = "members.safetensors"


@pytest.fixture(scope="module")
def night(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """A copy of the smoke graph, before a night that has a champion."""
    root = tmp_path_factory.mktemp("night")
    for part in ("store", "raw"):
        shutil.copytree(smoke_graph.root / part, root / part)
    with Graph(root) as graph:
        yield graph


def day(graph: Graph) -> str:
    return graph.store.partitions("target_positions")[-1]


def retrained(graph: Graph, *overrides: str) -> Version:
    """Train the challenger of the night again."""
    today = day(graph)
    shutil.rmtree(graph.root / "store" / "challenger")
    outcome = graph.run("raw_panel", "challenger", overrides=overrides)
    assert not outcome.failures
    return graph.version("challenger", today)


@pytest.fixture(scope="module")
def challenger(night: Graph) -> Version:
    """The challenger of the night; its files exist until the next ``retrained``."""
    return retrained(night)


def test_without_a_champion_no_challenger_is_trained_and_the_night_goes_on(smoke_graph: Graph) -> None:
    version = smoke_graph.version("challenger", day(smoke_graph))
    assert version.json("challenger.json") == {
        "promoted": False,
        "why": ["there is no champion yet to start from"],
        "champion": None,
    }
    assert version.manifest.facts["checks"]["not_worse"]["passed"]
    assert smoke_graph.version("serving_model").manifest.facts["challenger"].startswith("none")


def test_a_challenger_starts_from_the_champion_and_is_compared_on_later_forecasts(
    night: Graph, challenger: Version
) -> None:
    verdict, champion = challenger.json("challenger.json"), night.version("serving_model")
    card = champion.json("bundle.json")
    assert verdict["champion"] == card["model_version"]
    assert [member["fit"] for member in verdict["members"]] == [member["fit"] for member in card["members"]]
    assert card["cutoff"] < verdict["cutoff"] < day(night)
    assert verdict["sessions"] == 30
    assert verdict["promoted"] == (not verdict["worse"])
    assert challenger.manifest.facts["checks"]["not_worse"]["passed"] == verdict["promoted"]
    before, after = (load_file(v.path(MEMBERS)) for v in (champion, challenger))
    assert {name: tensor.shape for name, tensor in before.items()} == {n: t.shape for n, t in after.items()}
    moved = {int(name.split(".")[0]) for name in before if not before[name].equal(after[name])}
    assert moved == {k for k, member in enumerate(verdict["members"]) if member["best_epoch"] >= 0}
    assert moved


def test_the_comparison_scores_are_a_table_whose_columns_are_described(night: Graph, challenger: Version) -> None:
    table = night.table("challenger", day(night))
    ratios = [score["ratio"]["estimate"] for score in challenger.json("challenger.json")["horizons"]]
    assert table["pinball_ratio"].to_list() == ratios
    assert set(challenger.manifest.facts["columns"]) == set(table.columns)


def test_the_same_night_trains_the_same_challenger(night: Graph, challenger: Version) -> None:
    assert retrained(night).data_version == challenger.data_version


def test_a_harmful_learning_rate_leaves_the_champion_unchanged(night: Graph) -> None:
    version = retrained(night, "nightly.learning_rate=10")
    verdict = version.json("challenger.json")
    assert [member["best_epoch"] for member in verdict["members"]] == [-1] * len(verdict["members"])
    assert (verdict["promoted"], verdict["worse"], verdict["ratio"]) == (False, False, 1.0)
    before, after = (load_file(v.path(MEMBERS)) for v in (night.version("serving_model"), version))
    assert all(before[name].equal(after[name]) for name in before)


def test_with_too_short_a_history_no_challenger_is_trained(night: Graph) -> None:
    verdict = retrained(night, "nightly.train_sessions=1", "nightly.validation_sessions=100000").json("challenger.json")
    assert not verdict["promoted"]
    assert "no training forecast origin" in verdict["why"][0]


def with_verdict(graph: Graph, version: Version, *, promoted: bool) -> Version:
    """Publish the challenger again with another verdict and with other weights."""
    weights = {name: tensor * 1.01 for name, tensor in load_file(version.path(MEMBERS)).items()}
    with graph.store.stage("challenger", version.partition, input_key=("a" if promoted else "b") * 64) as staging:
        save_file(weights, staging.path / MEMBERS)
        verdict = {**version.json("challenger.json"), "promoted": promoted}
        (staging.path / "challenger.json").write_text(json.dumps(verdict))
        manifest = version.manifest
        return graph.store.commit(
            staging, {"parents": manifest.parents, "config": manifest.config, "code_version": manifest.code_version}
        )


def test_only_a_promoted_challenger_serves_and_it_does_from_the_same_night_on(night: Graph) -> None:
    challenger, champion = retrained(night), night.version("serving_model")
    with_verdict(night, challenger, promoted=False)
    assert not night.run("serving_model").failures
    assert night.version("serving_model").id == champion.id
    promoted = with_verdict(night, challenger, promoted=True)
    assert not night.run("serving_model").failures
    successor = night.version("serving_model")
    served, trained = (load_file(v.path(MEMBERS)) for v in (successor, promoted))
    assert served.keys() == trained.keys()
    assert all(served[name].equal(trained[name]) for name in served)
    before, after = (v.json("bundle.json") for v in (champion, successor))
    assert after["cutoff"] == promoted.json("challenger.json")["cutoff"] > before["cutoff"]
    assert after["model_version"] != before["model_version"]
    verdict = retrained(night).json("challenger.json")
    assert verdict["champion"] == after["model_version"]
    assert verdict["sessions"] == 30  # the origins after the successor's own labels


def test_tickers_sectors_and_exchanges_that_left_the_panel_are_found() -> None:
    panel = random_panel(tickers=3, sessions=40)
    vocabularies = {
        "ticker": {"T00": 1, "T02": 2, "T09": 3},
        "sector": {"Even": 1, "Prime": 2},
        "exchange": {"XNYS": 1},
    }
    assert names_missing_from_panel(vocabularies, panel) == ["T09", "Prime"]


def test_the_current_book_is_the_one_that_the_backtest_ends_with(smoke_graph: Graph) -> None:
    book = smoke_graph.table("target_positions", day(smoke_graph))
    assert dict(book.schema) == POSITIONS_SCHEMA
    traded = smoke_graph.version("backtest_report")
    own = pl.col("strategy") == "ensemble"
    last = pl.read_parquet(traded.path("positions.parquet")).filter(pl.col("date") == pl.col("date").max())
    net = smoke_graph.table("backtest_report").filter(own).sort("date")["net_return"][-1]
    ending = last.select("ticker", ending=(pl.col("weight") + pl.col("pnl")) / (1.0 + net))
    both = book.join(ending, on="ticker", how="full", coalesce=True).fill_null(0.0)
    assert last.height > 3
    assert both.select((pl.col("weight_now") - pl.col("ending")).abs().max()).item() < 1e-12
    assert book.select((pl.col("weight_now") + pl.col("trade") - pl.col("weight_target")).abs().max()).item() < 1e-12


def test_the_book_is_exported_as_csv(smoke_graph: Graph, tmp_path: Path) -> None:
    from forecast_assets.cli.export import export_table

    export_table(smoke_graph.store, "target_positions", tmp_path / "book.csv", partitions=[])
    assert pl.read_csv(tmp_path / "book.csv")["ticker"].to_list() == (
        smoke_graph.table("target_positions", day(smoke_graph))["ticker"].to_list()
    )
