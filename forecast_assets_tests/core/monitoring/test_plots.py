"""What the monitors' figures show."""

import datetime as dt

import polars as pl
from numpy.ma import masked

from forecast_assets.core.monitoring.plots import drift_over_time


def night(**features: tuple[float | None, bool]) -> pl.DataFrame:
    rows = [(name, distance, 0.2, alert) for name, (distance, alert) in features.items()]
    return pl.DataFrame(
        rows,
        schema={
            "feature": pl.String,
            "ks_distance": pl.Float64,
            "critical_distance": pl.Float64,
            "alert": pl.Boolean,
        },
        orient="row",
    )


def test_which_feature_moved_when_is_drawn_those_that_moved_most_often_first() -> None:
    figure = drift_over_time(
        {
            dt.date(2025, 7, 1): night(calm=(0.1, False), moved=(0.1, False)).drop("critical_distance"),
            dt.date(2025, 7, 2): night(calm=(0.3, False), moved=(0.5, True), gone=(0.1, False)),
            dt.date(2025, 7, 3): night(calm=(0.1, False), moved=(0.6, True), gone=(None, True)),
        }
    )
    plot = figure.axes[0]
    assert [label.get_text() for label in plot.get_yticklabels()] == ["moved", "gone", "calm"]
    assert [label.get_text() for label in plot.get_xticklabels()] == ["01 Jul 25", "02 Jul 25", "03 Jul 25"]
    shades = plot.images[0].get_array()
    assert shades is not None
    assert [[None if cell is masked else round(float(cell), 9) for cell in row] for row in shades] == [
        [None, 2.5, 3.0],
        [None, 0.5, None],
        [None, 1.5, 0.5],
    ]
    [dots] = plot.lines
    assert sorted(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(1, 0), (2, 0), (2, 1)]  # type: ignore[arg-type]
