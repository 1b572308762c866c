"""Figure of a network's selection weights and of its attention to past sessions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forecast_assets.core.report.figure_style import INK, MUTED, PALETTE, SMALL, note, percent, two_panels, widen_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12
"""Variables that are drawn; the rest are added up."""


def ranked(weights: Sequence[float], names: Sequence[str], *, shown: int = SHOWN) -> dict[str, float]:
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
