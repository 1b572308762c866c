"""The verdicts as rows of a forest plot: estimate and interval on a scale that claims of one measure share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from forecast_assets.core.report.formats import decimal, points

MARGIN = 0.04  # of the scale, left free at either end


class Scale(NamedTuple):
    """How estimates of one measure are drawn and written."""

    heading: str
    reference: float  # no difference
    text: Callable[[float], str]


SCALES = {
    "loss ratio": Scale("Ratio of losses, below 1 is better", 1.0, lambda value: decimal(value, 4)),
    "annual return": Scale("Difference of annual net return in percentage points, above 0 is better", 0.0, points),
    "Sharpe ratio": Scale("Net Sharpe ratio, above 0 is better", 0.0, decimal),
}
"""By the ``measure`` of a verdict; one without a measure or an interval has no place on a scale."""

WITHOUT = "Judged without an interval"


def forest(verdicts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of the plot: heading, reference (a place, None without a scale) and rows.

    A row has claim, verdict, sentence, estimate and interval as texts, and the places at, low, high in percent of the
    scale's width, None without an interval. Groups stand in the order of ``SCALES``, rows in that of the verdicts.
    """
    entries = list(verdicts)
    groups = []
    for measure, scale in SCALES.items():
        rows = [entry for entry in entries if entry.get("measure") == measure and entry["low"] is not None]
        if rows:
            groups.append(_group(rows, scale))
    placed = {id(row["entry"]) for group in groups for row in group["rows"]}
    rest = [_row(entry) for entry in entries if id(entry) not in placed]
    return [*groups, *([{"heading": WITHOUT, "reference": None, "rows": rest}] if rest else [])]


def _group(entries: Sequence[Mapping[str, Any]], scale: Scale) -> dict[str, Any]:
    ends = [scale.reference, *(entry[name] for entry in entries for name in ("low", "high", "estimate"))]
    low, high = min(ends), max(ends)
    margin = MARGIN * (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - low + margin) / (high - low + 2 * margin), 2)

    rows = []
    for entry in entries:
        texts = {
            "estimate": scale.text(entry["estimate"]),
            "interval": f"{scale.text(entry['low'])} to {scale.text(entry['high'])}",
        }
        places = {"at": place(entry["estimate"]), "low": place(entry["low"]), "high": place(entry["high"])}
        rows.append(_row(entry) | texts | places)
    return {"heading": scale.heading, "reference": place(scale.reference), "rows": rows}


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: entry[name] for name in ("claim", "verdict", "sentence")}
    return {"entry": entry, **shown, "estimate": "-", "interval": "-", "at": None, "low": None, "high": None}
