"""Variable selection weights of the networks by year, and how stable they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forecast_assets.core.report.titles import listed, title

Weights = Mapping[str, Any]
"""Selection weights of one network and year, averaged over forecasts: ``variables`` (name -> weight, adding up to 1) and
more; empty for a network without selection weights.
"""


def importance(found: Mapping[str, Mapping[int, Weights | None]]) -> dict[str, Any]:
    """Return networks (model, years, variables, moved) and sentences for the report.

    ``found``: by network and year; None where the fold was published without. ``variables``: name and its weight in each
    of ``years``, the heaviest first; ``moved``: mean share of the weight that moves to other variables from one year to
    the next (None for a single year).
    """
    networks = []
    for model, by_year in found.items():
        weighed = {year: weights["variables"] for year, weights in sorted(by_year.items()) if weights}
        if weighed:
            networks.append({"model": model, "years": list(weighed), **_over_years(list(weighed.values()))})
    without = [model for model, years in found.items() if any(w is not None and not w for w in years.values())]
    unknown = {model: [year for year, w in sorted(years.items()) if w is None] for model, years in found.items()}
    sentences = [_stability(entry) for entry in networks]
    if without:
        sentences.append(f"{listed(without)}: no selection weights, since all variables enter alike.")
    for years in dict.fromkeys(tuple(years) for years in unknown.values() if years):
        models = [model for model, absent in unknown.items() if tuple(absent) == years]
        sentences.append(
            f"{listed(models)}, {_span(years)}: these folds were trained before weights were published; train them again "
            "to see them."
        )
    return {"networks": networks, "sentences": sentences}


def _over_years(years: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    names = sorted({name for weights in years for name in weights})
    table = np.array([[weights.get(name, 0.0) for name in names] for weights in years])  # (years, variables)
    order = sorted(range(len(names)), key=lambda k: (-table[:, k].mean(), names[k]))
    moved = float(np.abs(np.diff(table, axis=0)).sum(axis=1).mean() / 2) if len(years) > 1 else None
    return {"variables": [{"name": names[k], "weights": table[:, k].tolist()} for k in order], "moved": moved}


def _stability(entry: Mapping[str, Any]) -> str:
    top = ", ".join(f"{v['name']} {np.mean(v['weights']):.0%}" for v in entry["variables"][:3]).replace("%", "\u00a0%")
    heaviest = f"{title(entry['model'])}: most weight on {top}, of {len(entry['variables'])} variables"
    if entry["moved"] is None:
        return f"{heaviest}; one year does not show how stable that is."
    moved = f"{100 * entry['moved']:.0f}\u00a0%"
    return f"{heaviest}; from one year to the next {moved} of the weight moves to other variables."


def _span(years: Sequence[int]) -> str:
    whole = list(years) == list(range(years[0], years[-1] + 1))
    return f"{years[0]} to {years[-1]}" if whole and len(years) > 2 else ", ".join(map(str, years))
