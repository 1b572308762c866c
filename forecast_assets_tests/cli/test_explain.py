"""``forecast-assets explain`` on the smoke graph."""

import re
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from forecast_assets.cli.app import cli
from forecast_assets.core.report.diagnostic_figures import ranked
from forecast_assets_tests.helpers.graph import Graph


def ask(graph: Graph, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["--data-dir", str(graph.data), "explain", *arguments])
    return done.exit_code, done.output


def a_forecast(graph: Graph) -> tuple[str, str]:
    rows = graph.table("b3_tft_sector", "2019").filter(pl.col("split") == "test", pl.col("ticker").str.contains("DE"))
    return rows["ticker"][0], str(rows["date"][0])


@pytest.mark.parametrize("model", ["b1_tft", "b3_tft_sector", "b6_graph"])
def test_variables_and_attention_of_a_forecast_are_printed_and_drawn(
    smoke_graph: Graph, tmp_path: Path, model: str
) -> None:
    ticker, day = a_forecast(smoke_graph)
    code, output = ask(smoke_graph, ticker, day, "--model", model, "--out", str(tmp_path / "why.png"))
    assert code == 0, output
    assert output.startswith(f"{ticker} {day}: {model}/")
    assert re.search(r"\n  an announcement is expected within 5 sessions, \d+ %\n", output)
    assert "selected variables" in output
    assert "highest attention" in output
    assert ("neighbour attribution" in output) == (model == "b6_graph")
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("SYN01.D", "2019-06-03"), "no such ticker in the panel; did you mean SYN01.DE"),
        (("SYN01.DE", "2019-06-02"), "SYN01.DE has no forecast on 2019-06-02: no quote, or fewer than 20 sessions"),
        (("SYN01.DE", "2019-06-03", "--model", "b0_mlp"), "b0_mlp selects no variables and attends to no session"),
        (("SYN01.DE", "2019-06-03", "--model", "b9"), "b9: no such network; choose from b0_mlp, b1_tft"),
        (("SYN01.DE", "2031-06-03"), "b2_tft_ticker/2031: nothing published"),
    ],
)
def test_what_cannot_be_explained_says_so(smoke_graph: Graph, arguments: tuple[str, ...], sentence: str) -> None:
    code, output = ask(smoke_graph, *arguments)
    assert code == 1
    assert sentence in output


def test_the_largest_weights_are_shown_and_the_rest_is_added_up() -> None:
    assert ranked([0.1, 0.6, 0.2, 0.1], ["a", "b", "c", "d"], shown=2) == {"b": 0.6, "c": 0.2, "2 others": 0.2}
    assert ranked([0.5, 0.5], ["b", "a"], shown=2) == {"a": 0.5, "b": 0.5}
