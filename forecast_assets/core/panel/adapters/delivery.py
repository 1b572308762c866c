"""A block of rows of an input file, as the reader hands it on: long, by field, each row with its line."""

import json
from dataclasses import dataclass

import polars as pl

from forecast_assets.core.panel.adapters.layouts import Layout
from forecast_assets.core.panel.entries import line_of


@dataclass(frozen=True)
class Delivery:
    """A block of rows of one file. ``values``: entry and the fields, of the file's own types (text for text files)."""

    file: str
    values: pl.DataFrame
    malformed: pl.DataFrame  # entry, reason: lines that can't be split into fields
    lines: pl.DataFrame | None  # entry, row: lines verbatim, of a text file
    cells: pl.DataFrame | None  # entry and the fields of rows that no line is verbatim

    @property
    def rows_read(self) -> int:
        """Data rows; blank lines are not rows."""
        return self.values.height + self.malformed.height

    def verbatim(self, chosen_entries: pl.Series) -> pl.DataFrame:
        """Return (entry, line, row) of the given entries: the input line, or the row's fields as JSON."""
        found = []
        for source in (self.lines, self.cells):
            if source is None:
                continue
            chosen = source.filter(pl.col("entry").is_in(chosen_entries.implode()))
            if source.columns != ["entry", "row"]:
                texts = [json.dumps(row, default=str) for row in chosen.drop("entry").iter_rows(named=True)]
                chosen = chosen.select("entry", row=pl.Series(texts, dtype=pl.String))
            found.append(chosen)
        return pl.concat(found).select("entry", "row", line=line_of("entry"))


def long_rows(table: pl.DataFrame, entry: pl.Series, layout: Layout) -> pl.DataFrame:
    """Return (entry, fields) of a table whose columns are named ``column 0`` and so on.

    A line of a wide table becomes a row per ticker that has a number in it.
    """
    constants = [pl.lit(value).alias(name) for name, value in layout.constants.items()]
    if not layout.wide:
        places = {name: pl.col(f"column {place}") for name, place in layout.places.items()}
        return table.select(entry, **places).with_columns(constants)
    found = []
    tickers = list(dict.fromkeys(column.ticker for column in layout.wide))
    fields = sorted({column.field for column in layout.wide})
    for number, ticker in enumerate(tickers):
        own = {column.field: pl.col(f"column {column.place}") for column in layout.wide if column.ticker == ticker}
        rows = table.select(
            entry + number,
            date=pl.col(f"column {layout.places['date']}"),
            ticker=pl.lit(ticker),
            **{name: own.get(name, pl.lit(None, dtype=pl.String)) for name in fields},
        )
        filled = [pl.col(name).cast(pl.String).str.strip_chars().fill_null("") != "" for name in own]
        found.append(rows.filter(pl.any_horizontal(filled)))
    return pl.concat(found, how="vertical_relaxed").with_columns(constants)


NO_ROWS = pl.DataFrame(schema={"entry": pl.Int64, "reason": pl.String})
