"""Read text tables block by block: any encoding that says what it is, gzip, a preamble above the header, several headers."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.delivery import Delivery, long_rows
from forecast_assets.core.panel.adapters.headers import PRICE_FIELDS, UNNAMED, known_fields, plain
from forecast_assets.core.panel.adapters.layouts import OPTIONS, Layout, recognise
from forecast_assets.core.panel.entries import entries
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import PanelSpec

SEPARATORS = (",", ";", "\t", "|")
BLOCK_BYTES = 64_000_000  # bytes read at a time; some 900,000 rows
PREAMBLE_LINES = 30  # lines above the header that are looked through
HEADER_LINES = 4  # lines that a header may have, and one of values
CONTROL = r"[\x00-\x08\x0b-\x1f\x7f]"  # control characters but the tab: no row may have one
DATED = r"^\s*\"?(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{8}(\D|$))"  # a row of its own begins with a date
EPOCH = r"1\d{9}(\d{3}){0,3}"  # seconds since 1970 or parts of them
GZIP, UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
NO_TABLES = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV, or unzip it",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV",
    b"SQLite format": "an SQLite database: export the table as CSV",
    b"\x89HDF": "an HDF5 file: write the table as Parquet",
    b"%PDF": "a PDF: save the table as CSV",
}


@dataclass
class TextTable:
    """A text file of a known layout."""

    file: InputFile
    layout: Layout
    separator: str
    width: int  # fields of a row
    first_line: int  # the first line of data
    whole: bool  # the file is known to be whole, whatever its last line looks like
    doubtful_volumes: int = 0  # volumes read as missing, since the file may be cut off there

    def blocks(self) -> Iterator[Delivery]:
        """Yield the rows, about ``BLOCK_BYTES`` at a time. Raises BadInput where none can be split into fields."""
        path, line, rows, good, why = self.file.path, 1, 0, 0, ""
        for block, following, last in text_blocks(path):
            lines = _lines(self.file, block, first_line=line)
            line += lines.height
            lines = lines.filter((pl.col("line") >= self.first_line) & (pl.col("row").str.strip_chars() != ""))
            if lines.is_empty():
                continue
            delivery = self._split(
                lines, following=following, cut=last and not block.endswith(b"\n") and not self.whole
            )
            why = why or "".join(delivery.malformed["reason"].head(1))
            rows, good = rows + delivery.rows_read, good + delivery.values.height
            yield delivery
        if rows == 0:
            raise BadInput(f"{self.file.name}: the file has a header but no rows")
        if good == 0:
            raise BadInput(
                f"{self.file.name}: no row has the header's {self.width} fields separated by {self.separator!r} (the first: "
                f"{why}); write header and rows with one separator and decimal points"
            )

    def _split(self, lines: pl.DataFrame, *, following: bytes, cut: bool) -> Delivery:
        """Split rows into fields. ``following``: the next line of the file; ``cut``: the last one has no line break."""
        after = pl.Series("row", [following.decode(errors="replace").rstrip("\r\n")])
        checked = lines.with_columns(reason=_shape(self, lines, after=after))
        good = checked.filter(pl.col("reason").is_null())
        table = self._fields(good)
        if cut and good.height and good["line"][-1] == lines["line"][-1]:
            table, reason = self._last_line(table)
            if reason:
                checked = checked.with_columns(
                    reason=pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(pl.lit(reason)).otherwise("reason")
                )
                good, table = good[:-1], table[:-1]
        malformed = checked.filter(pl.col("reason").is_not_null())
        values = long_rows(table, entries(good["line"]), self.layout)
        verbatim = lines if not self.layout.wide else malformed
        return Delivery(
            self.file.name,
            values,
            malformed.select(entries(malformed["line"]), "reason"),
            verbatim.select(entries(verbatim["line"]), "row"),
            values if self.layout.wide else None,
        )

    def _fields(self, good: pl.DataFrame) -> pl.DataFrame:
        names = [f"column {i}" for i in range(self.width)]
        used = sorted({*self.layout.places.values(), *(column.place for column in self.layout.wide), self.width - 1})
        if good.is_empty():
            return pl.DataFrame(schema={names[i]: pl.String for i in used})
        table = pl.read_csv(
            "\n".join(good["row"].to_list()).encode() + b"\n",
            has_header=False,
            columns=used,
            schema=dict.fromkeys(names, pl.String),
            separator=self.separator,
        )
        if table.height != good.height:
            raise BadInput(
                f"{self.file.name}: {good.height} lines read as {table.height} rows; write one row per line, without breaks"
            )
        return table

    def _last_line(self, table: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
        """Judge the last line of a file that ends without a line break, so may have been cut off inside its last field.

        Returns the table and why the row can't be used. A field as long as all others of its column is whole; a volume that
        may be cut is missing, any other number makes the row unusable.
        """
        name = f"column {self.width - 1}"
        field = self._field_at(self.width - 1)
        lengths = table[name].str.len_chars().fill_null(0)
        if field is None or (table.height > 2 and lengths.n_unique() == 1):
            return table, None
        if field != "volume":
            return (
                table,
                "the file ends without a line break, so its last line may be cut off; end it with a line break",
            )
        self.doubtful_volumes += 1
        last = pl.int_range(pl.len()) == pl.len() - 1
        return table.with_columns(pl.when(~last).then(pl.col(name)).alias(name)), None

    def _field_at(self, place: int) -> str | None:
        wide = {column.place: column.field for column in self.layout.wide}
        return wide.get(place) or next((name for name, at in self.layout.places.items() if at == place), None)


def open_text(file: InputFile, spec: PanelSpec) -> TextTable:
    """Find separator, header and layout. Raises BadInput for a file that is empty, no text or no table of prices."""
    head = beginning(file.path)
    if what := next((said for mark, said in NO_TABLES.items() if head.startswith(mark)), None):
        raise BadInput(f"{file.name}: this is {what}")
    block = first_block(file.path)
    lines = _lines(
        file, block[:4_000_000].rpartition(b"\n")[0] + b"\n" if len(block) > 4_000_000 else block, first_line=1
    )
    lines = lines.filter(pl.col("row").str.strip_chars() != "")
    if lines.is_empty():
        raise BadInput(f"{file.name}: the file is empty; it needs a header and at least one row")
    numbers, texts = lines["line"].to_list(), [row.lstrip("\ufeff") for row in lines["row"].head(2000).to_list()]
    start, separator, layout = _find_header(texts, file, spec)
    after = start + layout.header_rows
    width = len(_fields_of_line(texts[start], separator))
    sample = texts[after : after + 50]
    longer = [
        len(_fields_of_line(text, separator)) == width + 1 and text.rstrip().endswith(separator) for text in sample
    ]
    if longer and all(longer):
        width += 1  # every row ends in a separator that the header lacks
    first = numbers[after] if after < len(numbers) else numbers[-1] + 1
    if start:
        note = f"the header is line {numbers[start]}; what stands above it is left out: {texts[0][:60]!r}"
        layout = replace(layout, notes=(*layout.notes, note))
    return TextTable(file, layout, separator, width, first, whole=_is_gzip(file.path))


def looks_like_a_table(path: Path) -> bool:
    """Return whether some line of a text file has three fields or more."""
    texts = first_block(path)[:20_000].decode(errors="replace").splitlines()[:50]
    return any(len(_fields_of_line(text, mark)) >= 3 for text in texts for mark in SEPARATORS)


def _find_header(texts: Sequence[str], file: InputFile, spec: PanelSpec) -> tuple[int, str, Layout]:
    """Return the place of the header among ``texts``, its separator and the layout."""
    begin = 1 if texts[0].lower().startswith("sep=") else 0
    if begin >= len(texts):
        raise BadInput(f"{file.name}: the file is empty; it needs a header and at least one row")
    if "\r" in texts[begin].rstrip("\r"):
        raise BadInput(f"{file.name}: its lines end in a carriage return alone; save it with ordinary line breaks")
    for start in range(begin, min(begin + PREAMBLE_LINES, len(texts))):
        _refuse_mixed_header(file, texts[start], spec)
        for separator in _separators(texts[start]):
            rows = [_fields_of_line(text, separator) for text in texts[start : start + HEADER_LINES]]
            if len(rows[0]) > 1 and (layout := recognise(rows, file, spec)):
                return start, separator, layout
    first = texts[begin]
    present = _separators(first)
    names = _fields_of_line(first, present[0] if present else ",")
    if _is_data(names):
        raise BadInput(
            f"{file.name}: it has no header, only rows like {first[:80]!r}; put a line of column names above them, such as "
            "Date,Open,High,Low,Close,Volume (and Ticker)"
        )
    shown = f"its columns {names} are" if len(names) > 2 else f"its first line reads {first[:80]!r}, which is"
    raise BadInput(
        f"{file.name}: {shown} no header with a date and a price, and no line of the first {PREAMBLE_LINES} is; say what "
        f"its columns are, in {OPTIONS}: columns: {{date: NAME, open: NAME, close: NAME}}"
    )


def _separators(text: str) -> list[str]:
    """Return the separators that stand in a line outside quotation marks, the most frequent first."""
    bare = re.sub(r'"(?:[^"]|"")*"|\'[^\',]*\', \'[^\',]*\'', "", text)
    present = [mark for mark in SEPARATORS if mark in bare]
    return sorted(present, key=bare.count, reverse=True)


def _is_data(names: Sequence[str]) -> bool:
    """Whether fields are those of a row of prices: a day or a time, and four numbers or more."""
    numbers = [name for name in names if re.fullmatch(r"[+-]?\d+([.,]\d+)?", name)]
    return len(numbers) >= 4 and any(re.search(DATED, name) or re.fullmatch(EPOCH, name) for name in names[:3])


def _refuse_mixed_header(file: InputFile, text: str, spec: PanelSpec) -> None:
    present = [mark for mark in _separators(text) if mark != "|"]
    if len(present) > 1:
        every = known_fields(re.split("|".join(present), text.replace('"', "")), spec.columns)
        parts = [known_fields(_fields_of_line(text, mark), spec.columns) for mark in present]
        if "date" in every and every & set(PRICE_FIELDS) and all(part < every for part in parts):
            raise BadInput(
                f"{file.name}: the header mixes the separators {sorted(present)}; use one of them throughout"
            )


def _fields_of_line(text: str, separator: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([re.sub(r"[\r\n]", " ", text)], delimiter=separator), [])]


def holds_prices(file: InputFile, spec: PanelSpec) -> bool:
    """Return whether a text file has something of a table of prices: a column of days or one of prices, or is wide."""
    texts = first_block(file.path)[:100_000].decode(errors="replace").splitlines()[:PREAMBLE_LINES]
    for k, text in enumerate(texts):
        for separator in _separators(text):
            names = _fields_of_line(text, separator)
            if known_fields(names, spec.columns) & {"date", *PRICE_FIELDS} or (k == 0 and _is_data(names)):
                return True
            if (
                names
                and plain(names[0]) in UNNAMED
                and any(re.search(DATED, row) for row in texts[k + 1 : k + HEADER_LINES])
            ):
                return True
    return False


def has_rows(path: Path) -> bool:
    """Return whether a text has more than one line."""
    return b"\n" in first_block(path)[:4_000_000].strip()


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file, which say what it is."""
    with path.open("rb") as file:
        return file.read(16)


