"""One file of the raw panel: where it is, when it arrived and how it is read."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecast_assets.core.specs import PanelSpec

SUFFIXES = (".gzip", ".gz", ".csv", ".txt", ".tsv", ".parquet", ".pq")


@dataclass(frozen=True)
class InputFile:
    """A file that is read, the name that messages call it by, and when it arrived.

    ``constants``: fields that hold for all of its rows (``ticker``). ``options``: settings of ``PanelSpec`` for this file.
    """

    path: Path
    name: str
    arrived: dt.datetime | None = None  # in UTC; None is history: each row was known on its own date
    constants: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    declared_arrival: str | None = None  # as ``panel.yaml`` says it
    first_seen: dt.datetime | None = None  # when this content was first read, whatever is declared; None: unknown

    @property
    def stem(self) -> str:
        """Return the name without folders and without .csv, .csv.gz, .parquet and the like."""
        name = self.path.name
        while (lower := name.lower()) and (suffix := next((s for s in SUFFIXES if lower.endswith(s)), None)):
            name = name[: -len(suffix)]
        return name

    @property
    def declared_columns(self) -> dict[str, str]:
        """Return the columns of fields that ``panel.yaml`` names."""
        return self._table("columns")

    def spec(self, panel: PanelSpec) -> PanelSpec:
        """Return the settings that this file is read by: the panel's, with its own options over them."""
        columns = {name: (spelling, *panel.columns.get(name, ())) for name, spelling in self._table("columns").items()}
        tables = {
            "columns": dict(panel.columns) | columns,
            "tickers": self._table("tickers") | panel.tickers,
            "exchanges": panel.exchanges | self._table("exchanges"),
        }
        given = {name: value for name, value in self.options.items() if name not in tables}
        # What a command sets holds against what lies beside the file.
        defaults = PanelSpec.model_fields
        own = {name: value for name, value in given.items() if getattr(panel, name) == defaults[name].default}
        return panel.model_copy(update=own | tables)

    def _table(self, name: str) -> dict[str, str]:
        table: dict[str, str] = self.options.get(name, {})
        return table
