"""HTML of the two reports: one file each, without network access, readable on a phone, on paper and in the dark.

The backtest report has one script, which sorts tables, filters plots by ticker and reads them off. The page's policy names
it by its digest, and all can be read without.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forecast_assets.core.backtest.costs import cost_in_words
from forecast_assets.core.report.coverage import coverage_table
from forecast_assets.core.report.figure_style import GRID, INK, MUTED, PALETTE
from forecast_assets.core.report.forest import forest
from forecast_assets.core.report.formats import basis_points, decimal, fact, fact_name, p_value, percent
from forecast_assets.core.report.leaderboard import leaderboard
from forecast_assets.core.report.tear_sheet import MONTHS, heat_cells
from forecast_assets.core.report.titles import NOTE, listed, title

if TYPE_CHECKING:
    from jinja2 import Environment

SECTIONS = (
    "equity",
    "risk",
    "rolling",
    "drawdown",
    "losses",
    "yearly",
    "pinball",
    "coverage",
    "pit",
    "fan",
    "fans",
    "factor",
    "cells",
    "importance",
    "training",
    "survivorship",
)
"""Where a figure goes: the part of its name before the colon, so "fan:BMW.DE" and "fan:AAPL" stand side by side."""

ABLATION_SECTIONS = ("steps", "yearly", "matrix")

FILTERS = {
    "percent": percent,
    "decimal": decimal,
    "p_value": p_value,
    "basis_points": basis_points,
    "fact": fact,
    "fact_name": fact_name,
    "title": title,
    "titles": listed,
    "costs": cost_in_words,
    "coverage_table": coverage_table,
    "forest": forest,
    "heat_cells": heat_cells,
    "leaderboard": leaderboard,
}

THEME = {
    "#ffffff": "paper",
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    **{colour.lower(): f"c{k}" for k, colour in enumerate(PALETTE)},
}
"""Colours of the figures -> the page's custom properties, which differ in the dark."""


def render_backtest_report(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """Return the backtest report as HTML.

    ``summary``: from ``summary.summarise`` (or metrics.json read back); ``figures``: ``<svg>`` elements from
    ``figure_style.to_svg`` under names whose part before a colon is one of ``SECTIONS``; a section may have none. Every
    text is escaped, and the page's policy forbids requests and every script but its own. Undefined numbers print as "-".
    Raises ValueError on a figure that is not an ``<svg>`` element or has no section.
    """
    return _render("backtest.html.j2", summary, figures, SECTIONS)


def render_record_page(
    *, summary: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> str:
    """Return the sealed record as HTML: lines, a table (may be empty) and notes."""
    template = _environment().get_template("record.html.j2")
    return template.render(summary=summary, heads=heads, rows=rows, notes=notes)


def render_ablation_report(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """Return the ablation report of ``ablation.ablation``'s summary, with figures of ``ABLATION_SECTIONS``."""
    return _render("ablation.html.j2", summary, figures, ABLATION_SECTIONS)


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("forecast_assets.core.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment


def _render(template: str, summary: Mapping[str, Any], figures: Mapping[str, str], sections: tuple[str, ...]) -> str:
    from markupsafe import Markup

    environment = _environment()
    environment.globals["MONTHS"] = MONTHS
    placed: dict[str, list[Markup]] = {section: [] for section in sections}
    subjects: dict[str, list[str]] = {section: [] for section in sections}
    for name, svg in figures.items():
        section, _, subject = name.partition(":")
        if section not in placed or not svg.startswith("<svg"):
            raise ValueError(f"figure {name!r}: must be an <svg> element named after one of {list(sections)}")
        placed[section].append(Markup(themed(svg)))  # to_svg has escaped its texts
        subjects[section].append(subject)
    text = environment.get_template("report.js.j2").render()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    script = {"text": Markup(text), "digest": f"sha256-{digest}"}
    return environment.get_template(template).render(
        summary=summary, figures=placed, subjects=subjects, title_note=NOTE, script=script
    )


def themed(svg: str) -> str:
    """Return a figure whose colours in ``style`` attributes follow the page's theme, where it has one for them.

    >>> themed('<path style="fill: #1b1f24; stroke: #abcdef"/><text>#1b1f24</text>')
    '<path style="fill: var(--ink); stroke: #abcdef"/><text>#1b1f24</text>'
    """

    def replaced(style: re.Match[str]) -> str:
        return re.sub(r"#[0-9a-f]{6}", lambda found: _themed_colour(found[0]), style[0])

    return re.sub(r' style="[^"]*"', replaced, svg)


def _themed_colour(colour: str) -> str:
    return f"var(--{THEME[colour]})" if colour in THEME else colour
