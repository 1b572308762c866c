"""What calibration changed: coverage and pinball loss of the same decisions before and after."""

from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.core.evaluation.figure import INK, MUTED, PALETTE, SMALL, canvas, percent
from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import pinball

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIANTS = ("raw", "calibrated")


def calibration_effect(raw: pl.DataFrame, calibrated: pl.DataFrame) -> pl.DataFrame:
    """Per variant, split, horizon and year: outcomes, coverage_95, coverage_90 and mean pinball loss.

    Two forecast tables of one model's decisions; outcomes that have not matured are left out.
    """
    return (
        _scored(raw, calibrated)
        .group_by("variant", "split", "horizon", year=pl.col("date").dt.year(), maintain_order=True)
        .agg(pl.len().alias("outcomes"), pl.col("coverage_95", "coverage_90", "pinball").mean())
        .sort("variant", "split", "horizon", "year", descending=[True, False, False, False])
    )


def calibration_curves(raw: pl.DataFrame, calibrated: pl.DataFrame) -> "Figure":
    """Coverage of the 95 % band by month of the decision, per horizon, validation months included."""
    months = (
        _scored(raw, calibrated)
        .group_by("variant", "horizon", month=pl.col("date").dt.truncate("1mo"), maintain_order=True)
        .agg(pl.col("coverage_95").mean())
        .sort("month")
    )
    horizons = sorted(months["horizon"].unique().to_list())
    figure, plots = canvas("Coverage of the 95 % band by month", height=2.9, panels=max(len(horizons), 1))
    for plot, horizon in zip(plots, horizons, strict=False):
        plot.axhline(0.95, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for variant, colour in zip(VARIANTS, PALETTE[1::-1], strict=True):
            line = months.filter(pl.col("horizon") == horizon, pl.col("variant") == variant)
            plot.plot(line["month"].to_numpy(), line["coverage_95"].to_numpy(), color=colour, label=variant)
        plot.set_title(f"h = {horizon}", fontsize=SMALL, color=INK)
        shown = line["month"].to_list()[:: 1 + line.height // 3]
        plot.set_xticks(shown, [month.strftime("%m/%y") for month in shown])
    plots[0].yaxis.set_major_formatter(lambda value, _: percent(value))
    plots[0].legend(fontsize=SMALL, frameon=False)
    return figure


def _scored(raw: pl.DataFrame, calibrated: pl.DataFrame) -> pl.DataFrame:
    """Both tables, one below the other, with variant, coverage_95, coverage_90 and pinball of each matured row."""
    parts = []
    for variant, table in zip(VARIANTS, (raw, calibrated), strict=True):
        matured = table.filter(pl.col("y").is_not_null())
        losses = pinball(matured["y"].to_numpy(), matured.select(QUANTILE_COLUMNS).to_numpy(), levels=QUANTILES)
        parts.append(
            matured.select(
                "date",
                "split",
                "horizon",
                variant=pl.lit(variant),
                coverage_95=pl.col("y").is_between("q025", "q975").cast(pl.Float64),
                coverage_90=pl.col("y").is_between("q05", "q95").cast(pl.Float64),
                pinball=pl.Series(losses.mean(axis=-1), dtype=pl.Float64),
            )
        )
    return pl.concat(parts)
