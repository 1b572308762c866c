"""Read input files block by block: the text or values of each row, with line numbers; only its shape is checked."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.input_file import ROWS_PER_LINE, InputFile, line_of

REQUIRED = ("date", "ticker", "open", "close", "volume")
SEPARATORS = (",", ";", "\t")
BLOCK_BYTES = 64_000_000  # bytes read at a time; some 900,000 rows
BLOCK_ROWS = 500_000  # rows of a Parquet file that are read at a time
CONTROL = r"[\x00-\x08\x0b-\x1f\x7f]"  # control characters but the tab: no row may have one


@dataclass(frozen=True)
class Delivery:
    """A block of rows of one file. ``values``: entry and the raw columns, of the file's own types (text for CSV)."""

    file: str
    values: pl.DataFrame
    malformed: pl.DataFrame  # entry, reason: rows that can't be split into fields
    source: pl.DataFrame  # entry and the row verbatim (CSV), or entry and all columns (Parquet)

    @property
    def rows_read(self) -> int:
        """Data rows; blank lines are not rows."""
        return self.source.height

    def verbatim(self, entries: pl.Series) -> pl.DataFrame:
        """Return (entry, line, row) of the given entries: the input line, or the row as JSON for Parquet."""
        chosen = self.source.filter(pl.col("entry").is_in(entries.implode()))
        if self.source.columns == ["entry", "row"]:
            return chosen.select("entry", "row", line=line_of("entry"))
        texts = [json.dumps(row, default=str) for row in chosen.drop("entry").iter_rows(named=True)]
        return chosen.select("entry", row=pl.Series(texts, dtype=pl.String), line=line_of("entry"))


def read_blocks(file: InputFile, *, columns: Mapping[str, Sequence[str]]) -> Iterator[Delivery]:
    """Read one file, CSV (by content: comma, semicolon or tab) or Parquet (by suffix), some rows at a time.

    ``columns`` maps each raw column to its accepted spellings, compared without case. Raises BadInput for a file that is
    missing, empty, not UTF-8, without rows or required columns, or of mixed separators.
    """
    path = file.path
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name the raw panel with FORECAST_PANEL or --panel")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty; it needs a header and at least one row")
    return _parquet_blocks(file, columns) if path.suffix.lower() == ".parquet" else _csv_blocks(file, columns)


