"""A digest of each calendar year of a panel, by which a change of that year is found."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hashlib import _Hash

TEXT_BYTES = 16  # a text enters as a BLAKE2b digest of this many bytes, so that all values of a column have one width
KINDS: dict[type[pl.DataType], str] = {
    pl.Date: "date",
    pl.String: "text",
    pl.Boolean: "bool",
    pl.Int32: "i4",
    pl.Int64: "i8",
    pl.UInt32: "u4",
    pl.Float32: "f4",
    pl.Float64: "f8",
}
"""Our own names of the types: a library's may change with its version."""


class YearDigests:
    """Calendar year -> sha256 of that year's rows, ordered by ticker and date: equal exactly when the rows are.

    Built from column names, types, null masks and values, so it depends on no other year, on no row order within a part,
    on no library's own hash and not on where one part ends and the next begins.
    """

    def __init__(self) -> None:
        self._years: dict[int, _Hash] = {}

    def add(self, part: pl.DataFrame) -> None:
        """Add the next part: whole tickers, all after those of the parts before.

        ``part`` has a ``date`` and a ``ticker`` column; types are dates, text, booleans and numbers.
        """
        rows = part.sort("ticker", "date")
        columns = [_bytes(column) for column in rows.iter_columns()]
        nulls = np.packbits(np.stack([column.is_null().to_numpy() for column in rows.iter_columns()], axis=1), axis=1)
        header = ",".join(f"{name}:{KINDS[dtype.base_type()]}" for name, dtype in rows.schema.items())
        runs = rows.select(pl.struct("ticker", pl.col("date").dt.year().alias("year")).rle().alias("run"))["run"]
        start = 0
        # A year of a ticker is hashed at once: parts never cut it, whatever their size.
        for count, year in zip(runs.struct.field("len"), runs.struct.field("value").struct.field("year"), strict=True):
            if year not in self._years:
                self._years[year] = hashlib.sha256(header.encode())
            total, end = self._years[year], start + count
            total.update(nulls[start:end].data)
            for column in columns:
                total.update(column[start:end].data)
            start = end

    def watch(self, parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield the same parts, each added as it passes."""
        for part in parts:
            self.add(part)
            yield part

    def digests(self) -> dict[str, str]:
        """Return year -> digest, in the order of years."""
        return {str(year): self._years[year].hexdigest() for year in sorted(self._years)}


def _bytes(column: pl.Series) -> NDArray[np.uint8]:
    """Return each value's bytes, (N, width), zero where there is no value."""
    if column.dtype == pl.String:
        texts = column.unique().drop_nulls().sort()
        digests = [hashlib.blake2b(text.encode(), digest_size=TEXT_BYTES).digest() for text in texts.to_list()]
        table = np.frombuffer(b"".join([*digests, bytes(TEXT_BYTES)]), dtype=np.uint8).reshape(-1, TEXT_BYTES)
        codes = column.replace_strict(texts, range(len(texts)), default=len(texts), return_dtype=pl.UInt32)
        return table[codes.to_numpy()]
    values = column.to_physical()
    zero = False if values.dtype == pl.Boolean else 0
    plain = np.ascontiguousarray(values.fill_null(zero).to_numpy())
    return plain.view(np.uint8).reshape(len(plain), plain.itemsize)  # not -1: a part may be empty
