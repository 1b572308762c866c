"""``forecast-assets forecast`` on the smoke graph."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets.forecaster import Forecaster
from forecast_assets_tests.helpers.graph import Graph


def forecast(graph: Graph, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--data-dir", str(graph.root), "forecast", *arguments])


def test_a_fan_of_each_horizon_and_who_made_it_fit_into_eighty_columns(smoke_graph: Graph) -> None:
    done = forecast(smoke_graph, "SYN00", "SYN01.DE")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("SYN00", "sessions", "1", "5", "20", "issued"),
        *("SYN01.DE", "sessions", "1", "5", "20", "issued"),
    ]
    assert max(map(len, lines)) <= 80
    assert "…" not in done.output
    assert "nightly_forecast/2019-12-31" in lines[5]
    for line in (*lines[2:5], *lines[8:11]):
        assert line.count("●") == 1
        assert line.index("─") < line.index("●") < line.rindex("─")


def test_a_past_date_is_answered_from_the_walk_forward(smoke_graph: Graph) -> None:
    done = forecast(smoke_graph, "SYN00", "--date", "2018-05-02")
    assert "close 2018-05-02" in done.output
    assert "out of sample, by ensemble/2018" in done.output


def test_the_top_is_ranked_by_any_column_and_horizon(smoke_graph: Graph) -> None:
    night = Forecaster.load(smoke_graph.root).forecast().filter(pl.col("horizon") == 20)
    highest = night.sort("sigma", descending=True)["ticker"].to_list()
    for by, wanted in (("sigma", highest), ("-sigma", highest[::-1])):
        done = forecast(smoke_graph, "--top", "3", "--by", by, "--horizon", "20")
        shown = [line.split()[1] for line in done.output.splitlines() if "SYN" in line]
        assert shown == wanted[:3]


def test_the_table_goes_to_a_file_or_out_as_json(smoke_graph: Graph, tmp_path: Path) -> None:
    wanted = Forecaster.load(smoke_graph.root).forecast("SYN00")
    assert forecast(smoke_graph, "SYN00", "--csv", str(tmp_path / "out.csv")).exit_code == 0
    assert pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)["q50"].to_list() == wanted["q50"].to_list()
    rows = json.loads(forecast(smoke_graph, "SYN00", "--json").output)
    assert [row["q025"] for row in rows] == wanted["q025"].to_list()
    assert len(json.loads(forecast(smoke_graph, "--json").output)) == 3 * 7  # the whole night


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["SYN0"], "SYN0: no such ticker among the forecasts; did you mean"),
        (["--by", "sigm"], "--by sigm: no such column; did you mean sigma?"),
        (["--top", "3", "--horizon", "2"], "--horizon 2: forecasts reach 1, 5, 20 sessions ahead"),
        (["SYN00", "--top", "3"], "--top ranks all tickers of the last night; leave the tickers out, or --top"),
        (["--date", "2019-06-03"], "name the tickers whose forecasts of that day are wanted"),
        (["SYN00", "--csv", "no/such/folder.csv"], "no/such/folder.csv: its folder does not exist"),
    ],
)
def test_what_can_not_be_shown_is_one_sentence(smoke_graph: Graph, arguments: list[str], sentence: str) -> None:
    done = forecast(smoke_graph, *arguments)
    assert done.exit_code == 1
    assert done.output.startswith(f"forecast-assets: {sentence}")
    assert done.output.count("\n") == 1
