"""The models in order of their forecasts: a row each, averages over the horizons."""

from collections.abc import Mapping, Sequence
from typing import Any


def leaderboard(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the models of a report's summary, best first: model, ratio, ratios (by horizon), coverage_95, coverage_90,
    rank_ic, and sharpe, turnover of the book of the same name.

    ``ratio``: the mean over horizons of the pinball loss relative to the baseline's. A model that lacks one of the horizons
    has no mean and stands last; so does every number that is undefined. A model without a book has None there.
    """
    scores: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in summary["forecasts"]:
        scores.setdefault(row["model"], {})[row["horizon"]] = row
    horizons = sorted({row["horizon"] for row in summary["forecasts"]})
    books = {row["strategy"]: row for row in summary["strategies"]}
    rows = []
    for model, by_horizon in scores.items():
        ratios = [by_horizon.get(horizon, {}).get("pinball_ratio") for horizon in horizons]
        means = {
            name: _mean([by_horizon.get(horizon, {}).get(name) for horizon in horizons])
            for name in ("coverage_95", "coverage_90", "rank_ic")
        }
        book = {name: books.get(model, {}).get(name) for name in ("sharpe", "turnover")}
        ratio = dict(zip(horizons, ratios, strict=True))
        rows.append({"model": model, "ratio": _mean(ratios), "ratios": ratio, **means, **book})
    return sorted(rows, key=lambda row: (row["ratio"] is None, row["ratio"] or 0.0, row["model"]))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if values and len(known) == len(values) else None
