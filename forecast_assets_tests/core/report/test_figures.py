import datetime as dt
import json
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.report.figure_style import colours, spread, to_png, to_svg
from forecast_assets.core.report.figures import (
    coverage_by_year,
    drawdown_curves,
    equity_curves,
    fan_chart,
    pinball_ratios,
    pit_histograms,
    rolling_sharpe,
    training_curves,
    yearly_returns,
)
from forecast_assets.core.scores.trading import sessions_per_year, sharpe

DAY = dt.date(2024, 3, 1)


def daily(**returns: list[float]) -> pl.DataFrame:
    tables = [
        pl.DataFrame({"date": [DAY + dt.timedelta(days=i) for i in range(len(net))], "net_return": net}).with_columns(
            strategy=pl.lit(name), year=pl.col("date").dt.year()
        )
        for name, net in returns.items()
    ]
    return pl.concat(tables)


def forecasts(ticker: str = "BMW.DE", *, rows: int = 50) -> pl.DataFrame:
    levels = np.array([-1.96, -1.64, -0.67, 0.0, 0.67, 1.64, 1.96])
    outcomes = np.random.default_rng(0).standard_normal((rows, 3))
    return pl.DataFrame(
        [
            (DAY + dt.timedelta(days=i), ticker, h, *(levels * 0.01), 0.01 * outcomes[i, k], "test", "ensemble")
            for i in range(rows)
            for k, h in enumerate(HORIZONS)
        ],
        schema=["date", "ticker", "horizon", *QUANTILE_COLUMNS, "y", "split", "model"],
        orient="row",
    )


def prices(ticker: str = "BMW.DE") -> pl.DataFrame:
    days = [DAY + dt.timedelta(days=i) for i in range(80)]
    return pl.DataFrame({"date": days, "ticker": ticker, "close": np.linspace(100.0, 140.0, 80)})


def line(figure: Figure, panel: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = figure.axes[panel].lines[number]
    return np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())


def test_equity_compounds_net_returns() -> None:
    figure = equity_curves(daily(a=[0.1, -0.5, 0.2]), strategies=["a"])
    assert line(figure, 0, 0)[1].tolist() == pytest.approx([1.1, 0.55, 0.66])
    assert figure.axes[0].get_yscale() == "log"


def test_equity_ends_at_ruin_which_has_no_logarithm() -> None:
    assert line(equity_curves(daily(a=[0.1, -1.0, 0.2]), strategies=["a"]), 0, 0)[1].tolist() == pytest.approx([1.1])


def test_the_rolling_sharpe_is_that_of_the_last_sessions_and_of_books_with_positions() -> None:
    net = [0.01, -0.02, 0.03, 0.0, 0.02]
    table = daily(a=net, idle=[0.0] * 5)
    figure = rolling_sharpe(table, strategies=["a", "idle"], sessions=3)
    per_year = sessions_per_year(table["date"].unique().sort().to_numpy())
    expected = [sharpe(net[k - 3 : k], sessions_per_year=per_year) for k in range(3, 6)]
    assert line(figure, 0, 0)[1][2:].tolist() == pytest.approx(expected)
    assert [drawn.get_label() for drawn in figure.axes[0].lines[:-1]] == ["a"]


def test_each_of_thirty_lines_has_its_own_colour_and_no_two_numbers_overlap() -> None:
    names = [f"fit {k}" for k in range(30)]
    assert len(set(colours(names).values())) == 30
    figure = equity_curves(daily(**{name: [0.001 * k, 0.001, 0.0] for k, name in enumerate(names)}), strategies=names)
    to_svg(figure)
    boxes = sorted(
        (box.y0, box.y1)
        for text in figure.axes[0].texts
        if text.get_text().isdigit()
        for box in [text.get_window_extent()]
    )
    assert len(boxes) == 30
    assert all(above[0] > below[1] - 3 for below, above in pairwise(boxes))  # a digit is lower than its line


def test_a_page_can_read_the_lines_off_by_the_scales_of_the_plot() -> None:
    svg = to_svg(equity_curves(daily(a=[0.1, -0.5, 0.2], b=[0.0, 0.1, 0.1]), strategies=["a", "b"]))
    root = ET.fromstring(svg)
    scales = json.loads(root.attrib["data-scales"])
    assert scales["names"] == ["b", "a"]  # the first strategy is drawn last
    (drawn,) = re.findall(r'<g class="line">\s*<path d="([^"]*)"', svg)[1:]
    ends = [tuple(map(float, point.split()[1:])) for point in re.findall(r"[ML] [\d.]+ [\d.]+", drawn)]
    share = (ends[-1][1] - scales["y"][0]) / (scales["y"][1] - scales["y"][0])
    low, high = scales["values"]
    assert low * (high / low) ** share == pytest.approx(1.1 * 0.5 * 1.2, rel=1e-3)
    assert "data-scales" not in to_svg(pit_histograms(forecasts(), model="ensemble"))


def test_drawdown_is_measured_from_the_peak() -> None:
    figure = drawdown_curves(daily(a=[0.1, -0.5, 0.2]), strategies=["a"])
    assert line(figure, 0, 0)[1].tolist() == pytest.approx([0.0, -0.5, -0.4])