def _parquet_blocks(file: InputFile, columns: Mapping[str, Sequence[str]]) -> Iterator[Delivery]:
    path = file.path
    try:
        names, rows = pl.read_parquet_schema(path), pq.read_metadata(path).num_rows
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
    found = match_columns(path, list(names), columns)
    if rows == 0:
        raise BadInput(f"{path}: the file has columns but no rows")
    for offset in range(0, rows, BLOCK_ROWS):
        try:
            frame = pl.scan_parquet(path).slice(offset, BLOCK_ROWS).collect()
        except pl.exceptions.PolarsError as error:
            raise BadInput(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
        # Line 1 is the header, as in the CSV of the same table.
        source = frame.with_row_index("line", offset=offset + 2)
        source = source.select(_entry(), pl.exclude("line"))
        values = source.select("entry", **{name: pl.col(spelling) for name, spelling in found.items()})
        yield Delivery(file.name, values, pl.DataFrame(schema={"entry": pl.Int64, "reason": pl.String}), source)


def _entry() -> pl.Expr:
    return (pl.col("line").cast(pl.Int64) * ROWS_PER_LINE).alias("entry")


@dataclass(frozen=True)
class _Header:
    """Separator and columns of a CSV file."""

    separator: str
    names: list[str]
    found: Mapping[str, str]  # raw column -> spelling


def _csv_blocks(file: InputFile, columns: Mapping[str, Sequence[str]]) -> Iterator[Delivery]:
    path = file.path
    header: _Header | None = None
    line = 1
    rows = good = 0
    for block, following in _text_blocks(path):
        lines = _lines(path, block, first_line=line)
        line += lines.height
        lines = lines.filter(pl.col("row").str.strip_chars() != "")
        if header is None:
            if lines.is_empty():
                continue
            header = _header(path, lines["row"][0], columns)
            lines = lines[1:]
        if lines.is_empty():
            continue
        delivery = _split(file, lines, header, following=following, cut=not block.endswith(b"\n"))
        rows, good = rows + delivery.rows_read, good + delivery.values.height
        yield delivery
    if header is None:
        raise BadInput(f"{path}: the file is empty; it needs a header and at least one row")
    if rows == 0:
        raise BadInput(f"{path}: the file has a header but no rows")
    if good == 0:
        raise BadInput(
            f"{path}: no row has the header's {len(header.names)} fields separated by {header.separator!r}; "
            "write header and rows with one separator and decimal points, and end the file with a line break"
        )


def _text_blocks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield whole lines, about ``BLOCK_BYTES`` at a time, and the line that follows; the last may lack its line break."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            block += file.readline()
            place = file.tell()
            following = next((line for line in iter(file.readline, b"") if line.strip()), b"")
            file.seek(place)
            yield block, following


def _lines(path: Path, block: bytes, *, first_line: int) -> pl.DataFrame:
    """Return (line, row) of every line of the block."""
    try:
        lines = pl.read_lines(io.BytesIO(block), name="row", row_index_name="line", row_index_offset=first_line)
    except pl.exceptions.PolarsError as error:
        raise BadInput(f"{path}: not a UTF-8 text file ({_first_line(error)}); save it as UTF-8 CSV") from error
    return lines.select(pl.col("line").cast(pl.UInt32), "row")


def _header(path: Path, text: str, columns: Mapping[str, Sequence[str]]) -> _Header:
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        raise BadInput(f"{path}: its lines end in a carriage return alone; save it with ordinary line breaks")
    separator = _separator(path, text)
    names = [name.strip().strip('"').strip() for name in text.split(separator)]
    return _Header(separator, names, match_columns(path, names, columns))


def _split(file: InputFile, lines: pl.DataFrame, header: _Header, *, following: bytes, cut: bool) -> Delivery:
    """Split rows into fields. ``following``: the next line of the file; ``cut``: the last one has no line break."""
    path = file.path
    after = pl.Series("row", [following.decode(errors="replace").rstrip("\r\n")])
    checked = lines.with_columns(reason=_shape(path, lines, header, after=after))
    if cut:
        last = pl.lit("the file ends without a line break, so its last line may be cut off; end it with a line break")
        checked = checked.with_columns(
            reason=pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(pl.coalesce("reason", last)).otherwise("reason")
        )
    good = checked.filter(pl.col("reason").is_null())
    malformed = checked.filter(pl.col("reason").is_not_null()).select(_entry(), "reason")
    names = [f"column {i}" for i in range(len(header.names))]
    table = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    if good.height:
        table = pl.read_csv(
            "\n".join(good["row"].to_list()).encode() + b"\n",
            has_header=False,
            new_columns=names,
            separator=header.separator,
            infer_schema=False,
        )
    if table.height != good.height:
        raise BadInput(
            f"{path}: {good.height} lines read as {table.height} rows; write one row per line, without breaks"
        )
    places = {name: f"column {header.names.index(spelling)}" for name, spelling in header.found.items()}
    values = table.select(good.select(_entry())["entry"], **{name: pl.col(place) for name, place in places.items()})
    return Delivery(file.name, values, malformed, lines.select(_entry(), "row"))


def _shape(path: Path, lines: pl.DataFrame, header: _Header, *, after: pl.Series) -> pl.Series:
    """Return why each row can't be split into the header's fields, or null. ``after``: the line that follows them."""
    row, separator, wanted = lines["row"], header.separator, len(header.names)
    # A quotation mark has to enclose a whole field. An open one would swallow the rows below it, so such a row is kept
    # from the parser. Separators between quotation marks do not count.
    quoted = row.str.contains('"', literal=True)
    plain = rf'[^"{separator}]*'
    whole = rf'(?:{plain}|"(?:[^"]|"")*")'
    stray = quoted & ~row.str.contains(rf"^{whole}(?:{separator}{whole})*$") if quoted.any() else quoted
    bare = row.str.replace_all(r'"(?:[^"]|"")*"', "") if quoted.any() else row
    fields = bare.str.count_matches(separator, literal=True).cast(pl.Int32) + 1
    control = row.str.contains(CONTROL)
    # A line break inside a field leaves a row that may look whole, its last number cut, and a fragment after it.
    following = pl.concat([row, after])[1:]
    short = following.str.count_matches(separator, literal=True) < wanted - 1
    fragment = short.scatter(short.arg_true(), _is_fragment(following.filter(short), header)) if short.any() else short
    frame = pl.DataFrame({"stray": stray, "control": control, "fields": fields, "fragment": fragment})
    if (odd := (fields != wanted) & ~stray).any():
        for other in SEPARATORS:
            mixed = bare.filter(odd).str.count_matches(other, literal=True) == wanted - 1
            if other != separator and wanted > 1 and mixed.any():
                at = lines["line"].filter(odd).filter(mixed)[0]
                raise BadInput(
                    f"{path}: line {at} is separated by {other!r}, the header by {separator!r}; use one of them throughout"
                )
    return frame.select(
        pl.when("control")
        .then(pl.lit("a control character stands in the row"))
        .when("stray")
        .then(pl.lit("a quotation mark stands inside a field or is not closed"))
        .when(pl.col("fields") != wanted)
        .then(pl.format("{} fields instead of {}", "fields", pl.lit(wanted)))
        .when("fragment")
        .then(pl.lit("the next line is a fragment, so this one may be cut off"))
    ).to_series()


def _is_fragment(short: pl.Series, header: _Header) -> pl.Series:
    """Return whether each short line is the end of the one before it: a row of its own has a date in its place."""
    fields = short.str.split(header.separator)
    date = fields.list.get(header.names.index(header.found["date"]), null_on_oob=True)
    dated = date.str.contains(r'^"?\s*\d{4}[-/]?\d{2}[-/]?\d{2}').fill_null(False) & (fields.list.len() > 1)
    return (short != "") & ~dated


def _separator(path: Path, header: str) -> str:
    present = [mark for mark in SEPARATORS if mark in header]
    if len(present) > 1:
        raise BadInput(f"{path}: the header mixes the separators {present}; use one of them throughout")
    return present[0] if present else ","


def match_columns(path: Path, names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return raw column -> the spelling used in the file.

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


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
