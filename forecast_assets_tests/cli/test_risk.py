"""``forecast-assets risk`` on a small store made by hand: what a portfolio may lose, and what can't be asked."""

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from forecast_assets.champion.risk import read_forecasts
from forecast_assets.cli.app import cli
from forecast_assets.cli.risk import Portfolio, risk_of_night
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.joint_panel import SIGMA, JointPanel, feature_panel, joint_panel
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.published import KEY_A, fields

SESSIONS, CORRELATION = 240, 0.6
LAST = dt.date(2021, 12, 31)  # the night of the page's example
NAMES = ("SYN00", "SYN01.DE", "SYN02", "SYN03", "SYN04", "SYN05.T")
PAGE = PROJECT / "docs" / "risk.md"


def tables(panel: JointPanel) -> dict[tuple[str, str | None], pl.DataFrame]:
    """The walk-forward up to the last 30 days, and two nights of the last; the first is empty of a book."""
    forecasts = panel.forecasts.drop("label_end")
    nights = [day.astype(object) for day in panel.days[[-2, -1]]]
    book = {"ticker": panel.tickers, "weight_target": [0.3, -0.3, 0.2, 0.0, 0.0, 0.0]}
    closing = pl.DataFrame({"ticker": ["GONE"], "weight_target": [0.1]})
    made: dict[tuple[str, str | None], pl.DataFrame] = {
        ("ensemble", "2021"): forecasts.filter(pl.col("date") < panel.days[-30].astype(object)),
        ("feature_panel", None): feature_panel(panel),
        ("target_positions", str(nights[0])): pl.DataFrame(book).with_columns(weight_target=pl.lit(0.0)),
        ("target_positions", str(nights[1])): pl.concat([pl.DataFrame(book), closing]),
    }
    for night in nights:
        issued = forecasts.filter(pl.col("date") == night).with_columns(y=pl.lit(None, dtype=pl.Float64))
        made["nightly_forecast", str(night)] = issued
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("risk")
    store, first = Store(root / "store"), LAST - dt.timedelta(days=SESSIONS - 1)
    panel = joint_panel(sessions=SESSIONS, correlation=CORRELATION, seed=2, first=first, names=NAMES)
    for (asset, partition), table in tables(panel).items():
        with store.stage(asset, partition, input_key=KEY_A) as staging:
            table.write_parquet(staging.path / "table.parquet")
            store.commit(staging, fields())
    positions = panel.forecasts.filter(pl.col("horizon") == 1).select(
        "date", "ticker", weight=pl.lit(0.1), strategy=pl.lit("ensemble")
    )
    with store.stage("backtest", "2021", input_key=KEY_A) as staging:
        positions.write_parquet(staging.path / "positions.parquet")
        store.commit(staging, fields())
    (root / "weights.csv").write_text("ticker,weight\n" + "".join(f"{ticker},0.5\n" for ticker in panel.tickers))
    return root


def ask(folder: Path, *arguments: str, scenarios: int = 2000) -> Result:
    few = f"scenarios.scenarios={scenarios}"
    return CliRunner().invoke(cli, ["--data-dir", str(folder), "risk", "--set", few, *arguments])


def answer(folder: Path, *arguments: str, scenarios: int = 2000) -> dict[str, Any]:
    result = ask(folder, *arguments, "--json", scenarios=scenarios)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_weights_of_a_file_risk_what_the_formula_says(folder: Path) -> None:
    """Six tickers of .5 each, sigma .02 and a correlation of .6: sigma .02 * 3 * sqrt((1 + 5 * .6) / 6).

    A formula of log returns; a simple loss is up to 3 % less. The rest is what 200 past days leave open.
    """
    found = answer(folder, "--weights", str(folder / "weights.csv"))
    assert (found["portfolio"], found["tickers"], found["gross"], found["net"]) == ("weights.csv", 6, 3.0, 3.0)
    assert [row["horizon"] for row in found["horizons"]] == list(HORIZONS)
    sigma = SIGMA * 3 * np.sqrt(4 / 6)
    one, _, twenty = found["horizons"]
    assert one["value_at_risk"] == pytest.approx([1.645 * sigma, 2.326 * sigma], rel=0.12)
    assert one["expected_shortfall"] == pytest.approx([2.063 * sigma, 2.665 * sigma], rel=0.18)
    assert one["probability_of_loss"] == pytest.approx(0.5, abs=0.05)
    assert one["lowest_point"][0] == pytest.approx(one["value_at_risk"][0], rel=0.02)
    assert twenty["lowest_point"][0] > twenty["value_at_risk"][0] > one["value_at_risk"][0]


