"""The report's part on survivorship: bands, sentence, table and figures."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.delistings import DelistedCoverage, Delistings
from forecast_assets.core.report.figure_style import to_svg
from forecast_assets.core.report.html import render_backtest_report
from forecast_assets.core.report.summary import general_caveats, plain
from forecast_assets.core.report.survivorship import (
    band_of,
    survivorship_figures,
    survivorship_in_words,
    survivorship_section,
)
from forecast_assets.core.specs import SurvivorshipSpec
from forecast_assets_tests.core.report.test_html import summary

SPEC = SurvivorshipSpec(rates=(0.01, 0.04), recoveries=(0.0, 0.5), plantings=21)
NAMES = ("ensemble", "equal_weight", "b0_mlp")


def section(*, is_real: bool = False) -> dict[str, Any]:
    """The twenty-one plantings have Sharpe ratios 0.00 to 0.20 less the rate, and coverages 0.90 to 0.92."""
    steps = np.arange(21) / 100
    rates = SPEC.rates[:1] if is_real else SPEC.rates
    shape = (len(rates), 21, 2)
    made = np.broadcast_to(steps[None, :, None] - np.array(rates)[:, None, None], shape)
    if is_real:
        made, steps = made[:, -1:], steps[-1:]
    last = np.full((len(rates), made.shape[1], 50), "NaT", dtype="datetime64[D]")
    last[:, 0, :3] = np.datetime64("2020-03-02")
    covered = np.broadcast_to(0.9 + steps[None, :, None, None] / 10, (*made.shape, 2))
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 6, 30), eager=True)
    net = np.random.default_rng(0).normal(0.001, 0.01, len(days))
    books = {name: net if name != "b0_mlp" else net * 0.0 for name in NAMES}
    daily = pl.concat(
        pl.DataFrame({"date": days, "strategy": name, "net_return": values}) for name, values in books.items()
    )
    return survivorship_section(
        Delistings(tuple(f"T{k:02d}" for k in range(50)), rates, last, 150.0, SPEC.recoveries, is_real),
        sharpes={"ensemble": made, "equal_weight": made + 1.0, "b0_mlp": np.full(made.shape, np.nan)},
        coverage=DelistedCoverage((1, 20), np.array([0.95, 0.949]), covered),
        daily=daily,
        spec=SPEC,
    )


def test_bands_are_the_outer_twentieths_of_the_plantings() -> None:
    found = section()
    by_name = {row["strategy"]: row for row in found["strategies"]}
    band = band_of(by_name["ensemble"], 0.04, 0.5)
    assert [band[key] for key in ("low", "median", "high")] == pytest.approx([0.01 - 0.04, 0.10 - 0.04, 0.19 - 0.04])
    assert by_name["ensemble"]["sharpe"] == by_name["equal_weight"]["sharpe"] > 0
    coverage = band_of(found["coverage"][1], 0.01, 0.0)
    assert (coverage["low"], coverage["high"]) == (pytest.approx(0.901), pytest.approx(0.919))
    assert found["delistings"] == [
        {"rate": rate, "mean": pytest.approx(3 / 21), "least": 0, "most": 3} for rate in SPEC.rates
    ]
    undefined = plain(found)["strategies"][2]
    assert undefined["sharpe"] is None
    assert {band["high"] for band in undefined["bands"]} == {None}


def test_the_caveats_hold_the_number_right_after_who_survived() -> None:
    survived, number, *_ = general_caveats(years=[2030], trials="1", facts={}, survivors=section())
    assert survived.startswith("Survivorship: unless")
    assert number.startswith("Survivorship as a number: with 4.0 % of the tickers delisted in a year")
    assert "50 % of their last price recovered" in number
    assert "−0.03 to 0.15 for Ensemble" in number
    assert "0.97 to 1.15 for Equal weight" in number
    assert "90.1 % to 91.9 % over 1 session (95.0 %)" in number
    assert number.endswith("5 to 95 % of 21 plantings.")


def test_with_a_universe_file_the_sentence_names_the_real_ones() -> None:
    said = survivorship_in_words(section(is_real=True))
    assert said.startswith("Delistings: the quotes of 3 members end in the test years, 1.0 % of the tickers a year")
    assert "0.19 for Ensemble" in said
    assert "plantings" not in said
    none = section(is_real=True)
    none["delistings"][0] |= {"mean": 0.0, "least": 0, "most": 0}
    assert survivorship_in_words(none).startswith("Delistings: no member's quotes end in the test years")


def test_the_figures_show_the_books_that_have_a_sharpe_ratio_and_every_horizon() -> None:
    figures = survivorship_figures(plain(section()))
    assert list(figures) == ["survivorship:sharpe", "survivorship:coverage"]
    assert [[plot.get_title() for plot in figure.axes] for figure in figures.values()] == [
        ["Ensemble", "Equal weight"],
        ["1 session", "20 sessions"],
    ]
    assert "50 % recovered" in to_svg(figures["survivorship:sharpe"])
    low, high = figures["survivorship:coverage"].axes[0].get_ylim()
    assert (low < 0.90, high >= 0.96) == (True, True)
    nothing = {**section(), "strategies": section()["strategies"][2:]}
    assert list(survivorship_figures(plain(nothing))) == ["survivorship:coverage"]


def test_the_page_has_figures_and_a_table_beside_the_caveats() -> None:
    whole = summary(survivorship=section())
    figures = {name: to_svg(figure) for name, figure in survivorship_figures(whole["survivorship"]).items()}
    limits = render_backtest_report(whole, figures).partition("<h2>Limits of the data</h2>")[2].partition("<h2>")[0]
    assert limits.count("<svg") == 2
    assert "Survivorship as a number" in limits
    table = limits.partition("<table>")[2]
    assert table.count('<td class="name">') == len(NAMES)
    assert "<td>−0.03 to 0.15</td>" in table
    assert "4.0 %, 0.1 tickers (0 to 3)" in table
    assert "seed 0" in limits
    assert "Survivorship as a number" not in render_backtest_report(summary(), {})
