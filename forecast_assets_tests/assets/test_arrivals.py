"""A replay through the graph reads what had arrived by then, whatever has arrived since."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import time_machine

from forecast_assets.assets.framework import code_version
from forecast_assets.assets.framework.running_code import RunningCode
from forecast_assets.cli.status import overview
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.store.artefact_files import REJECTED_ROWS, REVISIONS
from forecast_assets.store.panel_in_use import panel_sessions
from forecast_assets_tests.helpers.arriving import arrive
from forecast_assets_tests.helpers.builders import csv
from forecast_assets_tests.helpers.graph import Graph

DAYS = ["2024-04-08", "2024-04-09", "2024-04-10", "2024-04-11"]
FIRST = dt.datetime(2024, 4, 10, 2, tzinfo=dt.UTC)  # the first reading


def rows(*closes: float, first: int = 0) -> list[str]:
    return [f"{DAYS[first + k]},AAPL,T,{close},{close},1000" for k, close in enumerate(closes)]


def read(graph: Graph, folder: Path, as_of: str | None = None, arrived: str | None = None) -> list[float]:
    outcome = graph.run("raw_panel", panel=folder, as_of=as_of, arrived=arrived)
    assert outcome.failures == []
    return graph.table("raw_panel")["close"].to_list()


def test_a_revision_that_arrives_later_changes_no_replayed_night(empty_graph: Graph, tmp_path: Path) -> None:
    folder = tmp_path / "drops"
    folder.mkdir()
    csv(folder / "history.csv", *rows(100, 101))
    arrive(empty_graph.data, folder, FIRST)
    assert read(empty_graph, folder) == [100, 101]
    csv(folder / "a.csv", *rows(105, 102, first=1))  # revises the day before
    arrive(empty_graph.data, folder, dt.datetime(2024, 4, 11, 2, tzinfo=dt.UTC))
    assert read(empty_graph, folder) == [100, 105, 102]
    now = empty_graph.version("raw_panel")
    assert now.manifest.facts["rows_revised"] == 1
    revision = pl.read_parquet(now.path(REVISIONS)).row(0, named=True)
    assert (revision["old_arrived"], revision["new_arrived"]) == (None, dt.datetime(2024, 4, 11, 2, tzinfo=dt.UTC))
    assert read(empty_graph, folder, as_of="2024-04-09") == [100, 101]
    assert empty_graph.version("raw_panel").manifest.facts["files_after_as_of"] == 1
    assert read(empty_graph, folder, as_of="2024-04-10") == [100, 105, 102]
    assert read(empty_graph, folder, as_of="2024-04-10T21:00-04:00") == [100, 101]  # an hour before it came
    assert read(empty_graph, folder) == [100, 105, 102]
    assert empty_graph.version("raw_panel").id == now.id  # nothing changed since: found, not computed


def test_a_first_reading_that_fails_leaves_the_next_one_the_first(empty_graph: Graph, tmp_path: Path) -> None:
    panel = csv(tmp_path / "panel.csv", *[row.replace("1000", "-1") for row in rows(100, 101)])
    assert len(empty_graph.run("raw_panel", panel=panel).failures) == 1
    csv(panel, *rows(100, 101))
    assert read(empty_graph, panel, as_of="2024-04-08") == [100]


def test_a_replaced_file_is_replayed_only_from_its_arrival_or_as_declared(empty_graph: Graph, tmp_path: Path) -> None:
    panel = csv(tmp_path / "panel.csv", *rows(100, 101))
    arrive(empty_graph.data, panel, FIRST)
    read(empty_graph, panel)
    csv(panel, *rows(100, 105, 102))
    arrive(empty_graph.data, panel, dt.datetime(2024, 4, 11, 2, tzinfo=dt.UTC))
    [failure] = empty_graph.run("raw_panel", panel=panel, as_of="2024-04-09").failures
    assert failure.message.startswith("panel.csv arrived at 2024-04-11 02:00 UTC")
    assert read(empty_graph, panel, as_of="2024-04-09", arrived="history") == [100, 105]
    assert read(empty_graph, panel, as_of="2024-04-09", arrived="2024-04-09") == [100, 105]


def test_a_folder_says_beside_its_files_when_they_arrived(empty_graph: Graph, tmp_path: Path) -> None:
    folder = tmp_path / "drops"
    folder.mkdir()
    csv(folder / "2024-04-09.csv", *rows(100, 101))
    csv(folder / "2024-04-10.csv", *rows(105, 102, first=1))
    csv(folder / "late.csv", *rows(110))
    (folder / "panel.yaml").write_text("arrived: name\nfiles: {late.csv: {arrived: 2024-04-12}}\n")
    assert read(empty_graph, folder, as_of="2024-04-09") == [100, 101]
    assert read(empty_graph, folder, as_of="2024-04-11") == [100, 105, 102]
    assert read(empty_graph, folder, as_of="2024-04-12") == [110, 105, 102]


def test_a_file_replaced_between_digest_and_reading_makes_no_version(
    empty_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong content would be found as unchanged once the right file is back."""
    panel, aside = csv(tmp_path / "panel.csv", *rows(100, 101)), tmp_path / "aside.csv"
    begin = Reading.parts

    def replaced(reading: Reading) -> Iterator[pl.DataFrame]:
        panel.rename(aside)
        csv(panel, *rows(100, 999))
        yield from begin(reading)
        aside.rename(panel)

    with monkeypatch.context() as patched:
        patched.setattr(Reading, "parts", replaced)
        [failure] = empty_graph.run("raw_panel", panel=panel).failures
    assert failure.user_mistake
    assert failure.message.startswith(f"{panel}: the file changed while it was read")
    assert not empty_graph.store.has("raw_panel")
    assert read(empty_graph, panel) == [100, 101]