def test_the_book_of_the_newest_night_is_the_default(folder: Path) -> None:
    found = answer(folder)
    assert found["portfolio"] == f"book of {LAST}"
    assert (found["tickers"], found["left_out"]) == (3, ["GONE"])
    assert (found["gross"], found["net"]) == (pytest.approx(0.8), pytest.approx(0.2))
    done = ask(folder)
    assert "VaR 95 %" in done.output
    assert "Left out, without a forecast: GONE." in done.output


def test_the_same_question_has_the_same_answer_and_no_later_outcome_changes_it(folder: Path) -> None:
    forecasts = read_forecasts(Store(folder / "store"), None)
    portfolio = Portfolio("two", {"SYN00": 0.5, "SYN03": -0.2}, [])
    night = pl.lit(forecasts.night).str.to_date()
    later = pl.col("label_end") > night
    assert forecasts.before.filter(later).height > 10
    versions = (
        forecasts,
        forecasts,
        replace(forecasts, before=forecasts.before.filter(~later)),
        replace(forecasts, before=forecasts.before.with_columns(y=pl.when(later).then(9.0).otherwise("y"))),
    )
    first, *others = (risk_of_night(of, portfolio, ScenarioSpec(scenarios=500)) for of in versions)
    assert others == [first] * 3


def test_past_promises_are_tested_on_request(folder: Path) -> None:
    tested = answer(folder, "--check", "--weights", str(folder / "weights.csv"), scenarios=300)["check"]
    assert [(row["horizon"], row["level"]) for row in tested] == [(h, p) for h in HORIZONS for p in (0.95, 0.99)]
    followed = 60 + HORIZONS[-1]  # days until 60 outcomes over the longest horizon have ended
    assert tested[0]["days"] == SESSIONS - 30 - followed + 1  # and the last night but one
    assert min(row["kupiec_holm"] for row in tested) > 0.01
    book = ask(folder, "--check", scenarios=300).output
    assert "Kupiec p" in book
    assert f"│ {tested[0]['days']} " in book


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("ticker,weight\nSYN00,0.5\nSYN01,0.5\n", "w.csv: line 3: SYN01 has no forecast; did you mean SYN0"),
        ("ticker,weight\nSYN00,much\n", "w.csv: line 2: the weight of SYN00 is no number"),
        ("ticker,weight\nSYN00,inf\n", "w.csv: line 2: the weight of SYN00 is no number"),
        ("ticker,weight\n,0.5\n", "w.csv: line 2 has no ticker"),
        ("ticker,weight\nSYN00,0.5\nSYN00,0.1\n", "w.csv: line 3: SYN00 is there twice; keep one weight of it"),
        ("ticker,weight\nSYN00,0\n", "w.csv: every weight is 0, so nothing is at risk"),
        ("ticker,share\nSYN00,0.5\n", "w.csv: columns ['ticker', 'share']; a file of weights has ticker and weight"),
        ("", "w.csv: not readable as a CSV with commas"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(folder: Path, tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "w.csv").write_text(content)
    done = ask(folder, "--weights", str(tmp_path / "w.csv"))
    assert done.exit_code == 1
    assert done.output.startswith("forecast-assets: ")
    assert sentence in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--night", "2018-01-01"), "nightly_forecast: no night 2018-01-01; there are 2021-"),
        (("--night", "2021-12-30"), "the book of 2021-12-30 is empty, so nothing is at risk; name a portfolio"),
        (("--set", "scenarios.least_days=400"), "days, at least 400 are needed; wait for more nights"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = ask(folder, *arguments)
    assert done.exit_code == 1
    assert sentence in done.output
    assert done.output.count("\n") == 1


def test_without_a_night_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = ask(tmp_path)
    assert done.exit_code == 1
    assert "no night yet; make one with: forecast-assets nightly" in done.output


def test_the_commands_of_the_page_are_answered_with_its_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (weights,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    Path("weights.csv").write_text(weights)
    commands = re.findall(r"^    forecast-assets risk(.*?)(?:#.*)?$", page, re.MULTILINE)
    assert len(commands) == 5
    for arguments in commands:
        done = ask(folder, *arguments.split(), scenarios=200)
        assert done.exit_code == 0, done.output
    columns = ask(folder, "--weights", "weights.csv").output
    for name in re.findall(r"^\| ([A-Za-z]+.*?) \|", page, re.MULTILINE)[1:]:
        assert all(part.strip() in columns for part in name.split(",")), name


def test_the_page_names_settings_that_exist() -> None:
    named = set(re.findall(r"`scenarios\.(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert named
    assert named <= set(ScenarioSpec.model_fields)
