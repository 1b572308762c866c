"""The report's part on the coverage contract: its verdict, its sentences and its figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.coverage_cells import EVERYTHING, outside_limits
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.report.figure_style import GRID, INK, MUTED, PALETTE, SMALL, canvas
from forecast_assets.core.report.formats import percent, session_count
from forecast_assets.core.report.titles import title
from forecast_assets.core.report.verdicts import verdict
from forecast_assets.core.specs import CoverageSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUP_TITLES = {
    EVERYTHING: "All forecasts",
    "exchange": "Exchange (tickers)",
    "sector": "Sector",
    "volatility": "Width of the band",
    "liquidity": "Traded value",
    "weekday": "Weekday",
}
NOMINAL, LEAST_SPAN = 0.95, (0.895, 0.99)  # coverage: nominal, and what the figures show at least
CONTRACT = ("exchange", "volatility")  # groups with limits; the figure of the others stands beside theirs
ENDS = {
    ("volatility", "1"): "narrowest",
    ("volatility", "10"): "widest",
    ("liquidity", "1"): "least",
    ("liquidity", "10"): "most",
}


class CoverageContract(NamedTuple):
    """Coverage over all test years, and what was promised of it."""

    cells: pl.DataFrame  # from ``coverage_cells``
    limits: CoverageSpec


def cell_title(cell: Mapping[str, Any]) -> str:
    """Return what readers see of a cell: the exchange with its tickers, a decile with its end."""
    if cell["group"] == "exchange":
        return f"{cell['cell']} ({cell['tickers']})"
    end = ENDS.get((cell["group"], cell["cell"]))
    return f"{cell['cell']} ({end})" if end else str(cell["cell"])


def cell_in_words(cell: Mapping[str, Any]) -> str:
    """Return a cell with its coverage, interval and limits as one clause."""
    group = "exchange" if cell["group"] == "exchange" else "tenth of bands by width"
    covered = (
        f"{percent(cell['coverage_95'])} [{percent(cell['coverage_95_low'])}, {percent(cell['coverage_95_high'])}]"
    )
    allowed = f"{percent(cell['limit_low'], 0)} to {percent(cell['limit_high'], 0)}"
    return f"{group} {cell_title(cell)}, {session_count(cell['horizon'])}: {covered}, allowed {allowed}"


def contract_verdict(cells: pl.DataFrame, *, model: str) -> dict[str, Any]:
    """Return whether the model's 95 % band keeps the contract in every cell that has limits, over all years.

    ``cells``: from ``coverage_cells``. By the estimates; the intervals stand in the report.
    """
    claim = f"Calibration: the 95 % band of {title(model)} on every exchange and in every tenth of bands by width"
    judged = cells.filter((pl.col("model") == model) & pl.col("limit_low").is_not_null())
    if judged.is_empty():
        return verdict(
            claim, "not tested", "No exchange has enough tickers, and no forecast of a test year has matured."
        )
    outside = outside_limits(judged)

    def counted(group: str) -> str:
        found, of = (table.filter(pl.col("group") == group).height for table in (outside, judged))
        return f"{found} of {of} outside"

    counts = f"Exchanges, next session: {counted('exchange')}; tenths by width, every horizon: {counted('volatility')}"
    worst = f" The worst, {cell_in_words(outside.row(0, named=True))}." if outside.height else ""
    return verdict(claim, "met" if outside.is_empty() else "missed", f"{counts}.{worst}")


def is_outside(cell: Mapping[str, Any]) -> bool:
    """Return whether the estimate lies outside the cell's limits, if it has any."""
    return cell["limit_low"] is not None and not cell["limit_low"] <= cell["coverage_95"] <= cell["limit_high"]


