"""Nights on a panel that a ticker has left, or in which it has another name."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import time_machine
from polars.testing import assert_frame_equal

from forecast_assets.assets.target_positions import NONE_GONE
from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS
from forecast_assets.champion.forecast_change import explain_change
from forecast_assets_tests.helpers.graph import Graph

NIGHTS = ("2019-03-14", "2019-03-15", "2019-03-18", "2019-03-19")
NIGHT = (*PANEL_ASSETS, *NIGHT_ASSETS)
KEYS = ["date", "ticker", "horizon"]


@pytest.fixture(scope="module")
def first_night(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke graph's store after the first night of a replay; tests copy it."""
    root = tmp_path_factory.mktemp("first_night")
    for asset in smoke_graph.store.assets():
        if asset not in (*NIGHT_ASSETS, "raw_panel") or asset == "serving_model":
            shutil.copytree(smoke_graph.root / "store" / asset, root / "store" / asset, copy_function=shutil.copy2)
    shutil.copytree(smoke_graph.root / "raw", root / "raw")
    with Graph(root) as graph:
        assert graph.run(*NIGHT, panel=root / "raw", as_of=NIGHTS[0], arrived="history").failures == []
    return root


@pytest.fixture
def graph(first_night: Path, tmp_path: Path) -> Iterator[Graph]:
    shutil.copytree(first_night, tmp_path / "root", copy_function=shutil.copy2)
    with Graph(tmp_path / "root") as graph:
        yield graph


def held(graph: Graph, night: str) -> dict[str, dict[str, object]]:
    return {row["ticker"]: row for row in graph.table("target_positions", night).iter_rows(named=True)}


def most_held(graph: Graph, night: str = NIGHTS[0]) -> str:
    book = graph.table("target_positions", night).sort(pl.col("weight_target").abs())
    assert book["weight_target"][-1] != 0
    return str(book["ticker"][-1])


def rewritten(graph: Graph, folder: str, ticker: str, to: str | None) -> Path:
    """Return a panel with a ticker's lines under another name, or without them."""
    lines = (graph.root / "raw" / "demo_panel.csv").read_text().splitlines(keepends=True)
    kept = [line if to is None else line.replace(f",{ticker},", f",{to},") for line in lines]
    out = graph.root / folder / "demo_panel.csv"
    out.parent.mkdir()
    out.write_text("".join(line for line in kept if f",{ticker}," not in line))
    return out


def new_name(ticker: str) -> str:
    """A name on the same exchange, and in the same place of the order in which retraining draws its samples."""
    stem, dot, suffix = ticker.partition(".")
    return f"{stem}CAR{dot}{suffix}"


def test_a_ticker_gone_from_the_panel_is_closed_once_at_its_last_price_and_told(graph: Graph) -> None:
    ticker = most_held(graph)
    before = held(graph, NIGHTS[0])[ticker]
    without = rewritten(graph, "dropped", ticker, None)
    assert graph.run(*NIGHT, panel=without, as_of=NIGHTS[1], arrived="history").failures == []
    row = held(graph, NIGHTS[1])[ticker]
    assert row["weight_target"] == 0
    # As its last day's price moved it: without a quote, the last night's order for it was never filled.
    assert row["weight_now"] == pytest.approx(before["weight_now"], rel=0.02)
    assert row["trade"] == pytest.approx(-row["weight_now"])  # type: ignore[operator]
    assert row["note"] == f"gone from the panel: closed at its last price, of {NIGHTS[0]}"
    facts = graph.version("target_positions", NIGHTS[1]).manifest.facts
    assert facts["gone_from_panel"] == facts["closed_as_gone"] == ticker
    assert not facts["checks"][NONE_GONE.name]["passed"]
    assert facts["checks"][NONE_GONE.name]["warns"]

    assert graph.run(*NIGHT, panel=without, as_of=NIGHTS[2], arrived="history").failures == []
    assert ticker not in held(graph, NIGHTS[2])
    assert graph.version("target_positions", NIGHTS[2]).manifest.facts["closed_as_gone"] == "none"
    assert ticker not in graph.table("nightly_forecast", NIGHTS[2])["ticker"]


def test_the_others_book_goes_on_as_it_was_when_a_ticker_is_gone(graph: Graph) -> None:
    ticker = most_held(graph)
    assert (
        graph.run(*NIGHT, panel=rewritten(graph, "dropped", ticker, None), as_of=NIGHTS[1], arrived="history").failures
        == []
    )
    gone = held(graph, NIGHTS[1])
    assert graph.run(*NIGHT, panel=graph.root / "raw", as_of=NIGHTS[1], arrived="history").failures == []
    there = held(graph, NIGHTS[1])
    for other in there.keys() - {ticker}:
        assert gone[other]["weight_now"] == pytest.approx(there[other]["weight_now"], rel=0.02)
    assert there[ticker]["note"] is None


def test_a_ticker_that_comes_back_is_traded_again(graph: Graph) -> None:
    """Meanwhile the old rows of another one were taken back: no night fails for it."""
    ticker = most_held(graph)
    without = rewritten(graph, "dropped", ticker, None)
    lines = without.read_text().splitlines(keepends=True)
    last = sorted({line.split(",")[1] for line in lines[1:]})[-1]
    without.write_text("".join(line for line in lines if f",{last}," not in line or line >= "2019-03-12"))
    assert graph.run(*NIGHT, panel=without, as_of=NIGHTS[1], arrived="history").failures == []
    assert graph.run(*NIGHT, panel=graph.root / "raw", as_of=NIGHTS[2], arrived="history").failures == []
    assert ticker in graph.table("nightly_forecast", NIGHTS[2])["ticker"]
    assert graph.version("target_positions", NIGHTS[2]).manifest.facts["gone_from_panel"] == "none"
    assert held(graph, NIGHTS[2])[ticker]["note"] is None


