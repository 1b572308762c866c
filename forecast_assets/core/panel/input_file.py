"""One file of the raw panel, and how its rows are numbered."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

ROWS_PER_LINE = 1 << 20
"""An entry is ``line * ROWS_PER_LINE + k``: the k-th row that a line holds; a line of a wide table holds one a ticker."""


@dataclass(frozen=True)
class InputFile:
    """A file that is read, the name that people are told, and when it arrived."""

    path: Path
    name: str
    arrived: dt.datetime | None = None  # in UTC; None is history: each row was known on its own date


def line_of(entry: str) -> pl.Expr:
    """Return the line (1-based, the header counts) of the column ``entry``, as UInt32."""
    return (pl.col(entry) // ROWS_PER_LINE).cast(pl.UInt32)
