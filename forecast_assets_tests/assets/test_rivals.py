"""Rivals' files and zero-shot forecasts through the materialised graph: scored and traded beside ours, refused by name;
and the page about files.
"""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from forecast_assets.assets.fold.books import YearModels, rival_books
from forecast_assets.assets.fold.losses import read_daily
from forecast_assets.assets.framework.output import SKIPPED
from forecast_assets.cli.app import cli
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.core.specs import BacktestSpec
from forecast_assets.resources.source import PanelSource
from forecast_assets.store.artefact_files import RAW_FORECASTS, RIVAL_BOOKS, RIVAL_LOSSES, RIVAL_RECORDS
from forecast_assets_tests.helpers.chronos_weights import HAS_CHRONOS, WITHOUT, write_bolt
from forecast_assets_tests.helpers.graph import DEMO_ROOT, Graph, copied, environment
from forecast_assets_tests.helpers.paths import PROJECT

YEARS = ("2018", "2019")
PAGE = PROJECT / "docs" / "rivals.md"
KEYS = ["date", "ticker", "horizon"]
TRAINED_UNTIL = dt.date(2018, 3, 15)
needs_chronos = pytest.mark.skipif(not HAS_CHRONOS, reason=WITHOUT)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Random weights of a Chronos model; None where the package is not installed."""
    return write_bolt(tmp_path_factory.mktemp("weights") / "chronos-random") if HAS_CHRONOS else None


@pytest.fixture(scope="module")
def graph(smoke_graph: Graph, weights: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The smoke graph with a Chronos model of random weights and three files: the raw ensemble of 2019, its means at one
    session, and one to refuse.
    """
    with copied(smoke_graph.root, tmp_path_factory.mktemp("rivals") / "graph") as made:
        folder = made.root / "rivals"
        folder.mkdir()
        raw = pl.read_parquet(made.version("ensemble", "2019").path(RAW_FORECASTS))
        raw.select(*KEYS, *QUANTILE_COLUMNS, returns=pl.lit("log")).write_parquet(folder / "ourselves.parquet")
        next_session = made.table("ensemble", "2019").filter((pl.col("horizon") == 1) & (pl.col("split") == "test"))
        point = next_session.select(*KEYS, forecast="mean")
        point.with_columns(returns=pl.lit("log")).write_csv(folder / "point.csv")
        point.write_csv(folder / "undeclared.csv")
        with environment(FORECAST_CHRONOS=weights):
            stages = ("raw_panel", "f0_chronos", "rivals", "backtest_report")
            outcome = made.run(*stages, overrides=[f"f0_chronos.trained_until={TRAINED_UNTIL}"])
        assert outcome.failures == []
        yield made


@pytest.fixture(scope="module")
def summary(graph: Graph) -> dict[str, Any]:
    return json.loads((graph.root / "reports" / "latest" / "metrics.json").read_text())


def rivals_raw(graph: Graph) -> pl.DataFrame:
    return pl.read_parquet(graph.version("rivals", "2019").path(RAW_FORECASTS))


def test_without_a_file_the_stage_is_empty_and_says_where_to_put_one(smoke_graph: Graph) -> None:
    version = smoke_graph.version("rivals", "2019")
    assert smoke_graph.table("rivals", "2019").is_empty()
    assert version.manifest.facts["note"].startswith(
        "no rival: put NAME.csv or NAME.parquet into rivals of the data root"
    )
    assert pl.read_parquet(smoke_graph.version("backtest_report").path(RIVAL_BOOKS)).is_empty()


def test_our_own_forecasts_as_a_rival_are_calibrated_to_our_own(graph: Graph) -> None:
    for found, expected in (
        (rivals_raw(graph), pl.read_parquet(graph.version("ensemble", "2019").path(RAW_FORECASTS))),
        (graph.table("rivals", "2019"), graph.table("ensemble", "2019")),
    ):
        own = found.filter(pl.col("model") == "rival_ourselves").with_columns(model=pl.lit("ensemble"))
        assert_frame_equal(own.sort(KEYS), expected.sort(KEYS), rel_tol=1e-12, abs_tol=0)


