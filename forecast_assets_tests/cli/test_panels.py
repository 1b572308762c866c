"""Panels that don't fit: another one in the same data root, too short ones, too many invalid rows."""

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from forecast_assets.cli.app import cli
from forecast_assets.cli.export import of_panel
from forecast_assets.cli.report_problems import panel_problems
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.graph import PANEL, Graph, copied
from forecast_assets_tests.helpers.published import KEY_A, fields


def prices(path: Path, *, start: str, end: str, tickers: Sequence[str] = ("AAA", "BBB", "CCC")) -> Path:
    """Write random walks on New York's sessions."""
    days = sessions("XNYS", dt.date.fromisoformat(start), dt.date.fromisoformat(end))
    random = np.random.default_rng(0)
    parts = []
    for ticker in tickers:
        close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, len(days))))
        columns = {"Open": close.round(2), "Close": close.round(2), "Volume": [1000] * len(days)}
        parts.append(pl.DataFrame({"Date": days, "Ticker": [ticker] * len(days), **columns}))
    pl.concat(parts).write_csv(path)
    return path


def run(*arguments: object, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "forecast_assets.cli", "run", "--profile", "smoke", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "DAGSTER_HOME": str(folder / "home"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_panel_in_the_same_data_root_is_refused_with_the_ways_out(smoke_graph: Graph, tmp_path: Path) -> None:
    other = prices(tmp_path / "other.csv", start="2016-01-04", end="2019-12-31")
    with copied(smoke_graph.root, tmp_path / "root") as graph:
        before = graph.ids()
        [failure] = graph.run(panel=other).failures
        assert graph.ids() == before
        assert graph.run("raw_panel").failures == []  # its own panel is the same as ever
    assert failure.asset == "raw_panel"
    assert failure.user_mistake
    assert "it has 0, and 50% would make it the same" in failure.message
    assert "--data-dir data/other, or move" in failure.message
    assert all(f"{tmp_path}/root/{name}" in failure.message for name in ("store", "reports", "ledger"))


def test_a_panel_that_nothing_was_made_from_yet_gives_way_to_another(empty_graph: Graph, tmp_path: Path) -> None:
    for name, ticker in (("wrong", "AAA"), ("right", "XXX")):
        panel = prices(tmp_path / f"{name}.csv", start="2019-01-02", end="2019-06-28", tickers=[ticker])
        assert empty_graph.run("raw_panel", panel=panel).failures == []
    assert empty_graph.table("raw_panel")["ticker"].unique().to_list() == ["XXX"]


def test_verify_names_the_years_of_a_report_that_are_another_panels(smoke_graph: Graph, tmp_path: Path) -> None:
    shutil.copytree(smoke_graph.root / "store", tmp_path / "store")
    store = Store(tmp_path / "store")
    report = store.current("backtest_report")
    assert panel_problems(store, report) == []
    own = store.current("ensemble", "2018")
    table = pl.read_parquet(own.path("table.parquet"))
    strange = table.with_columns(pl.col("ticker") + "X")
    with store.stage("ensemble", "2018", input_key=KEY_A) as staging:
        strange.write_parquet(staging.path / "table.parquet")
        other = store.commit(staging, fields(parents=own.manifest.parents))
    parents = {**report.manifest.parents, "ensemble/2018": other.data_version}
    mixed = Version(report.manifest.model_copy(update={"parents": parents}), report.place)
    [problem] = panel_problems(store, mixed)
    assert problem.startswith("backtest_report mixes panels: of ")
    assert "dates in 2018, 0 are in the panel that it read" in problem


def test_years_that_are_not_the_panels_are_neither_reported_nor_exported(smoke_graph: Graph, tmp_path: Path) -> None:
    with copied(smoke_graph.root, tmp_path) as graph:
        later = ["folds.first_test_year=2019"]
        assert graph.run("raw_panel", "backtest_report", overrides=later).failures == []
        assert graph.version("backtest_report").manifest.facts["years"] == "2019"
        assert of_panel(graph.store, graph.store.slots("ensemble")) == ["2019"]
        assert of_panel(graph.store, graph.store.slots("sweep")) == [None]


@pytest.mark.parametrize("end", ["2024-01-02", "2024-01-04", "2024-02-13"])
def test_a_panel_of_a_few_rows_ends_in_one_sentence_that_names_the_minimum(
    empty_graph: Graph, tmp_path: Path, end: str
) -> None:
    panel = prices(tmp_path / "short.csv", start="2024-01-02", end=end, tickers=["AAA"])
    [failure] = empty_graph.run(panel=panel).failures
    assert (failure.asset, failure.user_mistake) == ("windowed_tensors", True)
    count = pl.read_csv(panel).height
    assert f"the longest history without a hole has {count} sessions" in failure.message
    assert "a first test year needs 480 sessions before it" in failure.message


def test_a_panel_too_short_for_a_test_year_says_how_long_it_has_to_be(empty_graph: Graph, tmp_path: Path) -> None:
    panel = prices(tmp_path / "short.csv", start="2023-03-01", end="2024-01-31")
    [failure] = empty_graph.run(panel=panel, overrides=["sweep.trials=1"]).failures
    assert (failure.asset, failure.user_mistake) == ("walk_forward", True)
    assert "from 2023-03-01 to 2024-01-31 it has 211 sessions before its last year" in failure.message
    assert "a test year needs 222 before it (folds.min_history_sessions)" in failure.message
    facts = empty_graph.version("raw_panel").manifest.facts
    assert (facts["first_test_year"], facts["history_sessions"], facts["min_history_sessions"]) == ("none", 211, 222)
    assert "too short for a test year" in empty_graph.version("sweep").manifest.facts["outcome"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [("2012-01-03", "2014-06-30", ["2013", "2014"]), ("2020-01-02", "2021-12-31", ["2021"])],
)
def test_a_panel_of_other_years_is_tested_on_its_own(
    empty_graph: Graph, tmp_path: Path, start: str, end: str, expected: list[str]
) -> None:
    panel = prices(tmp_path / "panel.csv", start=start, end=end)
    done = empty_graph.run(*PANEL, "sweep", "baselines", panel=panel)
    assert done.failures == []
    assert done.years == expected
    assert "the profile's settings stand" in empty_graph.version("sweep").manifest.facts["outcome"]
    assert empty_graph.version("raw_panel").manifest.facts["first_test_year"] == int(expected[0])


def test_too_many_invalid_rows_end_in_a_sentence_with_reasons_and_what_to_type(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02d},AAA,10,{close},100" for day, close in ((2, "x"), (3, "y"), (4, "11"), (5, "-1"))]
    panel = tmp_path / "bad.csv"
    panel.write_text("\n".join(["Date,Ticker,Open,Close,Volume", *rows]) + "\n")
    done = run("--panel", panel, "--data-dir", tmp_path / "root", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("forecast-assets: ")]
    assert "3 of 4 rows (75.0%) are invalid; 5% is the limit (panel.max_invalid_share)" in sentence
    assert "(2 rows, such as bad.csv:2 '2024-01-02,AAA,10,x,100', bad.csv:3 '2024-01-03,AAA,10,y,100')" in sentence
    assert "--set panel.max_invalid_share=0.75" in sentence
    out = tmp_path / "rejected.csv"
    assert (
        CliRunner().invoke(cli, ["export", "rejected_rows", str(out), "--data-dir", f"{tmp_path}/root"]).exit_code == 0
    )
    assert pl.read_csv(out).height == 3


def test_a_quoted_tilde_is_the_home_folder_and_an_unknown_home_one_sentence(tmp_path: Path) -> None:
    prices(tmp_path / "p.csv", start="2024-01-02", end="2024-01-05")
    variables = {"HOME": str(tmp_path), "DAGSTER_HOME": "~/dagster", "FORECAST_DATA_DIR": "~/data"}
    done = run("--select", "raw_panel", "--panel", "~/p.csv", folder=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert Store(tmp_path / "data" / "store").has("raw_panel")
    assert (tmp_path / "dagster" / "dagster.yaml").exists()
    assert not (tmp_path / "~").exists()
    done = run("--select", "raw_panel", "--data-dir", "~no_such_user/data", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "forecast-assets: FORECAST_DATA_DIR: ~no_such_user/data names a home folder that is not known here; "
        "write the whole path"
    )
