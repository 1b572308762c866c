"""``forecast-assets benchmark-task``: the folder, what fev makes of it, and what can't be asked."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import pinball
from forecast_assets_tests.helpers.fev_scores import HAS_FEV, WITHOUT, fev_scores
from forecast_assets_tests.helpers.graph import Graph

YEARS = (2018, 2019)


def ask(root: Path, *arguments: object) -> Result:
    options = ["--profile", "smoke", "--data-dir", str(root)]
    return CliRunner().invoke(cli, [*options, "benchmark-task", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("task") / "returns"
    result = ask(smoke_graph.root, made)
    assert result.exit_code == 0, result.output
    assert f"{made}: 23 cutoffs from 2018-01-04 to " in result.output
    return made


@pytest.fixture(scope="module")
def forecasts(smoke_graph: Graph) -> pl.DataFrame:
    tables = [smoke_graph.table("ensemble", str(year)) for year in YEARS]
    return pl.concat(tables).filter(pl.col("split") == "test")


@pytest.fixture(scope="module")
def scored(folder: Path, forecasts: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    if not HAS_FEV:
        pytest.skip(WITHOUT)
    return fev_scores(folder, forecasts, tmp_path_factory.mktemp("scored"))


def labels(folder: Path, forecasts: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Every forecast of a label: window, ticker, y and quantiles, found by true dates alone."""
    origins = pl.read_csv(folder / "origins.csv", try_parse_dates=True)
    tickers = pl.read_parquet(folder / f"returns_{horizon}d" / "data.parquet").select(ticker="id", exchange="exchange")
    own = forecasts.filter(pl.col("horizon") == horizon)
    return tickers.join(origins, on="exchange").join(own, on=["ticker", "date"]).sort("window", "ticker")


def test_fevs_score_of_our_forecasts_is_our_own_pinball_loss(
    folder: Path, forecasts: pl.DataFrame, scored: list[dict[str, Any]]
) -> None:
    for horizon, task in zip(HORIZONS, scored, strict=True):
        rows = labels(folder, forecasts, horizon).filter(pl.col("y").is_not_null())
        by_window = []
        for k, window in enumerate(task["windows"]):
            part = rows.filter(pl.col("window") == k, pl.col("ticker").is_in(window["tickers"]))
            losses = pinball(part["y"], part.select(QUANTILE_COLUMNS).to_numpy(), levels=QUANTILES)
            # Without a forecast the outcome itself was handed over: a loss of zero, of which fev's mean knows.
            share = part.height / sum(outcome is not None for outcome in window["outcomes"])
            assert share > 0.7
            by_window.append(float(losses.mean()) * share)
        assert task["MQL"] == pytest.approx(
            2 * float(np.mean(by_window)), rel=1e-8
        )  # targets went through float32 tensors
        assert task["name"] == f"equity_returns_{horizon}d"


def test_what_fev_takes_for_the_truth_is_what_our_forecasts_are_scored_by(
    folder: Path, forecasts: pl.DataFrame, scored: list[dict[str, Any]]
) -> None:
    for horizon, task in zip(HORIZONS, scored, strict=True):
        rows = labels(folder, forecasts, horizon)
        ours = {(window, ticker): y for window, ticker, y in rows.select("window", "ticker", "y").iter_rows()}
        theirs = {
            (k, ticker): outcome
            for k, window in enumerate(task["windows"])
            for ticker, outcome in zip(window["tickers"], window["outcomes"], strict=True)
        }
        both = ours.keys() & theirs.keys()
        assert len(both) > 120
        assert {key: ours[key] for key in both} == {key: pytest.approx(theirs[key], abs=1e-7) for key in both}


def test_a_window_shows_neither_outcomes_nor_true_dates_of_what_is_to_come(scored: list[dict[str, Any]]) -> None:
    known = ["day_of_week", "exchange", "month", "quarter_end", "region", "sector", "timestamp"]
    assert all(window["known"] == known for task in scored for window in task["windows"])


def test_the_readme_says_what_is_in_the_folder(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    tasks = yaml.safe_load((folder / "benchmark.yaml").read_text())["tasks"]
    first = pl.read_parquet(folder / tasks[0]["dataset_path"])
    for column in set(first.columns) - {"id"}:
        assert f"`{column}`" in text
    assert "replace this sentence by the licence of your data" in text
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    compile(code.group(1), "README.md", "exec")


def test_the_synthetic_panel_comes_with_a_licence_and_needs_no_store(tmp_path: Path) -> None:
    result = ask(tmp_path / "none", tmp_path / "demo", "--demo", "--years", "2019", "--set", "demo.tickers=6")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "demo" / "README.md").read_text()
    assert "comes under" in text or "come under its licence, Apache-2.0" in text
    assert "the synthetic demo panel (6 tickers, 2016-01-04 to 2019-12-31, seed 7)" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--demo", "--panel", "p.csv"), "--panel and --demo name two panels; take one of them"),
        (("--as-of", "2019-06-28"), "it writes the panel as it is now; leave out --as-of"),
        (("--years", "2017"), "--years 2017: name test years in a row; the test years of the panel in"),
        (("--years", "soon"), "--years soon: name years, such as 2019,2020"),
        (("--every", "5"), "5 sessions between two cutoffs are fewer than the 20 of the longest label"),
    ],
)
def test_what_makes_no_task_is_one_sentence_and_no_folder(
    smoke_graph: Graph, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = ask(smoke_graph.root, tmp_path / "out", *arguments)
    assert (result.exit_code, sentence in result.output) == (1, True), result.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(smoke_graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = ask(smoke_graph.root, tmp_path)
    assert (result.exit_code, "it is there already; name a new folder" in result.output) == (1, True)
    assert "its parent folder does not exist" in ask(smoke_graph.root, tmp_path / "a" / "b").output
    assert "no panel yet; make one with" in ask(tmp_path / "none", tmp_path / "out").output
