"""Number the rows of input files: an entry is a line, and which of its rows where it holds several."""

import polars as pl

ROWS_PER_LINE = 1 << 20
"""An entry is ``line * ROWS_PER_LINE + k``: the k-th row that a line holds; a line of a wide table holds one a ticker."""


def entries(lines: pl.Series) -> pl.Series:
    """Return the entries of lines that hold one row each."""
    return (lines.cast(pl.Int64) * ROWS_PER_LINE).alias("entry")


def line_of(entry: str) -> pl.Expr:
    """Return the line (1-based, the header counts) of the column ``entry``, as UInt32."""
    return (pl.col(entry) // ROWS_PER_LINE).cast(pl.UInt32)
