import signal
from typing import Any

import dagster as dg
import pytest

from forecast_assets.core.errors import Stopped
from forecast_assets_tests.helpers.graph import PANEL, Graph


def test_a_year_that_fails_says_why_and_leaves_the_others_alone(empty_graph: Graph) -> None:
    outcome = empty_graph.run(
        *PANEL, "baselines", overrides=["folds.first_test_year=2017", "folds.validation_sessions=300"]
    )
    assert outcome.years == ["2018", "2019"]
    assert [(failure.part, failure.asset) for failure in outcome.failures] == [("2017", "baselines")]
    assert outcome.failures[0].user_mistake
    assert outcome.failures[0].message.startswith("fold 2017: ")
    assert empty_graph.store.partitions("baselines") == ["2018", "2019"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_gets_a_signal_begins_nothing_more(
    empty_graph: Graph, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    assert empty_graph.run(*PANEL).failures == []

    def stopped(*_: Any, **__: Any) -> None:
        signal.raise_signal(number)

    with monkeypatch.context() as patched:
        patched.setattr("forecast_assets.core.windows.folds.make_fold", stopped)
        with pytest.raises(Stopped, match="stopped by a signal in baselines 2018; what was published stays"):
            empty_graph.run("baselines")
    printed = capsys.readouterr().err
    assert "baselines          stopped\n" in printed
    assert "failed" not in printed
    assert empty_graph.store.partitions("baselines") == []
    assert empty_graph.run("baselines").years == ["2018", "2019"]


def test_a_signal_between_two_assets_ends_the_run_too(empty_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    assert empty_graph.run(*PANEL).failures == []

    def stopped(*_: Any, **__: Any) -> None:
        raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr("dagster._core.execution.plan.active.ActiveExecution.get_steps_to_execute", stopped)
    with pytest.raises(Stopped, match="stopped by a signal in walk_forward 2018; "):
        empty_graph.run("baselines")


def test_an_asset_whose_parent_is_not_there_names_it(empty_graph: Graph) -> None:
    assert empty_graph.run(*PANEL).failures == []
    outcome = empty_graph.run("ensemble", years=["2019"])
    assert [failure.asset for failure in outcome.failures] == ["ensemble"]
    assert "b1_tft/2019" in outcome.failures[0].message
    assert outcome.failures[0].user_mistake


def test_nothing_after_the_clock_is_read(empty_graph: Graph) -> None:
    assert empty_graph.run("raw_panel", as_of="2018-06-29").failures == []
    version = empty_graph.version("raw_panel")
    assert str(empty_graph.table("raw_panel")["date"].max()) == "2018-06-29"
    partitions = version.json("partitions.json")
    assert partitions["years"] == ["2018"]
    sessions = empty_graph.table("raw_panel")["date"].unique().sort().cast(str).to_list()
    assert partitions["days"] == sessions[-30:]
    assert partitions["days"][-1] == "2018-06-29"
    assert version.manifest.facts["rows_after_as_of"] > 0