def first_block(path: Path) -> bytes:
    """Return the first lines of a file as UTF-8 text."""
    with closing(text_blocks(path)) as blocks:
        return next(blocks, (b"", b"", True))[0]


def _is_gzip(path: Path) -> bool:
    return beginning(path).startswith(GZIP)


def _open(path: Path) -> BinaryIO:
    """Open a file as UTF-8 text, whether it is compressed and whether it is UTF-16."""
    head = beginning(path)[:2]
    if head in UTF16:
        return io.BytesIO(path.read_bytes().decode("utf-16").encode())
    return cast(BinaryIO, gzip.open(path)) if head == GZIP else path.open("rb")


def text_blocks(path: Path) -> Generator[tuple[bytes, bytes, bool], None, None]:
    """Yield whole lines, about ``BLOCK_BYTES`` at a time, the next line that is not blank, and whether they are the last."""
    try:
        with _open(path) as file:
            held = b""
            while block := held + file.read(BLOCK_BYTES):
                block += file.readline()
                ahead = []
                for line in iter(file.readline, b""):
                    ahead.append(line)
                    if line.strip():
                        break
                held = b"".join(ahead)
                yield block, (ahead[-1] if ahead else b""), not held
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: the gzip file is cut off or damaged ({error}); copy it again") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: it begins as UTF-16 text but is none; save it as UTF-8 CSV") from error


