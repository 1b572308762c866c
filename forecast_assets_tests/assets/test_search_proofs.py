"""No row from the first test year on changes what the search chooses, from raw prices to the settings it publishes."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

from forecast_assets.core.panel.demo import demo_panel
from forecast_assets.core.specs import DemoSpec
from forecast_assets.store.artefact_files import CHOICES, TUNED_SETTINGS
from forecast_assets_tests.helpers.changed_test_years import CHANGES, PRICES
from forecast_assets_tests.helpers.graph import PANEL, Graph

SEARCH = (*PANEL, "sweep")
SETTINGS = [
    *("sweep.coverage_low=0.0", "sweep.coverage_high=1.0"),  # every trial is feasible, so that every score is compared
    *("sweep.max_tickers=6", "sweep.models=[b2_tft_ticker,b6_graph]"),
    "backtest.cost_bps=0",  # every view pays, so that every trading setting has a score
    *("sweep.calibration_rate=[0.005,0.02,0.1]", "sweep.smoothing=[0.5,0.9]", "sweep.kelly_fraction=[0.25,0.5]"),
]
FIRST_TEST_DAY = dt.date(2018, 1, 1)  # of the smoke profile


@dataclass(frozen=True)
class Found:
    """What a search publishes."""

    settings: dict[str, Any]
    trials: pl.DataFrame
    choices: pl.DataFrame


@pytest.fixture(scope="module")
def raw_rows() -> pl.DataFrame:
    """Eight tickers on three exchanges, half a year of them in the first test year."""
    return demo_panel(DemoSpec(tickers=8, start=dt.date(2016, 1, 4), end=dt.date(2018, 6, 29)))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Callable[[pl.DataFrame], Found]:
    """Run the search on a raw panel, through the graph."""

    def found(rows: pl.DataFrame) -> Found:
        root = tmp_path_factory.mktemp("search")
        rows.write_csv(root / "panel.csv")
        with Graph(root) as graph:
            assert graph.run(*SEARCH, overrides=SETTINGS, panel=root / "panel.csv").failures == []
            version = graph.version("sweep")
            trials = graph.table("sweep").drop("seconds")
            return Found(version.json(TUNED_SETTINGS), trials, pl.read_parquet(version.path(CHOICES)))

    return found


@pytest.fixture(scope="module")
def untouched(search: Callable[[pl.DataFrame], Found], raw_rows: pl.DataFrame) -> Found:
    """What the search finds on the panel as it is."""
    return search(raw_rows)


@pytest.mark.parametrize("name", CHANGES)
def test_test_years_change_neither_the_winner_nor_a_rate_nor_a_score(
    name: str,
    search: Callable[[pl.DataFrame], Found],
    untouched: Found,
    raw_rows: pl.DataFrame,
) -> None:
    changed = CHANGES[name](raw_rows, FIRST_TEST_DAY)
    assert not changed.equals(raw_rows)
    found = search(changed)
    assert found.trials.equals(untouched.trials)
    assert found.choices.equals(untouched.choices)
    assert found.settings == untouched.settings


def test_the_proofs_compare_scores_that_differ_between_settings(untouched: Found) -> None:
    assert set(untouched.trials["state"]) == {"complete"}
    for setting, scores in untouched.choices.group_by("setting"):
        assert scores["score"].is_finite().all(), setting
        assert scores["score"].n_unique() > 1, setting


def test_a_jump_in_the_inner_year_changes_every_score(
    search: Callable[[pl.DataFrame], Found], untouched: Found, raw_rows: pl.DataFrame
) -> None:
    month = pl.col("Date").is_between(dt.date(2017, 9, 1), dt.date(2017, 9, 29))
    jumped = raw_rows.with_columns(pl.when(month).then(pl.col(name) * 1.2).otherwise(pl.col(name)) for name in PRICES)
    found = search(jumped)
    assert (found.trials["loss"] != untouched.trials["loss"]).all()
    assert (
        found.choices["score"] != untouched.choices["score"]
    ).sum() == found.choices.height - 1  # the first rate's is 1