def test_code_edited_while_a_stage_runs_makes_no_version(
    empty_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = csv(tmp_path / "panel.csv", *rows(100, 101))
    begin, running = Reading.parts, code_version._running
    edited = RunningCode(Path(Reading.__module__))  # knows no file: all of them are edits

    def meanwhile(reading: Reading) -> Iterator[pl.DataFrame]:
        yield from begin(reading)
        monkeypatch.setattr(code_version, "_running", edited)

    with monkeypatch.context() as patched:
        patched.setattr(Reading, "parts", meanwhile)
        [failure] = empty_graph.run("raw_panel", panel=panel).failures
    assert "the code was edited after this process began" in failure.message
    assert not empty_graph.store.has("raw_panel")
    monkeypatch.setattr(code_version, "_running", running)
    assert read(empty_graph, panel) == [100, 101]


def test_a_row_dated_ahead_makes_no_session_of_the_panel(empty_graph: Graph, tmp_path: Path) -> None:
    panel = csv(tmp_path / "panel.csv", *rows(100, 101), "2062-05-01,AAPL,T,102,102,1000")
    assert empty_graph.run("raw_panel", panel=panel, overrides=["panel.max_invalid_share=0.5"]).failures == []
    made = empty_graph.version("raw_panel")
    assert made.manifest.facts["last_session"] == DAYS[1]
    assert panel_sessions(empty_graph.store) == DAYS[:2]
    (reason,) = pl.read_parquet(made.path(REJECTED_ROWS))["reason"]
    assert reason.startswith("2062-05-01 had not begun when the file was first read, at 20")


def test_a_ticker_beyond_the_end_of_its_calendar_fails_the_panel_for_none(empty_graph: Graph, tmp_path: Path) -> None:
    """In January 2027 the calendar of India is one that has ended; it is told."""
    day = dt.date(2027, 1, 19)
    panel = csv(
        tmp_path / "panel.csv",
        *(f"{date},{ticker},T,100,{100 + date.day},1000" for ticker, mic in (("AAPL", "XNYS"), ("TCS.NS", "XBOM"))
          for date in sessions(mic, dt.date(2026, 3, 2), day).to_list()),
    )  # fmt: skip
    with time_machine.travel(dt.datetime(2027, 1, 20, 3, tzinfo=dt.UTC)):
        assert empty_graph.run("raw_panel", "calendar_panel", panel=panel, arrived="history").failures == []
        said = overview(empty_graph.store, empty_graph.data)
    last = empty_graph.table("calendar_panel").group_by("ticker").agg(pl.col("date").max()).sort("ticker")
    assert last["date"].to_list() == [day, day]
    assert said["calendars"].startswith("the trading calendar of XBOM (on 2026-12-31) ends: sessions after that")
