"""A universe file and a sector file through the whole graph: fits, forecasts, books and reports see members only."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import torch

from forecast_assets.assets.nightly_forecast import latest_origins
from forecast_assets.core.monitoring.drift import feature_drift, split_periods
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.specs import DriftSpec
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import BACKTEST_METRICS, POSITIONS, TENSORS, TRADES
from forecast_assets_tests.helpers.builders import csv
from forecast_assets_tests.helpers.graph import PANEL, Graph, environment
from forecast_assets_tests.helpers.tensors import random_panel

SPELLS = (
    "SYN00,2010-01-04,",
    "SYN01.DE,2018-09-03,",  # enters
    "SYN02.T,2010-01-04,",
    "SYN03,2010-01-04,2019-04-30",  # leaves
    "SYN04.DE,2010-01-04,2019-12-27",  # leaves before the last night
    "SYN06,2010-01-04,2018-05-31",  # leaves and returns
    "SYN06,2019-02-01,",
    "GONE,2010-01-04,2012-06-29",  # no prices
)  # SYN05.T and SYN07.DE are not listed
NEVER = ["SYN05.T", "SYN07.DE"]
LABELS = ("SYN00,Technology,2010-01-04", "SYN03,Financials,2010-01-04", "SYN03,Utilities,2018-10-01")


def files(folder: Path, *, spells: tuple[str, ...] = SPELLS) -> dict[str, Path]:
    return {
        "FORECAST_UNIVERSE": csv(folder / "universe.csv", *spells, header="Ticker,From,To"),
        "FORECAST_SECTORS": csv(folder / "sectors.csv", *LABELS, header="Ticker,Sector,From"),
    }


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """One year of the smoke panel with a universe and sectors, its last night included."""
    root = tmp_path_factory.mktemp("universe")
    with Graph(root) as graph:
        with environment(**files(root)):
            assert graph.run(years=["2019"]).failures == []
        yield graph


def members(graph: Graph) -> pl.DataFrame:
    """Return date and ticker of the members' rows, from the spells themselves."""
    spells = pl.DataFrame([line.split(",") for line in SPELLS], schema=["ticker", "first", "last"], orient="row")
    rows = graph.table("calendar_panel").select("date", "ticker").join(spells, on="ticker")
    day = pl.col("date").cast(pl.String)
    return rows.filter((day >= pl.col("first")) & ((pl.col("last") == "") | (day <= pl.col("last")))).select(
        "date", "ticker"
    )


def test_every_row_says_whether_its_ticker_was_a_member_that_day(graph: Graph) -> None:
    for asset in ("calendar_panel", "feature_panel"):
        found = graph.table(asset).filter("is_member").select("date", "ticker")
        assert found.sort("ticker", "date").equals(members(graph).sort("ticker", "date"))
    facts = graph.version("calendar_panel").manifest.facts
    assert facts["members_today"] == 4
    assert facts["members_ever"] == 6
    assert facts["members_by_year"] == "2016: 5, 2017: 5, 2018: 6, 2019: 5"
    assert (facts["tickers_never_members"], facts["universe_without_prices"], facts["universe_unpriced"]) == (
        2,
        1,
        "GONE",
    )


@pytest.mark.parametrize(
    "asset", ["baselines", "b0_mlp", "b3_tft_sector", "b4_patchtst", "b6_graph", "b7_maml", "ensemble"]
)
def test_every_forecast_origin_is_a_members(graph: Graph, asset: str) -> None:
    table = graph.table(asset, "2019")
    origins = table.select("date", "ticker").unique()
    assert origins.join(members(graph), on=["date", "ticker"], how="anti").is_empty()
    assert table.filter(pl.col("split") == "test")["ticker"].n_unique() == 5
    # A window begins before its ticker enters: the first origin is the day of the return itself.
    assert origins.filter(pl.col("ticker") == "SYN06")["date"].min() == dt.date(2019, 2, 1)


def test_what_is_fitted_knows_no_ticker_that_was_never_a_member(graph: Graph) -> None:
    tickers = set(graph.version("b2_tft_ticker", "2019").json("training.json")["tickers_known"])
    assert {"SYN00", "SYN06"} <= tickers
    assert not tickers & set(NEVER)


def test_books_hold_members_until_the_open_after_they_left(graph: Graph) -> None:
    held = pl.read_parquet(graph.version("backtest", "2019").path(POSITIONS))
    trades = pl.read_parquet(graph.version("backtest", "2019").path(TRADES))
    assert not set(held["ticker"]) & set(NEVER)
    leaver = held.filter(pl.col("ticker") == "SYN03")
    assert leaver.filter(pl.col("strategy") == "equal_weight").height > 50
    assert leaver["date"].max() == dt.date(2019, 5, 1)  # the first session outside, after whose close it is sold
    sales = trades.filter((pl.col("ticker") == "SYN03") & (pl.col("date") == dt.date(2019, 5, 2)))
    assert {"equal_weight", "equal_risk_ensemble", "b0_mlp_directional"} <= set(sales["strategy"])
    returns = held.filter(pl.col("ticker") == "SYN06")
    assert returns.height > 0
    assert returns.filter(pl.col("date") <= dt.date(2019, 2, 1)).is_empty()  # it is decided on at that day's close


def test_a_night_forecasts_and_holds_members_alone(graph: Graph) -> None:
    night = graph.table("nightly_forecast", "2019-12-31")
    assert sorted(night["ticker"].unique()) == ["SYN00", "SYN01.DE", "SYN06"]
    book = graph.table("target_positions", "2019-12-31")
    assert not set(book.filter(pl.col("weight_target") != 0)["ticker"]) & {*NEVER, "SYN03", "SYN04.DE"}
    sold = book.filter(pl.col("ticker") == "SYN04.DE")
    assert sold.is_empty() or sold["weight_target"].to_list() == [0.0]


