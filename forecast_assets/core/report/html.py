"""The reports: each one HTML file that needs no network and no script, and reads well on a phone."""

import math
import re
from collections.abc import Mapping
from typing import Any

SECTIONS = ("equity", "drawdown", "yearly", "pinball", "coverage", "pit", "fan", "importance", "training")
"""Where a figure goes: the part of its name before the colon, so "fan:BMW.DE" and "fan:AAPL" stand side by side."""


ABLATION_SECTIONS = ("steps", "yearly", "matrix")


def render_backtest_report(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The report as HTML.

    ``summary`` is what ``summary.summarise`` returns (or metrics.json read back); ``figures`` are ``<svg>`` elements
    from ``figure.to_svg`` under names whose part before a colon is one of ``SECTIONS``; a section without a figure
    goes without. Every text is escaped, and the page forbids scripts and requests by its own policy. Undefined
    numbers print as "-". Raises ValueError on a figure that is not an ``<svg>`` element or has no section.
    """
    return _render("backtest.html.j2", summary, figures, SECTIONS)


def render_ablation_report(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The same for what ``ablation.ablation`` returns, with figures of ``ABLATION_SECTIONS``."""
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
    environment.filters |= {"percent": percent, "decimal": decimal, "points": points, "chance": chance, "fact": fact}
    placed: dict[str, list[Markup]] = {section: [] for section in sections}
    for name, svg in figures.items():
        section = name.split(":", maxsplit=1)[0]
        if section not in placed or not svg.startswith("<svg"):
            raise ValueError(f"figure {name!r}: must be an <svg> element named after one of {list(sections)}")
        placed[section].append(Markup(svg))  # to_svg has escaped its texts
    return environment.get_template(template).render(summary=summary, figures=placed)


def percent(value: float | None, digits: int = 1) -> str:
    """0.1234 -> "12.3 %"; "-" where undefined."""
    return "-" if _undefined(value) else _signed(f"{100 * value:.{digits}f} %")  # type: ignore[operator]


def points(value: float | None, digits: int = 1) -> str:
    """A difference of returns in percentage points, always with its sign: 0.031 -> "+3.1"; "-" where undefined."""
    return "-" if _undefined(value) else _signed(f"{100 * value:+.{digits}f}")  # type: ignore[operator]


def decimal(value: float | None, digits: int = 2) -> str:
    """A plain number with narrow spaces between thousands; "-" where undefined."""
    return "-" if _undefined(value) else _signed(f"{value:,.{digits}f}").replace(",", "\u202f")


def chance(p_value: float | None) -> str:
    """A p value with three digits: 0.0321 -> "0.032", and "<0.001" rather than a zero; "-" where undefined."""
    return "<0.001" if not _undefined(p_value) and p_value < 0.0005 else decimal(p_value, 3)  # type: ignore[operator]


def fact(value: Any) -> str:
    """Any fact as one line: lists with commas, mappings as name value pairs, nothing as "-"."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {fact(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(fact(item) for item in value) or "-"
    if isinstance(value, bool) or value is None or _undefined(value):
        return {True: "yes", False: "no"}.get(value, "-") if isinstance(value, bool) else "-"
    return decimal(value, 0) if isinstance(value, int) else str(value)


def _undefined(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _signed(text: str) -> str:
    """A true minus sign, and no sign on a number that rounds to zero."""
    rounded_away = not re.search(r"[1-9]", text)
    return text.lstrip("+-") if rounded_away else text.replace("-", "\u2212")
