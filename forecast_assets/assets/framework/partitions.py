"""The partitions of the graph."""

from collections.abc import Sequence

import dagster as dg

years = dg.DynamicPartitionsDefinition(name="year")
"""Test years. ``raw_panel`` registers the panel's own, since yearly time windows would follow the wall clock."""

days = dg.DynamicPartitionsDefinition(name="day")
"""Nights: the panel's sessions from the first night on, ISO dates; ``raw_panel`` registers them, see ``due_days``."""


def due_days(sessions: Sequence[str], *, nights: Sequence[str]) -> list[str]:
    """Return the sessions whose night was or is due: those from the first of the committed ``nights`` on, and the last one.

    Any other was never due, and would be shown as missing. All are ISO dates in order; there is at least one session.
    """
    return [day for day in sessions if day == sessions[-1] or (nights and day >= nights[0])]
