"""The monitors' figures: coverage over time with its limits, estimated losses, and how far each feature has moved."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.core.monitoring.coverage import CoverageLimits, alarm_statistic
from forecast_assets.core.monitoring.early_warning import LONG
from forecast_assets.core.report.figure_style import INK, MUTED, PALETTE, SMALL, canvas, percent
from forecast_assets.core.report.figures import pit_histograms, year_axis
from forecast_assets.core.specs import DriftSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_FEATURES = 14
SHOWN_NIGHTS = 4  # labelled on the axis


def drift_plots(
    nights: Mapping[dt.date, pl.DataFrame],
    coverage: pl.DataFrame,
    limits: CoverageLimits | None,
    losses: pl.DataFrame,
    forecasts: pl.DataFrame,
    *,
    spec: DriftSpec,
) -> "dict[str, Figure]":
    """Draw what there is to draw: ``nights`` as of ``drift_over_time``, with the newest; recent matured ``forecasts``."""
    figures = {"feature_distances": feature_distances(nights[max(nights)])}
    if len(nights) > 1:
        figures["drift_over_time"] = drift_over_time(nights)
    if coverage.height:
        figures["coverage"] = coverage_over_time(coverage, limits=limits, spec=spec)
    if losses["usual"].count():
        figures["loss"] = loss_over_time(losses, limit=spec.loss_limit)
    if forecasts.height:
        figures["pit"] = pit_histograms(forecasts, model="ensemble")
    return figures


def coverage_over_time(daily_coverage: pl.DataFrame, *, limits: CoverageLimits | None, spec: DriftSpec) -> "Figure":
    """Draw daily coverage of the 95 % band (dots), the alarm's statistic (line), its limits and the fixed ones (dotted)."""
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
    plot.set_xlabel("dots: days; line: smoothed, alarm limits dashed; fixed limits dotted", fontsize=SMALL, color=MUTED)
    return figure


def loss_over_time(losses: pl.DataFrame, *, limit: float) -> "Figure":
    """Draw the estimated loss over the usual one, by forecast day, beside what matured; the limit dashed.

    ``losses``: as of ``early_warning.loss_by_day``.
    """
    rows = losses.filter(pl.col("usual").is_not_null())
    figure, (plot,) = canvas(f"Loss over {LONG} sessions, in shares of the usual one", height=3.0, panels=1)
    dates = rows["date"].to_numpy()
    shown = [("matured", INK, 1.1, "-"), ("direct", PALETTE[2], 1.0, (0, (1, 1))), ("estimated", PALETTE[0], 1.5, "-")]
    for name, colour, width, style in shown:
        values = (rows[name] / rows["usual"]).fill_null(np.nan).to_numpy()
        plot.plot(dates, values, color=colour, linewidth=width, linestyle=style, label=name)
    plot.axhline(limit, color=PALETTE[1], linewidth=1.1, linestyle=(0, (4, 3)))
    low, high = plot.get_ylim()
    plot.set_ylim(low, high + 0.15 * (high - low))  # room for the legend
    plot.legend(loc="upper left", fontsize=SMALL, frameon=False, ncols=len(shown))
    plot.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    year_axis(plot)
    plot.set_xlabel(f"last of {LONG} forecast days; limit of the estimated loss dashed", fontsize=SMALL, color=MUTED)
    return figure


def feature_distances(moved: pl.DataFrame) -> "Figure":
    """Draw the Kolmogorov-Smirnov distances of a night, the largest first; features with an alert in orange."""
    rows = moved.filter(pl.col("ks_distance").is_not_null()).sort("ks_distance", descending=True).head(SHOWN_FEATURES)
    figure, (plot,) = canvas("Distance of features from the reference period", height=0.9 + 0.24 * len(rows), panels=1)
    names = rows["feature"].to_list()[::-1]
    colours = [PALETTE[1] if alert else PALETTE[0] for alert in rows["alert"].to_list()[::-1]]
    plot.barh(range(len(names)), rows["ks_distance"].to_numpy()[::-1], color=colours, height=0.7)
    plot.set_yticks(range(len(names)), names)
    plot.grid(axis="y", visible=False)
    plot.set_xlabel("KS distance; orange: significant drift", fontsize=SMALL, color=MUTED)
    return figure


def drift_over_time(nights: Mapping[dt.date, pl.DataFrame]) -> "Figure":
    """Draw the KS distance of each feature over its critical one by night; a dot where drift was significant.

    ``nights``: tables as of `feature_drift`, oldest first; cells without a critical distance stay blank.
    """
    tables = [frame.with_columns(night=pl.lit(night)) for night, frame in nights.items()]
    table = pl.concat(tables, how="diagonal").with_columns(reach=pl.col("ks_distance") / pl.col("critical_distance"))
    farthest = table.group_by("feature").agg(pl.col("alert").sum(), pl.col("reach").max())
    names = farthest.sort("alert", "reach", "feature", descending=[True, True, False], nulls_last=True)["feature"]
    names = names.head(SHOWN_FEATURES)
    cells = pl.DataFrame({"feature": names}).join(pl.DataFrame({"night": list(nights)}), how="cross")
    cells = cells.join(table, on=["feature", "night"], how="left", maintain_order="left")
    shape = (len(names), len(nights))

    figure, (plot,) = canvas("Distance of features, by night", height=1.3 + 0.24 * len(names), panels=1)
    image = plot.imshow(
        cells["reach"].fill_null(np.nan).to_numpy().reshape(shape), aspect="auto", cmap="Blues", vmin=0.0, vmax=2.0
    )
    row, column = np.nonzero(cells["alert"].fill_null(False).to_numpy().reshape(shape))
    plot.plot(column, row, "o", color=PALETTE[1], markersize=4)
    plot.set_yticks(range(len(names)), names)
    shown = np.unique(np.linspace(0, len(nights) - 1, min(len(nights), SHOWN_NIGHTS)).astype(int))
    plot.set_xticks(shown, [f"{list(nights)[k]:%d %b %y}" for k in shown])
    plot.grid(visible=False)
    plot.set_xlabel("night; orange dot: significant drift", fontsize=SMALL, color=MUTED)
    bar = figure.colorbar(image, ax=plot, pad=0.01, extend="max")
    bar.set_label("KS distance / critical distance", fontsize=SMALL, color=MUTED)
    bar.ax.tick_params(labelsize=SMALL, colors=MUTED, length=3)
    return figure