def coverage_table(cells: Sequence[Mapping[str, Any]], *, model: str) -> list[dict[str, Any]]:
    """Return the model's cells as the report's rows: heading (on a group's first row), cell, and by horizon its scores.

    ``cells``: of metrics.json. ``outside``: whether the estimate lies outside the cell's limits.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in (cell for cell in cells if cell["model"] == model):
        key = (cell["group"], cell["cell"])
        row = rows.setdefault(key, {"group": GROUP_TITLES[key[0]], "cell": cell_title(cell), "horizons": {}})
        row["horizons"][cell["horizon"]] = {**cell, "outside": is_outside(cell)}
    seen: set[str] = set()
    for row in rows.values():
        row["heading"] = "" if row["group"] in seen else row["group"]
        seen.add(row["group"])
    return list(rows.values())


def coverage_by_cell(cells: Sequence[Mapping[str, Any]], *, groups: Sequence[str], heading: str) -> "Figure":
    """Draw coverage of the 95 % band with its interval by cell, a plot per horizon, beside nominal and, shaded, the limits.

    ``cells``: of one model; those of ``groups`` are drawn from top to bottom. Orange: the estimate is outside the limits.
    """
    places, headings = _rows(cells, groups)
    figure, plots = canvas(heading, height=0.9 + 0.18 * (len(places) + len(headings)), panels=len(HORIZONS))
    for plot, horizon in zip(plots, HORIZONS, strict=True):
        plot.set_title(session_count(horizon), fontsize=SMALL, color=INK)
        plot.axvline(NOMINAL, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for cell in cells:
            at = places.get((cell["group"], cell["cell"]))
            if at is not None and cell["horizon"] == horizon:
                _draw_cell(plot, at, cell)
        plot.grid(visible=False, axis="y")
        plot.tick_params(axis="y", length=0)
        plot.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
        plot.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10])
        plot.set_ylim(len(places) + len(headings) - 0.4, -0.6)
    # All horizons on one scale, and never so fine that a half of a percent looks like a gap.
    low, high = (
        min(LEAST_SPAN[0], *(p.get_xlim()[0] for p in plots)),
        max(LEAST_SPAN[1], *(p.get_xlim()[1] for p in plots)),
    )
    for plot in plots:
        plot.set_xlim(max(low, 0.0), min(high, 1.005))
    names = {(cell["group"], cell["cell"]): cell_title(cell) for cell in reversed(cells)}  # the first horizon's stay
    labels = headings | {at: names[key] for key, at in places.items()}
    plots[0].set_yticks(list(labels), list(labels.values()), color=INK, fontsize=SMALL - 1, parse_math=False)
    for label, at in zip(plots[0].get_yticklabels(), labels, strict=True):
        label.set_fontweight("bold" if at in headings else "normal")
    figure.supxlabel("% of outcomes inside the 95 % band", fontsize=SMALL, color=MUTED)
    return figure


def _rows(
    cells: Sequence[Mapping[str, Any]], groups: Sequence[str]
) -> tuple[dict[tuple[str, str], int], dict[int, str]]:
    """Return the row of each cell (group, cell), and the headings above the groups by row; row 0 is at the top."""
    places: dict[tuple[str, str], int] = {}
    headings: dict[int, str] = {}
    for group in groups:
        for key in dict.fromkeys((cell["group"], cell["cell"]) for cell in cells if cell["group"] == group):
            if GROUP_TITLES[group] not in headings.values():
                headings[len(places) + len(headings)] = GROUP_TITLES[group]
            places[key] = len(places) + len(headings)
    return places, headings


def _draw_cell(plot: "Axes", at: int, cell: Mapping[str, Any]) -> None:
    low, high = cell["limit_low"], cell["limit_high"]
    if low is not None:
        plot.barh(at, high - low, left=low, height=0.9, color=GRID, linewidth=0)
    colour = PALETTE[1] if is_outside(cell) else PALETTE[0]
    ends = np.array([cell["coverage_95_low"], cell["coverage_95_high"]], dtype=np.float64)  # null is drawn as nothing
    plot.hlines(at, *ends, color=colour, linewidth=1.6)
    plot.plot(cell["coverage_95"], at, "o", color=colour, markersize=3.6)


def coverage_figures(cells: Sequence[Mapping[str, Any]], *, model: str) -> "dict[str, Figure]":
    """Return the section's figures: the groups with limits, and the others."""
    own = [cell for cell in cells if cell["model"] == model]
    if not own:
        return {}
    others = [group for group in GROUP_TITLES if group not in CONTRACT]
    return {
        "cells:contract": coverage_by_cell(
            own, groups=CONTRACT, heading="Coverage by exchange and by width of the band"
        ),
        "cells:others": coverage_by_cell(own, groups=others, heading="Coverage by sector, liquidity and weekday"),
    }
