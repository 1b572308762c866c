"""HTML of the two reports: one file each, without network access or scripts, readable on a phone."""

from collections.abc import Mapping
from typing import Any

from forecast_assets.core.backtest.costs import cost_in_words
from forecast_assets.core.report.coverage import coverage_table
from forecast_assets.core.report.formats import basis_points, decimal, fact, fact_name, p_value, percent
from forecast_assets.core.report.titles import NOTE, listed, title

SECTIONS = (
    "equity",
    "risk",
    "drawdown",
    "yearly",
    "pinball",
    "coverage",
    "pit",
    "fan",
    "factor",
    "cells",
    "importance",
    "training",
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
}


def render_backtest_report(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """Return the backtest report as HTML.

    ``summary``: from ``summary.summarise`` (or metrics.json read back); ``figures``: ``<svg>`` elements from
    ``figure_style.to_svg`` under names whose part before a colon is one of ``SECTIONS``; a section may have none. Every
    text is escaped, and the page's policy forbids scripts and requests. Undefined numbers print as "-". Raises
    ValueError on a figure that is not an ``<svg>`` element or has no section.
    """
    return _render("backtest.html.j2", summary, figures, SECTIONS)


def render_ablation_report(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """Return the ablation report of ``ablation.ablation``'s summary, with figures of ``ABLATION_SECTIONS``."""
    return _render("ablation.html.j2", summary, figures, ABLATION_SECTIONS)


def _render(template: str, summary: Mapping[str, Any], figures: Mapping[str, str], sections: tuple[str, ...]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("forecast_assets.core.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    placed: dict[str, list[Markup]] = {section: [] for section in sections}
    for name, svg in figures.items():
        section = name.split(":", maxsplit=1)[0]
        if section not in placed or not svg.startswith("<svg"):
            raise ValueError(f"figure {name!r}: must be an <svg> element named after one of {list(sections)}")
        placed[section].append(Markup(svg))  # to_svg has escaped its texts
    return environment.get_template(template).render(summary=summary, figures=placed, title_note=NOTE)