def _lines(file: InputFile, block: bytes, *, first_line: int) -> pl.DataFrame:
    """Return (line, row) of every line of the block."""
    try:
        lines = pl.read_lines(io.BytesIO(block), name="row", row_index_name="line", row_index_offset=first_line)
    except pl.exceptions.PolarsError as error:
        problem = str(error).strip().split("\n")[0]
        raise BadInput(f"{file.name}: not a UTF-8 text file ({problem}); save it as UTF-8 CSV") from error
    # Some programs on Windows end lines with two carriage returns.
    return lines.select(pl.col("line").cast(pl.UInt32), pl.col("row").str.strip_suffix("\r"))


def _shape(table: TextTable, lines: pl.DataFrame, *, after: pl.Series) -> pl.Series:
    """Return why each row can't be split into the header's fields, or null. ``after``: the line that follows them."""
    row, separator, wanted = lines["row"], table.separator, table.width
    # A quotation mark has to enclose a whole field. An open one would swallow the rows below it, so such a row is kept
    # from the parser. Separators between quotation marks do not count.
    quoted = row.str.contains('"', literal=True)
    mark = re.escape(separator)
    whole = rf'(?:[^"{mark}]*|"(?:[^"]|"")*")'
    stray = quoted & ~row.str.contains(rf"^{whole}(?:{mark}{whole})*$") if quoted.any() else quoted
    bare = row.str.replace_all(r'"(?:[^"]|"")*"', "") if quoted.any() else row
    fields = bare.str.count_matches(separator, literal=True).cast(pl.Int32) + 1
    control = row.str.contains(CONTROL)
    # A line break inside a number leaves a row that looks whole and a fragment of digits after it.
    following = pl.concat([row, after])[1:]
    short = following.str.count_matches(separator, literal=True) < wanted - 1
    digits = following.str.contains(rf"^[\s\d.,eEKMBkmb%$'+-]+(?:{mark}|$)") & ~following.str.contains(DATED)
    fragment = short & digits & (following != "")
    if table._field_at(wanted - 1) is None:
        fragment = fragment & False
    frame = pl.DataFrame({"stray": stray, "control": control, "fields": fields, "fragment": fragment})
    if (odd := (fields != wanted) & ~stray).any():
        for other in SEPARATORS:
            mixed = bare.filter(odd).str.count_matches(other, literal=True) == wanted - 1
            if other != separator and wanted > 1 and mixed.any():
                at = lines["line"].filter(odd).filter(mixed)[0]
                raise BadInput(
                    f"{table.file.name}: line {at} is separated by {other!r}, the header by {separator!r}; "
                    "use one of them throughout"
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
