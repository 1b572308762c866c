"""Where estimates stand in the forest plot."""

import pytest

from forecast_assets.core.evaluation.significance import Interval
from forecast_assets.core.report.forest import SCALES, WITHOUT, forest
from forecast_assets.core.report.summary import plain
from forecast_assets.core.report.verdicts import verdict

VERDICTS = plain(
    [
        verdict("met", "met", "no interval"),
        verdict("first", "beats", "a", Interval(0.9, 0.8, 1.2), measure="loss ratio"),
        verdict("second", "no evidence", "b", Interval(1.0, 0.9, 1.1), measure="loss ratio"),
        verdict("return", "loses", "c", Interval(-0.1, -0.2, -0.05), measure="annual return"),
        verdict(
            "undefined", "no evidence", "d", Interval(float("nan"), float("nan"), float("nan")), measure="Sharpe ratio"
        ),
    ]
)


def test_every_verdict_has_one_row_under_the_scale_of_its_measure() -> None:
    groups = {group["heading"]: [row["claim"] for row in group["rows"]] for group in forest(VERDICTS)}
    ratio, difference = SCALES["loss ratio"].heading, SCALES["annual return"].heading
    assert groups == {ratio: ["first", "second"], difference: ["return"], WITHOUT: ["met", "undefined"]}


def test_places_are_linear_in_the_estimates_and_the_reference_is_among_them() -> None:
    group = forest(VERDICTS)[0]
    (first, second) = group["rows"]
    assert (first["low"], first["high"]) == pytest.approx((100 * 0.04 / 1.08, 100 * 1.04 / 1.08), abs=0.01)
    middle = (first["low"] + first["high"]) / 2
    assert second["at"] == group["reference"] == pytest.approx(middle)
    assert (first["estimate"], first["interval"]) == ("0.9000", "0.8000 to 1.2000")


def test_a_difference_of_returns_is_drawn_beside_zero_in_percentage_points() -> None:
    group = forest(VERDICTS)[1]
    (row,) = group["rows"]
    assert row["low"] < row["at"] < row["high"] < group["reference"]
    assert (row["estimate"], row["interval"]) == ("\u221210.0", "\u221220.0 to \u22125.0")


def test_a_verdict_without_an_interval_has_no_place() -> None:
    group = forest(VERDICTS)[-1]
    assert group["reference"] is None
    assert [(row["at"], row["estimate"], row["interval"]) for row in group["rows"]] == [(None, "-", "-")] * 2
