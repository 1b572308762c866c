"""Folders of the project."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = PROJECT.parent / "shared" / "data"
"""The reference panels, where the checkout has them beside it."""

FULL_PANEL = REFERENCE / "panel.parquet"
PANEL_40 = REFERENCE / "panel_40.csv"