def test_the_heat_map_prints_each_years_compounded_return() -> None:
    days = [dt.date(2023, 12, 28), dt.date(2023, 12, 29), dt.date(2024, 1, 2)]
    table = pl.DataFrame({"date": days, "net_return": [0.1, 0.1, -0.5], "year": [2023, 2023, 2024], "strategy": "a"})
    figure = yearly_returns(table, strategies=["a", "absent"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["21 %", "-50 %", "-", "-"]


def test_coverage_dots_stand_at_their_shares() -> None:
    table = pl.DataFrame(
        {"model": "m", "horizon": [1, 1], "year": [2023, 2024], "coverage_95": [0.94, 0.97], "coverage_90": [0.9, 0.88]}
    )
    figure = coverage_by_year(table, model="m")
    assert line(figure, 0, 1)[1].tolist() == [0.94, 0.97]  # 0 and 2 are the nominal lines
    assert line(figure, 0, 3)[1].tolist() == [0.9, 0.88]


def test_pit_shares_add_up_to_one_per_horizon() -> None:
    figure = pit_histograms(forecasts(), model="ensemble")
    bars = [[bar.get_height() for bar in plot.patches if isinstance(bar, Rectangle)] for plot in figure.axes]
    assert [len(heights) for heights in bars] == [10, 10, 10]
    assert [sum(heights) for heights in bars] == pytest.approx([1.0, 1.0, 1.0])


def test_a_fan_starts_at_the_close_and_shows_the_outcome() -> None:
    decision = DAY + dt.timedelta(days=20)
    figure = fan_chart(prices(), forecasts(), ticker="BMW.DE", date=decision, model="ensemble")
    close = prices()["close"].to_list()
    ahead, median = line(figure, 0, 0)
    assert ahead.tolist() == [0, 1, 5, 20]
    assert median.tolist() == pytest.approx([close[20]] * 4)
    before, after = line(figure, 0, 1), line(figure, 0, 2)
    assert before[0][-1] == after[0][0] == 0
    assert after[1].tolist() == close[20:41]


def test_a_fan_without_a_forecast_is_an_error_with_a_remedy() -> None:
    with pytest.raises(BadInput, match="no forecast of Ensemble on 2024-05-15; choose another day"):
        fan_chart(prices(), forecasts(), ticker="BMW.DE", date=dt.date(2024, 5, 15), model="ensemble")


def test_a_missing_interval_is_drawn_as_a_dot_alone() -> None:
    table = pl.DataFrame({"model": ["m"], "horizon": [1], "ratio": [0.98], "low": [None], "high": [None]})
    figure = pinball_ratios(table, models=["m", "absent"], baseline="ewma")
    dots = line(figure, 0, 0)[0]
    assert dots[0] == 0.98
    assert np.isnan(dots[1])


def every_figure() -> list[Figure]:
    table = daily(**{"a": [0.01, -0.02, 0.03], "b & <i>": [0.0, 0.0, 0.0], "$x_1$": [-0.01] * 3})
    names = ["a", "b & <i>", "$x_1$"]
    shares = pl.DataFrame({"model": "m", "horizon": [1], "year": [2024], "coverage_95": [0.94], "coverage_90": [0.9]})
    curve = pl.DataFrame(
        {"fit": ["0", "0"], "epoch": [0, 1], "train_loss": [1.0, 0.5], "validation_pinball": [0.3, 0.2]}
    )
    ratio = pl.DataFrame({"model": ["m"], "horizon": [1], "ratio": [0.98], "low": [0.97], "high": [0.99]})
    return [
        equity_curves(table, strategies=names),
        drawdown_curves(table, strategies=names),
        yearly_returns(table, strategies=names),
        coverage_by_year(shares, model="m"),
        pit_histograms(forecasts(), model="ensemble"),
        fan_chart(prices("$A$"), forecasts("$A$"), ticker="$A$", date=DAY, model="ensemble"),
        training_curves(curve),
        pinball_ratios(ratio, models=["m"], baseline="ewma"),
    ]


def test_svg_is_reproducible_well_formed_and_without_group_ids_or_dates() -> None:
    first, second = [to_svg(figure) for figure in every_figure()], [to_svg(figure) for figure in every_figure()]
    assert first == second
    for svg in first:
        root = ET.fromstring(svg)
        assert root.get("viewBox")
        assert root.get("width") is None
        assert not re.search(r"<image|<g id=|<metadata|<!DOCTYPE|20[0-9]{2}-[0-9]{2}-[0-9]{2}T", svg)


def test_svg_is_the_same_when_saved_twice() -> None:
    figure = every_figure()[0]
    assert to_svg(figure) == to_svg(figure)


def test_names_are_escaped_and_a_dollar_is_not_mathematics() -> None:
    svg = to_svg(every_figure()[0])
    assert "b &amp; &lt;i&gt;" in svg
    assert "$x_1$" in svg
    assert "$A$: forecast of Ensemble on" in to_svg(every_figure()[5])


def test_a_png_is_a_picture_and_the_same_again() -> None:
    picture = to_png(every_figure()[2])
    assert picture.startswith(b"\x89PNG\r\n")
    assert picture == to_png(every_figure()[2])


def test_labels_are_pushed_apart_no_further_than_needed() -> None:
    assert spread([0.1, 0.5], gap=0.1) == pytest.approx([0.1, 0.5])
    assert spread([0.5, 0.5, 0.5], gap=0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.0, 0.48, 0.5], gap=0.1) == pytest.approx([0.0, 0.44, 0.54])