def test_our_own_forecasts_as_a_rival_have_the_scores_of_ours(graph: Graph) -> None:
    losses = pl.read_parquet(graph.version("rivals", "2019").path(RIVAL_LOSSES)).filter(pl.col("rival") == "ourselves")
    ours, theirs = (losses.filter(pl.col("model") == name).drop("model") for name in ("ensemble", "rival_ourselves"))
    assert_frame_equal(ours, theirs, rel_tol=1e-12)
    published = read_daily(graph.version("backtest", "2019")).scores.filter(pl.col("model") == "ensemble")
    assert_frame_equal(ours.select(published.drop("model").columns), published.drop("model"), rel_tol=1e-12)


def test_our_own_forecasts_as_a_rival_make_our_book(graph: Graph) -> None:
    ensemble, baselines, rivals = (graph.version(asset, "2019") for asset in ("ensemble", "baselines", "rivals"))
    spec = BacktestSpec.model_validate(graph.version("backtest", "2019").manifest.config["backtest"])
    panel = graph.table("calendar_panel")
    books = rival_books({2019: YearModels.of(ensemble, [], baselines)}, {2019: rivals}, panel, spec=spec)
    daily = graph.table("backtest", "2019").filter(pl.col("strategy") == "ensemble")
    for name in ("ensemble", "rival_ourselves"):
        book = books.filter((pl.col("rival") == "ourselves") & (pl.col("strategy") == name))
        assert book["horizon"].unique().to_list() == [spec.horizon_sessions]
        own = book.select(daily.columns).with_columns(strategy=pl.lit("ensemble"))
        assert_frame_equal(own, daily, rel_tol=1e-9, abs_tol=1e-12)


def test_a_rival_whose_means_are_ours_matches_our_rmse(summary: dict[str, Any]) -> None:
    entries = [entry for entry in summary["verdicts"] if entry["claim"] == "RMSE: Ensemble against point"]
    assert [(e["verdict"], e["estimate"]) for e in entries] == [("no difference that matters", pytest.approx(1))]


def test_a_point_forecast_of_one_year_and_horizon_is_judged_on_these_alone(
    graph: Graph, summary: dict[str, Any]
) -> None:
    (card,) = [card for card in summary["rivals"] if card["rival"] == "point"]
    rows = {row["model"]: row for row in card["scores"]}
    assert set(rows) == {"ensemble", "b0_mlp", "harx", "rival_point"}
    assert rows["rival_point"]["n"] == rows["ensemble"]["n"]
    assert rows["rival_point"]["rmse"] == pytest.approx(rows["ensemble"]["rmse"])
    assert [rows[name]["pinball"] is None for name in ("ensemble", "rival_point")] == [False, True]
    assert {row["horizon"] for row in card["scores"]} == {1}
    assert graph.version("rivals", "2018").json(RIVAL_RECORDS)["point"]["rows"] == 0
    books = pl.read_parquet(graph.version("backtest_report").path(RIVAL_BOOKS)).filter(pl.col("rival") == "point")
    assert books["horizon"].unique().to_list() == [1]
    assert books["year"].unique().to_list() == [2019]


def test_a_refused_file_is_named_and_the_others_are_scored(graph: Graph, summary: dict[str, Any]) -> None:
    sentence = "undeclared.csv: missing columns ['returns']; returns holds log or simple in each row"
    facts = graph.version("rivals", "2019").manifest.facts
    assert (facts["rivals"], facts["refused"]) == (2 + HAS_CHRONOS, 1)
    check = facts["checks"]["rival_files_are_usable"]
    assert not check["passed"]
    assert check["warns"]
    assert check["description"].startswith(sentence)
    (entry,) = [entry for entry in summary["verdicts"] if entry["claim"] == "Rival undeclared.csv"]
    assert entry["verdict"] == "not tested"
    assert entry["sentence"].startswith(sentence)
    page = (graph.root / "reports" / "latest" / "backtest.html").read_text()
    assert "<h2>Rivals</h2>" in page
    assert "undeclared.csv: missing columns" in page


