"""Read Parquet tables block by block, of whatever types their columns are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.delivery import NO_ROWS, Delivery, long_rows
from forecast_assets.core.panel.adapters.layouts import OPTIONS, Layout, recognise
from forecast_assets.core.panel.entries import entries
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import PanelSpec

BLOCK_ROWS = 500_000  # rows of a file that are read at a time
MAGIC = b"PAR1"


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file of a known layout."""

    file: InputFile
    layout: Layout
    names: list[str]
    rows: int

    def blocks(self) -> Iterator[Delivery]:
        """Yield the rows, some at a time. Raises BadInput for a file that can't be read."""
        used = sorted({*self.layout.places.values(), *(column.place for column in self.layout.wide)})
        for offset in range(0, self.rows, BLOCK_ROWS):
            try:
                # A folder named Ticker=AAPL is read off the path, not by this reader.
                scan = pl.scan_parquet(self.file.path, hive_partitioning=False, glob=False)
                frame = scan.select([self.names[place] for place in used]).slice(offset, BLOCK_ROWS).collect()
            except pl.exceptions.PolarsError as error:
                raise _unreadable(self.file, error) from error
            table = frame.rename({self.names[place]: f"column {place}" for place in used})
            # Line 1 is the header, as in the CSV of the same table.
            lines = pl.int_range(offset + 2, offset + 2 + frame.height, eager=True, dtype=pl.UInt32)
            values = long_rows(table, entries(lines), self.layout)
            yield Delivery(self.file.name, values, NO_ROWS, None, values)


def is_parquet(path: Path) -> bool:
    """Return whether a file is Parquet, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def parquet_columns(file: InputFile) -> tuple[list[str], int]:
    """Return names of columns and number of rows. Raises BadInput for a file that can't be read."""
    try:
        return list(pl.read_parquet_schema(file.path)), pq.read_metadata(file.path).num_rows
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def open_parquet(file: InputFile, spec: PanelSpec) -> ParquetTable:
    """Find the layout of a Parquet file. Raises BadInput for a file that can't be read or is no table of prices."""
    try:
        schema, rows = pl.read_parquet_schema(file.path), pq.read_metadata(file.path).num_rows
        head = pl.scan_parquet(file.path, hive_partitioning=False, glob=False).head(3).collect() if rows else None
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    names = list(schema)
    if head is None:
        raise BadInput(f"{file.name}: the file has columns but no rows")
    # The names that pandas gives an index without one: only a column of days may be the date.
    days = [pl.Date, pl.Datetime]
    shown = ["index" if n.startswith("__index_level_") and schema[n].base_type() in days else n for n in names]
    if "index" in shown and shown[0] != "index":
        place = shown.index("index")
        shown[place] = spec.columns["date"][0]
    sample = [["" if value is None else str(value) for value in row] for row in head.iter_rows()]
    layout = recognise([shown, *sample], file, spec)
    if layout is None:
        raise BadInput(
            f"{file.name}: its columns {names} are no table of prices; name them in {OPTIONS}: "
            "columns: {date: NAME, open: NAME, close: NAME}"
        )
    for place in {*layout.places.values(), *(column.place for column in layout.wide)}:
        kind = schema[names[place]]
        if kind.is_nested() or isinstance(kind, pl.BaseExtension):
            raise BadInput(
                f"{file.name}: its column {names[place]} is of type {kind}; write it as dates, numbers or text"
            )
    return ParquetTable(file, layout, names, rows)


def _unreadable(file: InputFile, error: Exception) -> BadInput:
    problem = str(error).strip().split("\n")[0]
    if not is_parquet(file.path):
        return BadInput(
            f"{file.name}: not a readable Parquet file, whatever its name says; name it after what it is (.csv)"
        )
    return BadInput(f"{file.name}: not a readable Parquet file ({problem})")
