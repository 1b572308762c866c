"""B5 with macro series, without them and when their feed stops; attributions of B6, on the graph."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forecast_assets.assets.fold.train_fold import FORECASTS
from forecast_assets.assets.framework.output import SKIPPED
from forecast_assets.champion.bundle import Bundle
from forecast_assets.core.models.attribution import attributions
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import EXPERTS, NEIGHBOURS, TENSORS
from forecast_assets_tests.helpers.graph import PANEL, Graph, environment

NIGHT = (*PANEL, "rejected_rows", "challenger", "serving_model", "nightly_forecast")


def macro_file(path: Path, *, last: dt.date) -> Path:
    """Write made-up daily series up to ``last``, weekends and holidays included, as some vendors have them."""
    days = pl.date_range(dt.date(2015, 6, 1), last, eager=True)
    rng = np.random.default_rng(3)
    levels = np.cumsum(rng.normal(size=(len(days), 3)) * 0.02, axis=0)
    table = pl.DataFrame(
        {"Date": days, "VIX": 18 * np.exp(levels[:, 0]), "US10Y": 2 + levels[:, 1], "US2Y": 1 + levels[:, 2]}
    )
    table.write_csv(path)
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """One year of the smoke panel with macro series, every fit a member of the ensemble."""
    root = tmp_path_factory.mktemp("experts")
    with Graph(root) as graph:
        with environment(FORECAST_MACRO=macro_file(root / "macro.csv", last=dt.date(2019, 12, 31))):
            assert graph.run(years=["2019"], overrides=["ensemble.members=20", "ensemble.tolerance=100"]).failures == []
        yield graph


def test_with_macro_series_b5_is_trained_and_a_candidate_and_in_both_reports(graph: Graph) -> None:
    members = [m["fit"] for m in graph.version("ensemble", "2019").json("members.json")["members"]]
    assert {f"{name}/{seed}" for name in ("b5_moe", "b6_graph", "b7_maml") for seed in (0, 1)} <= set(members)
    assert "b5_moe" in set(graph.table("backtest", "2019")["strategy"])
    ablation = graph.version("ablation_report").json("ablation.json")
    claims = {step["model"]: step["claim"] for step in ablation["verdicts"]}
    assert claims["b5_moe"] == "A mixture of experts, weighed by VIX and interest rates"


def test_the_gate_weights_of_the_experts_by_date_are_published_and_drawn(graph: Graph) -> None:
    fold = graph.version("b5_moe", "2019")
    shares = pl.read_parquet(fold.path(EXPERTS))
    columns = [name for name in shares.columns if name.startswith("expert_")]
    assert len(columns) == fold.manifest.facts["experts"] == 4
    np.testing.assert_allclose(shares.select(pl.sum_horizontal(columns)).to_numpy(), 1, rtol=1e-5)
    assert shares["date"].to_list() == sorted(set(graph.table("b5_moe", "2019")["date"]))
    assert shares["vix"].null_count() == 0
    assert fold.manifest.facts["expert_imbalance"] >= 0
    assert "plot-experts.png" in fold.manifest.files


def test_the_attributions_of_the_last_day_are_published_drawn_and_reported(graph: Graph) -> None:
    fold = graph.version("b6_graph", "2019")
    table = pl.read_parquet(fold.path(NEIGHBOURS))
    last = graph.table("b6_graph", "2019").filter(pl.col("split") == "test")["date"].max()
    assert table["date"].unique().to_list() == [last]
    assert (table["ticker"] != table["neighbour"]).all()
    assert (table["correlation"].drop_nulls().abs() <= 1).all()
    assert (table["added"] != 0).any()
    assert "plot-neighbours.png" in fold.manifest.files
    html = graph.version("backtest_report").path("backtest.html").read_text()
    assert "Influence of correlated tickers" in html
    assert table.filter(pl.col("rank") == 1)["neighbour"][0] in html


def test_a_forecast_of_a_champion_with_neighbour_messages_can_be_explained(graph: Graph) -> None:
    bundle = Bundle.open(graph.version("serving_model"))
    panel = PanelTensors.load(graph.version("windowed_tensors").path(TENSORS))
    night = graph.table("nightly_forecast", "2019-12-31")
    (row,) = panel.rows_of([night["ticker"][0]], night["date"][:1].to_numpy()).tolist()
    found = bundle.explain(panel, row)
    assert found is not None
    assert found[0].startswith("b6_graph/")
    assert found[1].neighbours is not None
    found_neighbours = attributions(found[1].neighbours, ticker=panel.ticker, tickers=panel.tickers)[0]
    assert 0 < len({one.ticker for one in found_neighbours} & set(night["ticker"])) == len(found_neighbours)
    assert night["ticker"][0] not in {one.ticker for one in found_neighbours}


def test_the_night_is_forecast_although_the_macro_feed_has_stopped(graph: Graph) -> None:
    before = graph.table("nightly_forecast", "2019-12-31")
    shutil.rmtree(graph.root / "store" / "raw_panel")  # a replay puts none in the place of a panel that is in use
    stale = macro_file(graph.root / "stale.csv", last=dt.date(2019, 11, 29))
    with environment(FORECAST_MACRO=stale):
        assert graph.run(*NIGHT, as_of="2019-12-30").failures == []
    night = graph.table("nightly_forecast", "2019-12-30")
    quantiles = night.select("q025", "q50", "q975").to_numpy()
    assert night["ticker"].n_unique() == before["ticker"].n_unique()
    assert np.isfinite(quantiles).all()


def test_without_macro_series_b5_is_skipped_with_the_reason_and_the_rest_is_made(smoke_graph: Graph) -> None:
    for year in ("2018", "2019"):
        fold = smoke_graph.version("b5_moe", year)
        assert "name a file of macro series with FORECAST_MACRO" in fold.manifest.facts[SKIPPED]
        assert smoke_graph.table("b5_moe", year).is_empty()
        assert not fold.manifest.seeds
        check = fold.manifest.facts["checks"][FORECASTS.name]
        assert not check["passed"]
        assert "VIX" in check["description"].upper()
    report = smoke_graph.version("backtest_report").json("metrics.json")
    assert "b5_moe" not in {row["model"] for row in report["forecasts"]}