def test_a_declared_rename_changes_nothing_but_the_name(graph: Graph) -> None:
    """The champion, the issued nights and the book of the old name are the new one's."""
    ticker = most_held(graph)
    name = new_name(ticker)
    shutil.copytree(graph.root, graph.root.with_name("as_it_was"), copy_function=shutil.copy2)
    renamed = rewritten(graph, "renamed", ticker, name)
    declared = [f"panel.renames={{{ticker}: OTHER, OTHER: {name}}}"]
    with Graph(graph.root.with_name("as_it_was")) as unchanged:
        for night in NIGHTS[1:3]:
            assert graph.run(*NIGHT, panel=renamed, as_of=night, overrides=declared, arrived="history").failures == []
            assert unchanged.run(*NIGHT, panel=unchanged.root / "raw", as_of=night, arrived="history").failures == []
            for asset, key in (("target_positions", ["ticker"]), ("nightly_forecast", ["ticker", "date", "horizon"])):
                now = graph.table(asset, night).sort(key)
                then = unchanged.table(asset, night).with_columns(pl.col("ticker").replace({ticker: name})).sort(key)
                assert_frame_equal(now, then, abs_tol=1e-6, rel_tol=0)
    found = explain_change(graph.store, ticker=ticker, day=dt.date(2019, 3, 15))
    assert (found.before, found.after) == (dt.date(2019, 3, 14), dt.date(2019, 3, 15))


def test_a_rename_declared_after_its_first_night_heals_that_night(graph: Graph) -> None:
    ticker = most_held(graph)
    renamed = rewritten(graph, "renamed", ticker, new_name(ticker))
    assert graph.run(*NIGHT, panel=renamed, as_of=NIGHTS[1], arrived="history").failures == []
    assert held(graph, NIGHTS[1])[ticker]["weight_target"] == 0
    declared = [f"panel.renames={{{ticker}: {new_name(ticker)}}}"]
    assert graph.run(*NIGHT, panel=renamed, as_of=NIGHTS[1], overrides=declared, arrived="history").failures == []
    book = held(graph, NIGHTS[1])
    assert ticker not in book
    assert book[new_name(ticker)]["weight_now"] == pytest.approx(
        held(graph, NIGHTS[0])[ticker]["weight_target"], rel=0.2
    )


def up_to(graph: Graph, folder: str, day: str, *, without: tuple[str, ...] = ()) -> Path:
    """Return the panel as it was after the sessions up to ``day``, of which these tickers' rows have not come."""
    header, *lines = (graph.root / "raw" / "demo_panel.csv").read_text().splitlines(keepends=True)
    late = tuple(f",{ticker}," for ticker in without)
    kept = [line for line in lines if (date := line.split(",")[0]) < day or (date == day and not _has(line, late))]
    out = graph.root / folder / "demo_panel.csv"
    out.parent.mkdir(exist_ok=True)
    out.write_text("".join([header, *kept]))
    return out


def _has(line: str, parts: tuple[str, ...]) -> bool:
    return any(part in line for part in parts)


def test_tickers_that_come_late_are_added_as_if_in_time_and_the_rest_stays(graph: Graph) -> None:
    """Positions take them in; one that comes after its first outcome is left out."""
    night, select = NIGHTS[1], (*PANEL_ASSETS, "nightly_forecast", "target_positions")
    *late, never = graph.table("nightly_forecast", NIGHTS[0])["ticker"].unique().sort().to_list()[:3]
    shutil.copytree(graph.root, graph.root.with_name("in_time"), copy_function=shutil.copy2)
    with Graph(graph.root.with_name("in_time")) as other, time_machine.travel(f"{night}T23:00+00:00"):
        panel = up_to(other, "whole", night, without=(never,))
        now = ["arrival.grace_hours=0"]
        assert other.run(*select[:-1], panel=panel, arrived="history", overrides=now).failures == []
    in_time = other.table("nightly_forecast", night)

    part = up_to(graph, "part", night, without=(*late, never))
    with time_machine.travel(f"{night}T23:00+00:00"):
        assert graph.run(*select, panel=part, arrived="history").failures == []
        assert graph.store.partitions("nightly_forecast") == [NIGHTS[0]]  # it waits
        assert graph.run(*select, panel=part, arrived="history", overrides=now).failures == []
    first, book = graph.table("nightly_forecast", night), held(graph, night)
    with time_machine.travel(f"{night}T23:30+00:00"):
        panel = up_to(graph, "part", night, without=(never,))
        assert graph.run(*select, panel=panel, arrived="history").failures == []
    second = graph.table("nightly_forecast", night)
    assert_frame_equal(second.join(first, on=KEYS, how="semi"), first)
    added = second.join(first, on=KEYS, how="anti")
    assert added["ticker"].unique().sort().to_list() == late
    assert_frame_equal(added, in_time.join(added, on=KEYS, how="semi"), abs_tol=1e-6, rel_tol=0)
    record = graph.version("nightly_forecast", night).json("night.json")
    (issue,) = record["late"]
    assert issue["tickers"] == late
    assert issue["issued"] > record["issued"]
    weights = [{ticker: row["weight_target"] for ticker, row in each.items()} for each in (book, held(graph, night))]
    assert weights[0] != weights[1]

    committed = graph.version("nightly_forecast", night).id
    with time_machine.travel("2019-03-18T23:00+00:00"):  # each exchange has closed since
        assert graph.run(*select, panel=up_to(graph, "part", night), arrived="history").failures == []
    assert graph.version("nightly_forecast", night).id == committed
