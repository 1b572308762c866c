"""The output of a stage, and how each kind of content is written."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from forecast_assets.store.artefact_files import plot_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Content = pl.DataFrame | Mapping[str, Any] | list[Any] | str | bytes | Callable[[Path], None]
"""A table (.parquet), tensors by name (.safetensors), JSON (.json), text or bytes, or a function that writes the file."""


SKIPPED = "skipped"
"""Fact of an output that could not be made: why. It is published empty, for what reads it, and no materialisation."""

ROW_GROUP = 100_000  # rows of a Parquet row group: what a reader of a few tickers has to decode at least


@dataclass(frozen=True)
class Check:
    """Outcome of one asset check."""

    passed: bool
    description: str
    metadata: Mapping[str, int | float | str] = field(default_factory=dict)
    warns: bool = False  # a failed one is a warning and not an error


@dataclass(frozen=True)
class Column:
    """What a column of a table is, and which columns of which parents it was made from."""

    description: str
    reads: tuple[tuple[str, str], ...] = ()  # (asset, column)


@dataclass(frozen=True)
class StageOutput:
    """Everything that one materialisation publishes, except files that the stage wrote to its output folder itself."""

    files: Mapping[str, Content] = field(default_factory=dict)
    facts: Mapping[str, int | float | str] = field(default_factory=dict)  # small numbers for people
    plots: Mapping[str, "Figure"] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    slices: Mapping[str, str] = field(default_factory=dict)  # digest of each year's rows
    seeds: tuple[int, ...] = ()
    columns: Mapping[str, "Column"] = field(default_factory=dict)  # of the main table

    def write(self, folder: Path) -> None:
        """Write the files and plots to ``folder``."""
        for name, content in self.files.items():
            write_content(content, folder / name)
        for name, figure in self.plots.items():
            from forecast_assets.core.report.figure_style import to_png

            write_content(to_png(figure), folder / plot_file(name))


def write_table(parts: Iterable[pl.DataFrame], path: Path) -> None:
    """Write a table that comes in parts as one Parquet file, holding one part at a time; there is at least one."""
    import pyarrow.parquet as pq

    writer = None
    try:
        for part in parts:
            rows = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            # Dictionary encoding pays for text; for numbers it costs time and leaves a larger file.
            names = [name for name, dtype in part.schema.items() if dtype == pl.String]
            writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd", use_dictionary=names)
            writer.write_table(rows, row_group_size=ROW_GROUP)
    finally:
        if writer is not None:
            writer.close()


def write_content(content: Content, path: Path) -> None:
    """Write ``content`` to ``path`` in the format its suffix names; the bytes depend on the content alone."""
    if callable(content):
        content(path)
    elif isinstance(content, pl.DataFrame):
        content.write_parquet(path, compression="zstd", statistics=True)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif path.suffix == ".safetensors" and isinstance(content, Mapping):
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in content.items()}, path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")
    else:
        raise TypeError(f"{path.name}: no way to write a {type(content).__name__} to it")
