"""``forecast-assets factor`` on a small store made by hand, and on the smoke graph."""

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets.core.evaluation.factor import factor_statistics, return_column
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import HORIZONS, QUANTILES, TARGETS
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import Graph
from forecast_assets_tests.helpers.published import KEY_A, fields

DAYS = [dt.date(2019, 1, 7) + dt.timedelta(days=day) for day in range(50)]
TICKERS = [f"T{k:02d}" for k in range(12)]


def feature_panel() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    count = len(DAYS) * len(TICKERS)
    signal = rng.normal(size=count)
    return pl.DataFrame(
        {
            "date": [day for day in DAYS for _ in TICKERS],
            "ticker": TICKERS * len(DAYS),
            "exchange": ["XNYS", "XETR"] * (count // 2),
            "sector": ["[b]Energy", "[b]Energy", None] * (count // 3),
            "is_missing": [False] * count,
            "is_member": [ticker != "T11" for ticker in TICKERS] * len(DAYS),
            "signal": signal,
            "vix": [float(day.day) for day in DAYS for _ in TICKERS],
            **{target: 0.01 * (signal + rng.normal(size=count)) for target in TARGETS},
        }
    )


def forecasts(panel: pl.DataFrame, *, model: str, horizons: tuple[int, ...] = HORIZONS) -> pl.DataFrame:
    """Return forecasts whose medians are the signal, turned round over 5 sessions."""
    width = np.linspace(-1, 1, len(QUANTILES))
    median = np.stack([panel["signal"].to_numpy() * (-1 if h == 5 else 1) for h in horizons], axis=1)
    return forecast_table(
        date=panel["date"],
        ticker=panel["ticker"],
        quantiles=median[:, :, None] + width,
        y=panel.select(f"target_{h}d" for h in horizons).to_numpy(),
        split=["validation"] * len(TICKERS) + ["test"] * (panel.height - len(TICKERS)),
        model=model,
        horizons=horizons,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("factor")
    store, panel = Store(root / "store"), feature_panel()
    rival = forecasts(panel, model="rival_friend", horizons=(5, 20))
    tables = {
        ("feature_panel", None): panel,
        ("b0_mlp", "2019"): forecasts(panel, model="b0_mlp"),
        ("b1_tft", "2019"): forecasts(panel, model="b1_tft").clear(),
        ("baselines", "2019"): forecasts(panel, model="harx"),
        ("rivals", "2019"): rival,
    }
    for (asset, partition), table in tables.items():
        with store.stage(asset, partition, input_key=KEY_A) as staging:
            table.write_parquet(staging.path / "table.parquet")
            store.commit(staging, fields())
    with store.stage("raw_panel", None, input_key=KEY_A) as staging:
        (staging.path / "partitions.json").write_text(json.dumps({"years": ["2019"], "nights": []}))
        store.commit(staging, fields())
    return root


def ask(folder: Path | str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--data-dir", str(folder), "factor", *arguments])


def answer(folder: Path | str, *arguments: str) -> dict[str, Any]:
    result = ask(folder, *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_feature_is_ranked_over_members_by_sector_and_exchange(folder: Path) -> None:
    found = answer(folder, "signal")
    assert (found["factor"], found["years"]) == ("signal, feature", [2019])
    members = feature_panel().filter("is_member")
    expected = factor_statistics(
        members.select(
            "date",
            "ticker",
            factor="signal",
            **{return_column(h): pl.col(f"target_{h}d").exp() - 1 for h in HORIZONS},
        ),
        horizons=HORIZONS,
    )
    assert found["all"] == json.loads(json.dumps(asdict(expected)))
    assert found["all"]["horizons"][0]["rank_ic"] > 0.4
    assert list(found["sector"]) == ["[b]Energy"]
    assert {name: group["tickers"] for name, group in found["exchange"].items()} == {"XETR": 5, "XNYS": 6}


def test_a_model_is_ranked_by_its_test_medians_of_one_horizon(folder: Path) -> None:
    short, long = answer(folder, "B0"), answer(folder, "b0_mlp", "--horizon", "5")
    assert short["factor"] == "b0_mlp, median over 1 session"
    assert short["all"]["dates"] == len(DAYS) - 1
    assert [row["horizon"] for row in short["all"]["horizons"]] == list(HORIZONS)
    for one, other in zip(short["all"]["horizons"], long["all"]["horizons"], strict=True):
        assert one["rank_ic"] == pytest.approx(-other["rank_ic"])
        assert one["rank_ic"] > 0.4


def test_a_baseline_and_a_rival_are_found_in_the_tables_they_share(folder: Path) -> None:
    assert answer(folder, "harx")["all"] == answer(folder, "b0_mlp")["all"]
    rival = answer(folder, "friend")
    assert rival == answer(folder, "rival_friend")
    assert rival["factor"] == "rival_friend, median over 5 sessions"
    assert [row["horizon"] for row in rival["all"]["horizons"]] == [5, 20]


def test_one_table_is_printed_with_its_years_and_dates(folder: Path) -> None:
    done = ask(folder, "signal", "--years", "2019")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("signal, feature: 2019; 50 dates, 50 with quantiles; 11 tickers, 550 rows\n")
    for word in ("rank IC", "Q5 - Q1", "[b]Energy", "XETR", "XNYS", "Returns in basis points"):
        assert word in done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("signa",), "signa: no such model and no such feature; did you mean signal"),
        (("zzz",), "zzz: no such model and no such feature; a feature is a column of the feature panel"),
        (("target_1d",), "target_1d: an outcome, over 1, 5 or 20 sessions; a factor is known on its date"),
        (("vix",), "vix, feature: the same for all tickers on every date, so it ranks none"),
        (("signal", "--horizon", "5"), "signal: a feature has no forecast horizon; leave out --horizon"),
        (("signal", "--years", "1999"), "signal, feature: no value in 1999, so there is nothing to rank"),
        (("friend", "--horizon", "1"), "rival_friend: no forecasts over 1 session; it has 5, 20"),
        (("b0_mlp", "--years", "1999"), "b0_mlp: no partition '1999'; there are 2019"),
        (("b1_tft",), "b1_tft, median over 1 session: no value in the test years, so there is nothing to rank"),
        (("B3",), "b3_tft_sector: not materialised; there are b0_mlp, "),
    ],
)
def test_what_cannot_be_ranked_is_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = ask(folder, *arguments)
    assert done.exit_code == 1
    assert done.output.startswith("forecast-assets: ")
    assert sentence in done.output
    assert done.output.count("\n") == 1


def test_an_empty_store_says_what_is_not_there(tmp_path: Path) -> None:
    done = ask(tmp_path, "signal")
    assert done.exit_code == 1
    assert "feature_panel: nothing published" in done.output


def test_the_models_and_features_of_a_finished_graph_are_shown(smoke_graph: Graph) -> None:
    for name in ("ensemble", "harx", "log_return"):
        found = answer(smoke_graph.data, name)
        assert found["years"] == [2018, 2019]
        assert [row["horizon"] for row in found["all"]["horizons"]] == list(HORIZONS)
        assert found["sector"]
        assert found["exchange"]