def test_a_rival_is_no_further_look_at_the_test_years(graph: Graph, smoke_graph: Graph) -> None:
    before, after = (g.version("backtest_report").json("trials.json")["trials"] for g in (smoke_graph, graph))
    assert len(before) == len(after)
    for year in YEARS:
        assert graph.version("backtest", year).id == smoke_graph.version("backtest", year).id


def test_the_numbers_are_derived_again_from_the_rivals_artefacts(graph: Graph) -> None:
    with environment(FORECAST_DATA_DIR=graph.root, FORECAST_PROFILE="smoke"):
        done = CliRunner().invoke(cli, ["verify"])
    assert done.exit_code == 0, done.output
    assert "every number derived again" in done.output


def test_a_missing_folder_is_refused_and_a_file_s_content_is_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))
    source = PanelSource()
    assert source.rivals().files == ()
    monkeypatch.setenv("FORECAST_RIVALS", str(tmp_path / "none"))
    with pytest.raises(BadInput, match="none: no such folder; name the one of the rivals' files with FORECAST_RIVALS"):
        source.rivals()
    monkeypatch.setenv("FORECAST_RIVALS", str(tmp_path))
    (tmp_path / ".hidden.csv").touch()
    (tmp_path / "a.csv").write_text("1")
    assert [file.name for file in source.rivals().files] == ["a.csv"]
    before = source.rivals().digest()
    (tmp_path / "a.csv").write_text("2")
    assert source.rivals().digest() != before


def test_the_page_about_rivals_runs_as_it_stands(smoke_graph: Graph, tmp_path: Path) -> None:
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["bash", "python", "bash"]
    with copied(smoke_graph.root, tmp_path / "data" / "demo") as graph, environment(FORECAST_PROFILE="smoke"):
        (export, example, run) = (text for _, text in blocks)
        for arguments in (["-m", *export.replace("forecast-assets", "forecast_assets.cli").split()], ["-c", example]):
            subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=os.environ | DEMO_ROOT, check=True)
        command = run.split()
        assert command[:3] == ["forecast-assets", "run", "--select"]
        graph.run("raw_panel")
        assert graph.run(*command[3].split(",")).failures == []
        found = graph.version("backtest_report").json("metrics.json")
        assert {card["rival"]: card["form"] for card in found["rivals"]} == {
            "f0_chronos": None,
            "friend": "mean and sigma",
            "friends_point": "point forecast",
        }
        both = {
            card["rival"]: {(r["model"], r["horizon"]): r["rmse"] for r in card["scores"]} for card in found["rivals"]
        }
        for horizon in (1, 5, 20):
            assert both["friend"]["rival_friend", horizon] == pytest.approx(
                both["friends_point"]["rival_friends_point", horizon]
            )


@needs_chronos
def test_only_origins_after_the_training_cutoff_are_forecast(graph: Graph) -> None:
    ours = graph.table("ensemble", "2018").select(*KEYS, "split")
    found = graph.table("f0_chronos", "2018")
    assert found.select(*KEYS, "split").equals(ours.filter(pl.col("date") > TRAINED_UNTIL))
    assert 0 < found.height < ours.height
    assert set(found["split"]) == {"test"}  # all of validation lies before
    facts = graph.version("f0_chronos", "2018").manifest.facts
    assert facts["test_origins"] + facts["test_origins_left_out"] == ours.filter(pl.col("split") == "test").height // 3
    check = facts["checks"]["origins_come_after_training"]
    assert (check["passed"], check["description"]) == (True, "the first is 2018-03-16, training ended by 2018-03-15")
    assert graph.table("f0_chronos", "2019").height == graph.table("ensemble", "2019").height


