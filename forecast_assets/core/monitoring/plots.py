"""The monitors' figures: coverage over time with its limits, and how far each feature has moved."""

from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.core.evaluation.figure import INK, MUTED, PALETTE, SMALL, canvas, percent
from forecast_assets.core.evaluation.plots import year_axis
from forecast_assets.core.monitoring.coverage import CoverageLimits, alarm_statistic
from forecast_assets.core.specs import DriftSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_FEATURES = 14


def coverage_over_time(daily_coverage: pl.DataFrame, *, limits: CoverageLimits | None, spec: DriftSpec) -> "Figure":
    """Daily coverage of the 95 % band (dots), what the alarm watches (line) and its limits; the plan's rule dotted."""
    figure, (plot,) = canvas("Coverage of the 95 % band, one session ahead", height=3.0, panels=1)
    dates, share = daily_coverage["date"].to_numpy(), daily_coverage["coverage_95"].to_numpy()
    plot.plot(dates, share, ".", color=MUTED, markersize=2.5, alpha=0.5)
    for level in (spec.coverage_low, spec.coverage_high):
        plot.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
    if limits is not None:
        smoothed = alarm_statistic(daily_coverage, limits=limits)["smoothed_coverage"].to_numpy()
        plot.plot(dates, smoothed, color=PALETTE[0], linewidth=1.4)
        for level in (limits.low, limits.high):
            plot.axhline(level, color=PALETTE[1], linewidth=1.1, linestyle=(0, (4, 3)))
    plot.yaxis.set_major_formatter(lambda value, _: percent(value))
    year_axis(plot)
    plot.set_xlabel(
        "dots: days; line: smoothed, alarm limits dashed; plan's limits dotted", fontsize=SMALL, color=MUTED
    )
    return figure


def feature_distances(moved: pl.DataFrame) -> "Figure":
    """Kolmogorov-Smirnov distances of a night, farthest first; features that alert stand out."""
    rows = moved.filter(pl.col("ks_distance").is_not_null()).sort("ks_distance", descending=True).head(SHOWN_FEATURES)
    figure, (plot,) = canvas("Distance of features from their reference", height=0.9 + 0.24 * len(rows), panels=1)
    names = rows["feature"].to_list()[::-1]
    colours = [PALETTE[1] if alert else PALETTE[0] for alert in rows["alert"].to_list()[::-1]]
    plot.barh(range(len(names)), rows["ks_distance"].to_numpy()[::-1], color=colours, height=0.7)
    plot.set_yticks(range(len(names)), names)
    plot.grid(axis="y", visible=False)
    plot.set_xlabel("KS distance; orange has moved beyond the null", fontsize=SMALL, color=MUTED)
    return figure
