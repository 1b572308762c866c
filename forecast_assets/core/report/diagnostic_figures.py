"""Figures of one fold's diagnostics: calibration, members, experts, neighbours, selection weights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.calibration_effect import VARIANTS, scored_variants
from forecast_assets.core.evaluation.experts import share_matrix
from forecast_assets.core.evaluation.members import ENSEMBLE, SPLITS
from forecast_assets.core.evaluation.neighbours import NAMED_NEIGHBOURS, most_moved
from forecast_assets.core.report.figure_style import (
    INK,
    MUTED,
    PALETTE,
    SMALL,
    canvas,
    note,
    percent,
    two_panels,
    widen_left,
    wrapped,
)
from forecast_assets.core.report.figures import year_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_VARIABLES = 12  # selection weights that are drawn; the rest are added up


def calibration_curves(raw: pl.DataFrame, calibrated: pl.DataFrame) -> "Figure":
    """Draw the coverage of the 95 % band by month of the forecast, per horizon, validation months included."""
    months = (
        scored_variants(raw, calibrated)
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


def contribution_bars(added: pl.DataFrame) -> "Figure":
    """Draw per split and member the pinball of it alone, and of the ensemble without it, in % above the ensemble's."""
    figure, plots = canvas(
        "Pinball above the ensemble's (%): one member alone, all others without it", height=2.9, panels=2
    )
    for plot, split in zip(plots, SPLITS, strict=True):
        rows = added.filter((pl.col("split") == split) & (pl.col("member") != ENSEMBLE))
        whole = added.filter((pl.col("split") == split) & (pl.col("member") == ENSEMBLE))["alone"]
        place = np.arange(rows.height)
        for shift, column, colour in ((-0.2, "alone", PALETTE[0]), (0.2, "without", PALETTE[1])):
            excess = (100.0 * (rows[column] / whole[0] - 1.0)).fill_null(float("nan")) if whole[0] else []
            if len(excess):
                plot.barh(place + shift, np.asarray(excess), height=0.38, color=colour, label=column)
        plot.axvline(0.0, color=INK, linewidth=1)
        plot.set_title(split, fontsize=SMALL, color=INK)
    plots[0].set_yticks(
        place, [wrapped(name) for name in rows["member"]], fontsize=SMALL
    )  # the panels share their scale
    plots[0].invert_yaxis()
    plots[0].legend(fontsize=SMALL, frameon=False)
    return figure


def experts_figure(title: str, shares: pl.DataFrame) -> "Figure":
    """Draw the experts' shares of a date's forecasts, stacked, over VIX where there is one."""
    figure, upper, lower = two_panels(title, height=4.4, heights=(2, 1))
    upper.sharex(lower)
    upper.tick_params(labelbottom=False)
    table, days = share_matrix(shares), shares["date"].to_numpy()
    upper.stackplot(days, table.T, colors=[PALETTE[k % len(PALETTE)] for k in range(table.shape[1])], alpha=0.8)
    upper.set_ylim(0, 1)
    upper.yaxis.set_major_formatter(lambda value, _: percent(value))
    middle = np.cumsum(table[-1]) - table[-1] / 2
    for k, height in enumerate(middle):
        if table[-1, k] > 0.04:  # a narrower band holds no number
            note(upper, days[-1], height, f" {k + 1}", va="center", color=INK)
    lower.plot(days, shares["vix"].to_numpy(), color=INK, linewidth=1.0)
    lower.set_ylabel("VIX", fontsize=SMALL, color=MUTED)
    lower.yaxis.set_major_formatter(lambda value, _: percent(value))
    year_axis(lower)
    return figure


def neighbours_figure(title: str, table: pl.DataFrame) -> "Figure":
    """Draw bars of what the first neighbours, with their correlations, added to the medians of the most moved tickers."""
    from matplotlib.ticker import MaxNLocator

    moved = most_moved(table)
    figure, (plot,) = canvas(title, height=1.0 + 0.6 * max(1, len(moved)), panels=1)
    widen_left(figure, 0.03)
    place = np.arange(len(moved))[::-1].astype(float)
    for k in range(NAMED_NEIGHBOURS):
        at = [
            (y - 0.29 * (k - 1), of["neighbours"][k])
            for y, of in zip(place, moved, strict=True)
            if k < len(of["neighbours"])
        ]
        plot.barh(
            [y for y, _ in at], [1e4 * one["added"] for _, one in at], height=0.24, color=PALETTE[0], alpha=1 - 0.25 * k
        )
        for y, one in at:
            correlation = "" if one["correlation"] is None else f" {one['correlation']:+.2f}"
            side = "left" if one["added"] >= 0 else "right"
            note(plot, 1e4 * one["added"], y, f" {one['neighbour']}{correlation} ", ha=side, va="center", color=INK)
    plot.set_yticks(place, [of["ticker"] for of in moved], fontsize=SMALL)
    plot.axvline(0, color=MUTED, linewidth=0.8)
    plot.margins(x=0.5, y=0.02)
    plot.xaxis.set_major_locator(MaxNLocator(nbins=4))
    plot.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
    plot.set_xlabel("added to the next session's median, basis points", fontsize=SMALL, color=MUTED)
    return figure


def ranked(weights: Sequence[float], names: Sequence[str], *, shown: int = SHOWN_VARIABLES) -> dict[str, float]:
    """Return the variables by weight, the largest first, those beyond ``shown`` added up as one."""
    order = sorted(zip(names, map(float, weights), strict=True), key=lambda item: (-item[1], item[0]))
    rest = order[shown:]
    return dict(order[:shown]) | ({f"{len(rest)} others": sum(weight for _, weight in rest)} if rest else {})


def explanation_figure(title: str, *, variables: Mapping[str, float], attention: Sequence[float]) -> "Figure":
    """Draw bars of ``variables`` (name -> weight) above the ``attention`` to each session of the window, oldest first."""
    figure, bars, lines = two_panels(title, height=4.6, heights=(2, 1))
    widen_left(figure, 0.05)
    place = np.arange(len(variables))[::-1]
    bars.barh(place, list(variables.values()), color=PALETTE[0], height=0.7)
    bars.set_yticks(place, list(variables), fontsize=SMALL)
    bars.xaxis.set_major_formatter(lambda value, _: percent(value))
    bars.set_xlim(right=1.15 * max(variables.values()))
    for at, weight in zip(place, variables.values(), strict=True):
        note(bars, weight, at, f" {weight:.0%}", va="center", color=INK)
    sessions = np.arange(1 - len(attention), 1)
    lines.fill_between(sessions, 0, attention, color=PALETTE[0], alpha=0.25, linewidth=0)
    lines.plot(sessions, attention, color=PALETTE[0], linewidth=1.4)
    lines.axhline(1 / len(attention), color=MUTED, linewidth=0.8, linestyle=":")
    lines.set_xlabel("sessions before the forecast (dotted: equal attention)", fontsize=SMALL, color=MUTED)
    lines.set_ylim(bottom=0)
    lines.yaxis.set_major_formatter(lambda value, _: percent(value, digits=1))
    return figure
