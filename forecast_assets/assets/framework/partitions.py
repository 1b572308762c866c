"""The partitions of the graph."""

from collections.abc import Sequence

import dagster as dg

from forecast_assets.resources.panel_names import PanelNames

years = dg.DynamicPartitionsDefinition(name="year")
"""Test years. ``raw_panel`` registers the panel's own, since yearly time windows would follow the wall clock."""

days = dg.DynamicPartitionsDefinition(name="day")
"""Nights: the panel's sessions from the first night on, ISO dates; ``raw_panel`` registers them, see ``due_days``."""


def of_panel(
    partitions: dg.DynamicPartitionsDefinition | None, names: PanelNames
) -> dg.DynamicPartitionsDefinition | None:
    """Return the partitions of a panel's own; each panel has its own years and nights."""
    if partitions is None or not names.prefix:
        return partitions
    return dg.DynamicPartitionsDefinition(name=names.name(partitions.name or ""))


def due_days(sessions: Sequence[str], *, nights: Sequence[str]) -> list[str]:
    """Return the sessions whose night was or is due: those from the first of the committed ``nights`` on, and the last one.

    Any other was never due, and would be shown as missing. All are ISO dates in order; there is at least one session.
    """
    return [day for day in sessions if day == sessions[-1] or (nights and day >= nights[0])]