def test_drift_is_measured_over_members(graph: Graph) -> None:
    night = graph.version("drift_checks", "2019-12-31")
    spec = DriftSpec.model_validate(night.manifest.config["drift"])
    rows = graph.table("feature_panel").filter("is_member")
    periods = split_periods(rows, spec=spec, as_of=dt.date(2019, 12, 31))
    wanted = feature_drift(periods.reference, periods.recent, features=feature_names(rows), spec=spec)
    assert graph.table("drift_checks", "2019-12-31").equals(wanted)


def test_the_report_says_who_the_members_were_instead_of_survivorship(graph: Graph, smoke_graph: Graph) -> None:
    summary = graph.version("backtest_report").json(BACKTEST_METRICS)
    (said,) = [caveat for caveat in summary["caveats"] if "universe" in caveat]
    assert "6 over time and 4 on the panel's last day" in said
    assert "1 of the tickers that it lists have no prices in the panel (GONE)" in said
    assert not [caveat for caveat in summary["caveats"] if "Survivorship" in caveat]
    assert summary["facts"]["members_ever"] == 6
    # Two members leave the universe, and no quotes end: the real delistings are none, and change nothing.
    ended = summary["survivorship"]
    assert (ended["is_real"], ended["delistings"]) == (True, [{"rate": 0.0, "mean": 0.0, "least": 0, "most": 0}])
    assert {band["low"] for row in ended["coverage"][:1] for band in row["bands"]} == {ended["coverage"][0]["coverage"]}
    without = smoke_graph.version("backtest_report").json(BACKTEST_METRICS)
    assert [caveat for caveat in without["caveats"] if "Survivorship" in caveat]
    assert "members_ever" not in without["facts"]
    assert (without["survivorship"]["is_real"], len(without["survivorship"]["delistings"])) == (False, 3)


def test_a_later_relabelling_reaches_no_earlier_row(graph: Graph) -> None:
    own = graph.table("feature_panel").filter(pl.col("ticker") == "SYN03")
    changed = own["date"] >= dt.date(2018, 10, 1)
    assert own.filter(changed)["sector"].unique().to_list() == ["Utilities"]
    assert own.filter(~changed)["sector"].unique().to_list() == ["Financials"]
    assert graph.table("feature_panel").filter(pl.col("ticker") == "SYN06")["sector"].null_count() > 0
    assert graph.version("calendar_panel").manifest.facts["tickers_without_sector"] == 6


def test_without_files_every_row_is_a_members(smoke_graph: Graph) -> None:
    assert smoke_graph.table("feature_panel")["is_member"].all()
    assert "members_ever" not in smoke_graph.version("calendar_panel").manifest.facts


def test_a_changed_universe_is_a_new_input_and_is_extended_to_what_a_fresh_run_gives(
    graph: Graph, tmp_path: Path
) -> None:
    before = graph.ids()
    with environment(**files(graph.root)):
        assert graph.run(*PANEL).failures == []
    assert graph.ids() == before  # nothing has changed
    later = tuple(line.replace("2019-04-30", "2019-10-31") for line in SPELLS)
    with environment(**files(tmp_path, spells=later)):
        assert graph.run(*PANEL).failures == []
        with Graph(tmp_path / "fresh") as fresh:
            assert fresh.run(*PANEL).failures == []
            wanted = fresh.table("feature_panel")
    assert graph.version("feature_panel").manifest.facts["extended"]
    assert graph.version("raw_panel").id == before["raw_panel", None]
    assert graph.version("calendar_panel").id != before["calendar_panel", None]
    found = graph.table("feature_panel")
    recursive = ["rsi_14", "macd", "macd_signal", "ewma_vol"]
    assert found.drop(recursive).equals(wanted.drop(recursive))
    assert (
        graph.version("calendar_panel").manifest.slices["2018"]
        == fresh.version("calendar_panel").manifest.slices["2018"]
    )


@pytest.mark.parametrize(
    ("spells", "sentence"),
    [
        (("AAPL,2010-01-04,",), "universe: none of its 1 tickers (AAPL) is in the panel, which has SYN00, SYN01.DE"),
        (("SYN00,2019-01-04,2018-01-04",), "universe.csv: line 2: From is after To; correct the file"),
    ],
)
def test_a_universe_that_can_not_be_used_stops_the_panel_with_one_sentence(
    tmp_path: Path, spells: tuple[str, ...], sentence: str
) -> None:
    with Graph(tmp_path / "data") as graph, environment(**files(tmp_path, spells=spells)):
        (failure,) = graph.run("raw_panel", "calendar_panel").failures
    assert failure.user_mistake
    assert failure.asset == "calendar_panel"
    assert sentence in failure.message


def test_a_ticker_that_left_is_not_live_though_it_was_forecast_days_ago() -> None:
    panel = random_panel(tickers=3, sessions=60)
    place = torch.arange(panel.rows) % 60
    gone = (panel.ticker == 1) & (place >= 55)
    marked = PanelTensors(**{**vars(panel), "member": ~gone})
    last, before = (to_date(int(panel.date[row])) for row in (59, 54))
    assert panel.ticker[latest_origins(marked, last, lookback=20)].tolist() == [0, 2]
    assert latest_origins(marked, before, lookback=20).tolist() == [54, 114, 174]
    assert latest_origins(panel, last, lookback=20).tolist() == [59, 119, 179]


def test_the_tensors_hold_the_members(graph: Graph) -> None:
    tensors = PanelTensors.load(graph.version("windowed_tensors").path(TENSORS))
    assert int(tensors.member.sum()) == graph.table("feature_panel")["is_member"].sum() < tensors.rows
