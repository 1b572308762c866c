"""Files -> the text or values of each row, with line numbers. Nothing is judged here but the file as a whole."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput

REQUIRED = ("date", "ticker", "open", "close", "volume")
SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class Delivery:
    """One file as read. ``values``: line and the raw columns, still of the file's own types (text for CSV)."""

    file: str
    values: pl.DataFrame
    malformed: pl.DataFrame  # line, reason: rows that can't be split into fields
    source: pl.DataFrame  # line and the row verbatim (CSV), or line and all columns (Parquet)

    @property
    def rows_read(self) -> int:
        """Data rows of the file; blank lines are not rows."""
        return self.source.height

    def verbatim(self, lines: pl.Series) -> pl.DataFrame:
        """(line, row) of the given lines: the input line, or the row as JSON for Parquet."""
        chosen = self.source.filter(pl.col("line").is_in(lines.implode()))
        if self.source.columns == ["line", "row"]:
            return chosen
        texts = [json.dumps(row, default=str) for row in chosen.drop("line").iter_rows(named=True)]
        return chosen.select("line", row=pl.Series(texts, dtype=pl.String))


def read_file(path: Path, *, columns: Mapping[str, Sequence[str]]) -> Delivery:
    """Read one drop, CSV (by content: comma, semicolon or tab) or Parquet (by suffix).

    ``columns`` maps each raw column to its accepted spellings, compared without case. Raises BadInput for a file that is
    missing, empty, not UTF-8, without rows or required columns, or of mixed separators.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name the raw panel with FORECAST_PANEL or --panel")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty; it needs a header and at least one row")
    return _read_parquet(path, columns) if path.suffix.lower() == ".parquet" else _read_csv(path, columns)


def _read_parquet(path: Path, columns: Mapping[str, Sequence[str]]) -> Delivery:
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise BadInput(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
    found = match_columns(path, frame.columns, columns)
    if frame.is_empty():
        raise BadInput(f"{path}: the file has columns but no rows")
    # Line 1 is the header, as in the CSV of the same table.
    source = frame.with_row_index("line", offset=2)
    values = source.select("line", **{name: pl.col(spelling) for name, spelling in found.items()})
    return Delivery(path.name, values, _no_reasons(), source)


def _read_csv(path: Path, columns: Mapping[str, Sequence[str]]) -> Delivery:
    try:
        lines = pl.read_lines(path, name="row", row_index_name="line", row_index_offset=1)
    except pl.exceptions.PolarsError as error:
        raise BadInput(f"{path}: not a UTF-8 text file ({_first_line(error)}); save it as UTF-8 CSV") from error
    lines = lines.with_columns(pl.col("line").cast(pl.UInt32)).filter(pl.col("row").str.strip_chars() != "")
    if lines.is_empty():
        raise BadInput(f"{path}: the file is empty; it needs a header and at least one row")
    header = lines["row"][0].removeprefix("\ufeff")
    source = lines[1:]
    separator = _separator(path, header)
    names = [name.strip().strip('"').strip() for name in header.split(separator)]
    found = match_columns(path, names, columns)
    if source.is_empty():
        raise BadInput(f"{path}: the file has a header but no rows")
    # Fields are counted outside quotes. A quote left open would swallow the rows below it, so such a row never gets to
    # the parser.
    bare = pl.col("row").str.replace_all(r'"[^"]*"', "")
    extra = bare.str.count_matches(separator, literal=True).cast(pl.Int32) + 1
    checked = source.with_columns(
        reason=pl.when(bare.str.contains('"', literal=True))
        .then(pl.lit("a quote is opened and not closed"))
        .when(extra != len(names))
        .then(pl.format("{} fields instead of {}", extra, len(names)))
    )
    good = checked.filter(pl.col("reason").is_null())
    malformed = checked.filter(pl.col("reason").is_not_null()).select("line", "reason")
    if good.is_empty():
        raise BadInput(
            f"{path}: no row has the header's {len(names)} fields separated by {separator!r}; "
            "write header and rows with one separator and decimal points"
        )
    table = pl.read_csv(
        "\n".join(good["row"].to_list()).encode(),
        has_header=False,
        new_columns=[f"column {i}" for i in range(len(names))],
        separator=separator,
        infer_schema=False,
    )
    if table.height != good.height:
        raise BadInput(
            f"{path}: {good.height} lines read as {table.height} rows; write one row per line, without breaks"
        )
    values = table.select(
        good["line"], **{name: pl.col(f"column {names.index(spelling)}") for name, spelling in found.items()}
    )
    return Delivery(path.name, values, malformed, source)


def _separator(path: Path, header: str) -> str:
    present = [mark for mark in SEPARATORS if mark in header]
    if len(present) > 1:
        raise BadInput(f"{path}: the header mixes the separators {present}; use one of them throughout")
    return present[0] if present else ","


def match_columns(path: Path, names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Raw column -> the spelling used in the file.

    Raises BadInput when a required column is absent or two spellings of one column are present.
    """
    plain = {name: _plain(name) for name in names}
    found: dict[str, str] = {}
    for column, spellings in columns.items():
        accepted = {_plain(spelling) for spelling in spellings}
        matches = [name for name in names if plain[name] in accepted]
        if len(matches) > 1:
            raise BadInput(f"{path}: columns {matches} all mean {column}; keep one of them")
        if matches:
            found[column] = matches[0]
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        wanted = "; ".join(f"{column} (accepted: {', '.join(columns[column])})" for column in missing)
        raise BadInput(f"{path}: missing column {wanted}; found {', '.join(names)}")
    return found


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _no_reasons() -> pl.DataFrame:
    return pl.DataFrame(schema={"line": pl.UInt32, "reason": pl.String})


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