@needs_chronos
@pytest.mark.parametrize("year", YEARS)
def test_zero_shot_forecasts_are_calibrated_scored_and_traded_like_a_file_s(graph: Graph, year: str) -> None:
    rivals = graph.version("rivals", year)
    made = graph.table("f0_chronos", year).sort(KEYS)
    raw, published = (
        table.filter(pl.col("model") == "rival_f0_chronos").sort(KEYS)
        for table in (pl.read_parquet(rivals.path(RAW_FORECASTS)), graph.table("rivals", year))
    )
    assert raw.select(*KEYS, *QUANTILE_COLUMNS).equals(made.select(*KEYS, *QUANTILE_COLUMNS))
    assert not published.select(QUANTILE_COLUMNS).equals(raw.select(QUANTILE_COLUMNS))
    losses = pl.read_parquet(rivals.path(RIVAL_LOSSES)).filter(pl.col("rival") == "f0_chronos")
    counts = losses.group_by("model").agg(pl.col("n").sum())["n"].unique()
    matured = made.filter((pl.col("split") == "test") & pl.col("y").is_not_null()).height
    assert counts.to_list() == [matured]  # of each model, on the very same rows
    books = pl.read_parquet(graph.version("backtest_report").path(RIVAL_BOOKS)).filter(pl.col("rival") == "f0_chronos")
    assert set(books["strategy"]) == {"ensemble", "rival_f0_chronos"}
    assert (books["date"] > TRAINED_UNTIL).all()


@needs_chronos
def test_the_report_says_what_the_zero_shot_model_is_and_since_when(summary: dict[str, Any]) -> None:
    (card,) = [card for card in summary["rivals"] if card["rival"] == "f0_chronos"]
    assert card["sentences"][1] == (
        "Made here, zero-shot, by chronos-random from each ticker's own last 64 closes. Its training may have seen days up "
        "to 2018-03-15, as its settings declare: no earlier forecast origin is forecast, calibrated on or scored. Its "
        "quantiles end at 0.1 and 0.9; those beyond go on as a Normal's."
    )
    assert card["sentences"][2].startswith("It has no validation forecasts for 2018")
    assert [entry["claim"].partition(":")[0] for entry in card["verdicts"]] == [
        "RMSE",
        "Forecasts",
        "Net return over Chronos, zero-shot, each at 10 % volatility",
    ]


def test_without_weights_both_reports_say_why_chronos_is_skipped(smoke_graph: Graph) -> None:
    fold = smoke_graph.version("f0_chronos", "2019")
    why = "no weights are named: FORECAST_CHRONOS takes a folder of a Chronos model's weights, or its id on the hub"
    assert fold.manifest.facts[SKIPPED] == why
    assert smoke_graph.table("f0_chronos", "2019").is_empty()
    checks = fold.manifest.facts["checks"]
    assert {name for name, check in checks.items() if not check["passed"]} == {"named_weights_forecast"}
    for report, metrics, page in (
        ("backtest_report", "metrics.json", "backtest.html"),
        ("ablation_report", "ablation.json", "ablation.html"),
    ):
        version = smoke_graph.version(report)
        (card,) = version.json(metrics)["rivals"]
        assert (card["rival"], card["sentences"], card["verdicts"][0]["verdict"]) == ("f0_chronos", [why], "not tested")
        assert "FORECAST_CHRONOS takes a folder" in version.path(page).read_text()


@needs_chronos
@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("null", "f0_chronos: nothing says up to when chronos-random was trained"),
        ("2018-12-31", "chronos-random may have been trained on days up to 2018-12-31: no forecast origin up to then"),
    ],
)
def test_a_year_that_it_may_have_seen_is_skipped_with_the_reason(
    graph: Graph, weights: Path, setting: str, reason: str
) -> None:
    with environment(FORECAST_CHRONOS=weights):
        outcome = graph.run("f0_chronos", years=["2018"], overrides=[f"f0_chronos.trained_until={setting}"])
    assert outcome.failures == []
    fold = graph.version("f0_chronos", "2018")
    assert fold.manifest.facts[SKIPPED].startswith(reason)
    assert graph.table("f0_chronos", "2018").is_empty()
    check = fold.manifest.facts["checks"]["named_weights_forecast"]
    assert not check["passed"]
    assert check["description"].startswith(reason)
