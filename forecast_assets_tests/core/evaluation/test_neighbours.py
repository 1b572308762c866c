"""Attribution to neighbours: literal attributions in, rows, a figure and a table of the report out."""

import datetime as dt

import pytest

from forecast_assets.core.evaluation.neighbours import most_moved, neighbour_table
from forecast_assets.core.models.attribution import Attribution
from forecast_assets.core.report.diagnostic_figures import neighbours_figure
from forecast_assets.core.report.figure_style import to_svg

DAY = dt.date(2024, 12, 30)
ATTRIBUTIONS = {
    "AAA": [Attribution("BBB", 0.6, 0.0003), Attribution("CCC", -0.4, -0.0001)],
    "BBB": [Attribution("AAA", None, -0.001)],
    "CCC": [],
}


def test_the_most_affected_tickers_come_first_with_their_neighbours() -> None:
    table = neighbour_table(date=DAY, attributions=ATTRIBUTIONS)
    assert table.select("ticker", "rank", "neighbour").rows() == [
        ("AAA", 1, "BBB"),
        ("AAA", 2, "CCC"),
        ("BBB", 1, "AAA"),
    ]
    first, second = most_moved(table, listed=1)
    assert (first["ticker"], first["total"], first["date"]) == ("BBB", -0.001, DAY)
    assert first["neighbours"] == [{"neighbour": "AAA", "correlation": None, "added": -0.001}]
    assert second["total"] == pytest.approx(0.0002)
    assert [one["neighbour"] for one in second["neighbours"]] == ["BBB"]
    assert [row["ticker"] for row in most_moved(table, shown=1)] == ["BBB"]


def test_they_are_drawn_with_their_correlations() -> None:
    svg = to_svg(neighbours_figure("b6_graph 2024", neighbour_table(date=DAY, attributions=ATTRIBUTIONS)))
    for text in ("BBB +0.60", "CCC -0.40", "b6_graph 2024"):
        assert text in svg.replace("\u2212", "-")


def test_a_day_without_any_neighbour_is_an_empty_figure() -> None:
    nothing = neighbour_table(date=DAY, attributions={"AAA": []})
    assert most_moved(nothing) == []
    assert to_svg(neighbours_figure("b6_graph 2024", nothing)).startswith("<svg")
