"""One file of the raw panel: where it is, when it arrived, how it is read, and how its rows are numbered."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.core.specs import PanelSpec

ROWS_PER_LINE = 1 << 20
"""An entry is ``line * ROWS_PER_LINE + k``: the k-th row that a line holds; a line of a wide table holds one a ticker."""
SUFFIXES = (".gzip", ".gz", ".csv", ".txt", ".tsv", ".parquet", ".pq")


@dataclass(frozen=True)
class InputFile:
    """A file that is read, the name that people are told, and when it arrived.

    ``constants``: fields that hold for all of its rows (``ticker``). ``options``: settings of ``PanelSpec`` for this file.
    """

    path: Path
    name: str
    arrived: dt.datetime | None = None  # in UTC; None is history: each row was known on its own date
    constants: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Return the name without folders and without .csv, .csv.gz, .parquet and the like."""
        name = self.path.name
        while (lower := name.lower()) and (suffix := next((s for s in SUFFIXES if lower.endswith(s)), None)):
            name = name[: -len(suffix)]
        return name

    def spec(self, panel: PanelSpec) -> PanelSpec:
        """Return the settings that this file is read by: the panel's, with its own options over them."""
        columns = {name: (spelling, *panel.columns.get(name, ())) for name, spelling in self._columns().items()}
        own = {name: value for name, value in self.options.items() if name != "columns"}
        return panel.model_copy(update=own | ({"columns": dict(panel.columns) | columns} if columns else {}))

    def _columns(self) -> dict[str, str]:
        named: dict[str, str] = self.options.get("columns", {})
        return named


def line_of(entry: str) -> pl.Expr:
    """Return the line (1-based, the header counts) of the column ``entry``, as UInt32."""
    return (pl.col(entry) // ROWS_PER_LINE).cast(pl.UInt32)
