"""Rolling statistics that are computed in blocks of rows, so that they do not depend on where a history begins.

A rolling kernel adds the row that enters and takes off the row that leaves, so its rounding error wanders from the first
row of a history to the last, and the last value depends on where the history was begun. Here each segment is cut into
blocks of ``BLOCK`` rows, by their position in the segment, and each block is computed on its own with a lead-in of the
rows that its first windows need. A value then depends on its own block and lead-in alone: recomputed from a block's
border on, it comes out the same to the last bit, however long the history before.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

BLOCK = 1024  # rows of a block: long enough that the lead-ins cost little


def rolling_in_blocks(rows: pl.DataFrame, expressions: Mapping[str, pl.Expr], *, lead: int) -> pl.DataFrame:
    """Return the ``expressions`` as columns, one row per row of ``rows``.

    ``rows`` has ``segment_id``, ascending, and ``position`` in the segment, without gaps. Expressions see one block in
    order and look back at most ``lead`` rows, fewer than a block has. Values whose windows begin before the rows at hand
    are null.
    """
    names = sorted({name for expression in expressions.values() for name in expression.meta.root_names()})
    segment, position = rows["segment_id"].to_numpy(), rows["position"].to_numpy()
    begins = position % BLOCK == 0
    begins[:1] = True
    begins[1:] |= segment[1:] != segment[:-1]
    inside = _by_block(rows.select(names), np.cumsum(begins), expressions)
    # The first rows of a block that goes on from another have their windows in both: only these are computed with the
    # lead-in, and replaced.
    first = np.flatnonzero(begins)
    first = first[(first > 0) & (segment[first] == segment[first - 1])] if len(first) else first
    if not len(first):
        return inside
    size = np.minimum(np.diff(np.append(np.flatnonzero(begins), len(position)))[np.cumsum(begins)[first] - 1], lead)
    before = np.minimum(lead, _rows_before(segment, first))
    length = before + size
    within = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    index = np.repeat(first - before, length) + within
    head = _by_block(rows.select(names)[index], np.repeat(np.arange(len(first)), length), expressions)
    own = within >= np.repeat(before, length)
    place, found = pl.Series(index[own]), head.filter(pl.Series(own))
    return inside.with_columns(inside[name].scatter(place, found[name]) for name in expressions)


def _by_block(columns: pl.DataFrame, block: NDArray[np.integer], expressions: Mapping[str, pl.Expr]) -> pl.DataFrame:
    grouped = columns.lazy().with_columns(pl.Series("block", block).set_sorted())
    found = grouped.group_by("block", maintain_order=True).agg(e.alias(name) for name, e in expressions.items())
    return found.select(list(expressions)).explode(list(expressions)).collect()


def _rows_before(segment: NDArray[np.integer], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number of rows of its own segment before each of ``rows``."""
    begins = np.flatnonzero(np.append(True, segment[1:] != segment[:-1]))
    return rows - begins[np.searchsorted(begins, rows, side="right") - 1]
