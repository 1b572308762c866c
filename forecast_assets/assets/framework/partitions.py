"""The partitions of the graph."""

import dagster as dg

years = dg.DynamicPartitionsDefinition(name="year")
"""Test years. ``raw_panel`` registers the panel's own, since yearly time windows would follow the wall clock."""

days = dg.DynamicPartitionsDefinition(name="day")
"""Nights: the panel's sessions, ISO dates; ``raw_panel`` registers the last ones of each run."""
