"""Numbers as report texts: percentages, percentage points, basis points, p values, horizons; "-" where undefined."""

import math
import re
from collections.abc import Mapping
from typing import Any


def percent(value: float | None, digits: int = 1) -> str:
    """0.1234 -> "12.3 %"."""
    return "-" if _undefined(value) else _signed(f"{100 * value:.{digits}f} %")  # type: ignore[operator]


def signed_percent(value: float | None, digits: int = 1) -> str:
    """A change, always with its sign: 0.031 -> "+3.1 %"."""
    return "-" if _undefined(value) else _signed(f"{100 * value:+.{digits}f} %")  # type: ignore[operator]


def points(value: float | None, digits: int = 1) -> str:
    """A difference of returns in percentage points, always with its sign: 0.031 -> "+3.1"."""
    return "-" if _undefined(value) else _signed(f"{100 * value:+.{digits}f}")  # type: ignore[operator]


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with narrow spaces between thousands."""
    return "-" if _undefined(value) else _signed(f"{value:,.{digits}f}").replace(",", "\u202f")


def basis_points(value: float | None) -> str:
    """0.00123 -> "12.3"."""
    return "-" if _undefined(value) else decimal(1e4 * value, 1)  # type: ignore[operator]


def p_value(value: float | None) -> str:
    """0.0321 -> "0.032", and "<0.001" rather than a zero."""
    return "<0.001" if not _undefined(value) and value < 0.0005 else decimal(value, 3)  # type: ignore[operator]


def session_count(horizon: int) -> str:
    """1 -> "1 session"."""
    return f"{horizon} session" + ("s" if horizon != 1 else "")


FACT_NAMES = {"fits": "fits behind this report", "versions": "package versions"}
"""Of facts whose keys mean something narrower than they say: the trials counted in the verdict are not the fits alone."""


def fact_name(key: str) -> str:
    """The name of a fact of the run: "panel_rows" -> "panel rows"."""
    return FACT_NAMES.get(key, key.replace("_", " "))


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
