"""Open a user's table strictly: column names as they stand, dates, moments and numbers that are never guessed at.

For the files that a user brings beside the panel. What can't be read becomes null; who asked for it says what is wrong.
"""

import datetime as dt
import re
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput

LINE = "line"
"""Column with the place of each row: of a CSV its line, of a Parquet file its row."""
MOMENT = pl.Datetime("us", "UTC")
MOMENT_HINT = "is not a time with its zone; write it like 2024-01-31T22:05Z or 2024-01-31T17:05-05:00"
_DUPLICATED = re.compile(r"_duplicated_\d+$")  # which polars adds to a name that a header has twice


def open_table(path: Path, *, holds: str) -> pl.DataFrame:
    """Return the file's columns under lower-case names, and ``LINE``; ``holds`` says what such a file has.

    Raises BadInput where it can't be read, has no row, a column twice, or one of lists or durations.
    """
    is_text = not path.name.lower().endswith(".parquet")
    try:
        raw = pl.read_csv(path, infer_schema=False) if is_text else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        kind = "a CSV with commas" if is_text else "a Parquet file"
        raise BadInput(
            f"{path.name}: not readable as {kind} ({str(error).splitlines()[0]}); write it as one"
        ) from error
    names = [_DUPLICATED.sub("", column.strip().lstrip("\ufeff").lower()) for column in raw.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{path.name}: columns {twice} are there twice; keep one of each")
    if LINE in names:
        raise BadInput(f"{path.name}: unknown columns ['{LINE}']; {holds}")
    if raw.is_empty():
        raise BadInput(f"{path.name}: no row; {holds}")
    for name, dtype in raw.schema.items():
        if dtype.is_nested() or dtype in (pl.Duration, pl.Time, pl.Binary, pl.Boolean, pl.Object):
            raise BadInput(f"{path.name}: column {name} holds {dtype}; write text, numbers or times")
    named = raw.rename(dict(zip(raw.columns, names, strict=True))).with_row_index(LINE, offset=2 if is_text else 1)
    return named.filter(~pl.all_horizontal(pl.col(name).is_null() for name in names))  # an empty line is no row


def as_date(raw: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as dates like 2024-01-31; null where it is none."""
    column, dtype = pl.col(name), raw.schema[name]
    if dtype == pl.Date:
        return column
    if isinstance(dtype, pl.Datetime):
        return pl.when(column.dt.time() == dt.time()).then(column.dt.date())
    return column.cast(pl.String, strict=False).str.strip_chars().str.to_date("%Y-%m-%d", strict=False)


def as_moment(raw: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as points in time in UTC; null where it is none, or has no zone."""
    column, dtype = pl.col(name), raw.schema[name]
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:  # the same moment in no two zones
            return pl.lit(None, dtype=MOMENT)
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    text = column.cast(pl.String, strict=False).str.strip_chars()
    whole = text.str.replace(r"[zZ]$", "+00:00").str.replace(" ", "T", literal=True)
    seconds = whole.str.replace(r"T(\d\d:\d\d)([+-])", "T${1}:00${2}")
    return seconds.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us", time_zone="UTC")


def as_number(raw: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as numbers; null where it is none."""
    column = pl.col(name)
    text = column.cast(pl.String, strict=False).str.strip_chars()
    return (column if raw.schema[name].is_numeric() else text).cast(pl.Float64, strict=False)


def as_text(name: str) -> pl.Expr:
    """Return a column as text without blanks around it; null where it is empty."""
    return pl.col(name).cast(pl.String).str.strip_chars().replace("", None)
