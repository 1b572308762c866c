import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.calibration_effect import calibration_effect
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.report.diagnostic_figures import calibration_curves

UNIT = np.array([-2.0, -1.6, -0.7, 0.0, 0.7, 1.6, 2.0])


def table(width: float) -> pl.DataFrame:
    """Four decisions around New Year; outcomes 0, 1.8, 3 and one that has not matured, at every horizon."""
    return forecast_table(
        date=pl.Series([dt.date(2020, 12, 30), dt.date(2020, 12, 31), dt.date(2021, 1, 4), dt.date(2021, 1, 5)]),
        ticker=["A"] * 4,
        quantiles=np.tile(width * UNIT, (4, 3, 1)),
        y=np.tile([[0.0], [1.8], [3.0], [np.nan]], 3),
        split=["validation", "test", "test", "test"],
        model="m",
    )


def test_the_effect_is_counted_per_split_horizon_and_year_on_matured_outcomes() -> None:
    effect = calibration_effect(table(1.0), table(2.0)).filter(pl.col("horizon") == 5)
    assert effect.select("variant", "split", "year", "outcomes", "coverage_95", "coverage_90").rows() == [
        ("raw", "test", 2020, 1, 1.0, 0.0),
        ("raw", "test", 2021, 1, 0.0, 0.0),
        ("raw", "validation", 2020, 1, 1.0, 1.0),
        ("calibrated", "test", 2020, 1, 1.0, 1.0),
        ("calibrated", "test", 2021, 1, 1.0, 1.0),
        ("calibrated", "validation", 2020, 1, 1.0, 1.0),
    ]
    # An outcome of 0 at the median: the mean over levels of tail share x distance.
    loss = (2 * 0.025 * 2.0 + 2 * 0.05 * 1.6 + 2 * 0.25 * 0.7) / 7
    assert effect["pinball"][2] == pytest.approx(loss, abs=1e-12)
    assert effect["pinball"][5] == pytest.approx(2 * loss, abs=1e-12)


def test_the_plot_shows_both_variants_by_month_per_horizon() -> None:
    plots = calibration_curves(table(1.0), table(2.0)).get_axes()
    assert [plot.get_title() for plot in plots] == ["h = 1", "h = 5", "h = 20"]
    lines = {line.get_label(): list(np.asarray(line.get_ydata())) for line in plots[0].get_lines()}
    assert lines["raw"] == [1.0, 0.0]
    assert lines["calibrated"] == [1.0, 1.0]
