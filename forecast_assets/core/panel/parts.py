"""Split a table sorted by ticker and date into parts of whole tickers, so that memory does not grow with the panel."""

from collections.abc import Iterator

import polars as pl

ROWS_PER_PART = 500_000  # about how many rows a part has: a few hundred MiB with all features
SCAN_ROWS = 4_000_000  # rows scanned at a time to find where tickers begin


def ticker_parts(table: pl.LazyFrame, *, rows_per_part: int = ROWS_PER_PART) -> Iterator[pl.DataFrame]:
    """Yield ``table`` in parts of whole tickers, each of at least ``rows_per_part`` rows but the last.

    Raises ValueError where the table is not sorted by ticker.
    """
    offset = 0
    for rows in part_sizes(table, rows_per_part=rows_per_part):
        yield table.slice(offset, rows).collect()
        offset += rows


def part_sizes(table: pl.LazyFrame, *, rows_per_part: int = ROWS_PER_PART) -> list[int]:
    """Return the number of rows of each part that ``ticker_parts`` yields."""
    runs = _runs(table)
    if not runs["ticker"].is_sorted() or runs["ticker"].is_duplicated().any():
        raise ValueError("the table is not sorted by ticker, so it has no parts of whole tickers")
    sizes, size = [], 0
    for rows in runs["rows"]:
        size += rows
        if size >= rows_per_part:
            sizes.append(size)
            size = 0
    return [*sizes, size] if size else sizes


def _runs(table: pl.LazyFrame) -> pl.DataFrame:
    """Return (ticker, rows): the number of consecutive rows of each ticker, in the table's order."""
    total = table.select(pl.len()).collect().item()
    names = table.select("ticker")
    pieces = [
        names.slice(offset, SCAN_ROWS).select(pl.col("ticker").rle().struct.unnest()).collect()
        for offset in range(0, total, SCAN_ROWS)
    ]
    runs = pl.concat(pieces) if pieces else pl.DataFrame(schema={"len": pl.UInt32, "value": pl.String})
    run = pl.col("value").rle_id().alias("run")  # joins what two scans cut apart
    return runs.group_by(run, maintain_order=True).agg(
        ticker=pl.first("value"), rows=pl.col("len").cast(pl.Int64).sum()
    )
