"""``core/horizons.py`` is one dial: a copy of the package with one more horizon runs from the raw panel to the service."""

import json
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.store.artefact_files import BACKTEST_METRICS, BACKTEST_PAGE, CALIBRATION_EFFECT, TABLE
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.changes import HORIZON
from forecast_assets_tests.helpers.seeding import apply_change, python_in

pytestmark = pytest.mark.timeout(900)  # a whole graph, on a machine that may have other things to do

HORIZONS = [1, 5, 20, 60]
YEAR = "2019"

ANSWER = """
import sys
from forecast_assets.champion.bundle import Bundle
from forecast_assets.serving.loading import Loader
from forecast_assets.store.store import Store

loader = Loader(Store(sys.argv[1]), open_model=Bundle.open)
snapshot = loader.refresh()
assert not loader.problems, loader.problems
print([horizon.sessions for horizon in snapshot.find("SYN00", None).horizons])
"""
"""Prints the horizons that the service answers with for a ticker."""


def run_copy(folder: Path, *arguments: str) -> str:
    """Run Python with the copy of the package in ``folder`` and return what it prints."""
    done = python_in(folder, *arguments, DAGSTER_HOME=str(folder / "dagster_home"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with 60 sessions among its horizons, and under data/ what the smoke profile made of it."""
    folder = tmp_path_factory.mktemp("horizons")
    apply_change(HORIZON, folder)
    profile = ["--profile", "smoke", "--data-dir", "data", "--years", YEAR]
    settings = ["--set", "sweep.trials=0", "--set", "backtest.horizon_sessions=60"]
    run_copy(folder, "-m", "forecast_assets.cli", "run", *profile, *settings)
    return folder


def horizons_in(store: Store, asset: str, partition: str, file: str = TABLE) -> list[int]:
    """Horizons of a published table, whose forecasts and scores have to be finite."""
    table = pl.read_parquet(store.current(asset, partition).path(file))
    numbers = table.select(pl.selectors.float() & ~pl.selectors.by_name("y", require_all=False))
    assert all(numbers.select(pl.all().is_finite().all()).row(0))
    return table["horizon"].unique().sort().to_list()


def test_one_more_horizon_reaches_every_forecast_the_metrics_and_the_report(folder: Path) -> None:
    store = Store(folder / "data" / "store")
    (night,) = store.partitions("nightly_forecast")
    for asset, partition in (("baselines", YEAR), ("b2_tft_ticker", YEAR), ("ensemble", YEAR)):
        assert horizons_in(store, asset, partition) == HORIZONS, asset
    assert horizons_in(store, "nightly_forecast", night) == HORIZONS
    assert horizons_in(store, "ensemble", YEAR, CALIBRATION_EFFECT) == HORIZONS
    reports = folder / "data" / "reports" / "latest"
    metrics = json.loads((reports / BACKTEST_METRICS).read_text(encoding="utf-8"))
    assert sorted({row["horizon"] for row in metrics["forecasts"]}) == HORIZONS
    assert [entry["horizon"] for entry in metrics["evidence"]["comparisons"]] == HORIZONS
    report = (reports / BACKTEST_PAGE).read_text(encoding="utf-8")
    assert "60 sessions" in report
    assert "on the 60-session forecast" in report


def test_the_service_answers_with_one_more_horizon(folder: Path) -> None:
    assert run_copy(folder, "-c", ANSWER, str(folder / "data" / "store")).strip() == str(HORIZONS)
