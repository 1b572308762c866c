"""Read input files into the raw panel, every row accounted for, in memory that does not grow with the panel.

Blocks of rows are typed as they are read and written to scratch files sorted by ticker. Repeats, revisions and changes
of the adjustment basis are then resolved for some tickers at a time.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.delivery import Delivery
from forecast_assets.core.panel.adapters.layouts import OPTIONS, Layout
from forecast_assets.core.panel.adapters.parquet_tables import ParquetTable
from forecast_assets.core.panel.adapters.text_tables import TextTable
from forecast_assets.core.panel.arrivals import arrival_order
from forecast_assets.core.panel.basis import check_basis
from forecast_assets.core.panel.contracts import RawPanel, RejectedRows, validate
from forecast_assets.core.panel.days_to_come import reject_far, reject_near
from forecast_assets.core.panel.exchanges import FirstQuotes, place_tickers, settle
from forecast_assets.core.panel.flags import find_flags, flags_of_exchanges
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.panel.input_files import resolve_input_files
from forecast_assets.core.panel.lineage import rename
from forecast_assets.core.panel.read import open_table
from forecast_assets.core.panel.rows import COLUMNS, KEY, Typing, type_rows
from forecast_assets.core.panel.special_sessions import is_sure_phantom, phantom, reject_closed_days, special_sessions
from forecast_assets.core.panel.summary import Summary, summarise, ticker_facts
from forecast_assets.core.specs import PanelSpec

ROWS_PER_PART = 500_000  # about how many rows of whole tickers are resolved together
INTRADAY = 2  # mean number of different rows per ticker and day from which bars are intraday
SPILL_GROUP = 16_000  # rows of a row group of a scratch file: the least that a part reads of each block


@dataclass(frozen=True)
class FileRead:
    """What a file was recognised as, and its number of rows."""

    name: str
    layout: Layout
    rows: int


@dataclass
class Reading:
    """CSV and Parquet files read, in the order of their arrival, as one panel; a later file may revise earlier rows.

    Every data row ends in ``parts`` or in ``rejected`` (duplicate, superseded, invalid, refused). Accepted rows hold what
    was delivered; those of a file on another adjustment basis are rescaled and flagged. Exhaust ``parts`` before the rest.
    ``scratch``: an empty folder that may be removed afterwards; ``until``: rows of later dates are not used;
    ``published``: exchanges by ticker that the panel has already, see ``place_tickers``.
    """

    files: Sequence[InputFile]
    spec: PanelSpec
    scratch: Path
    until: dt.date | None = None
    published: Mapping[str, str] = field(default_factory=dict)
    rows_per_part: int = ROWS_PER_PART
    rows_read: int = field(default=0, init=False)
    rows_later: int = field(default=0, init=False)  # after ``until``
    files_read: list[FileRead] = field(default_factory=list, init=False)
    _first_quotes: FirstQuotes = field(default_factory=FirstQuotes, init=False)
    _rejected: list[pl.DataFrame] = field(default_factory=list, init=False)
    _flags: list[pl.DataFrame] = field(default_factory=list, init=False)
    _revisions: list[pl.DataFrame] = field(default_factory=list, init=False)
    _tickers_read: list[pl.DataFrame] = field(default_factory=list, init=False)
    _assigned_by: pl.DataFrame = field(default_factory=pl.DataFrame, init=False)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the raw panel by ticker and date, whole tickers at a time.

        Raises BadInput, before the first part, for a file that can't be read as a whole and where no row is usable.
        """
        if not self.files:
            raise BadInput("no panel file is given; name a CSV or Parquet file, or a folder of them")
        ordered = sorted(self.files, key=arrival_order)
        names = tuple(file.name for file in ordered)
        for number, file in enumerate(ordered):
            self._type_file(number, file)
        tickers = self._tickers(names)
        lone = [number for number, read in enumerate(self.files_read) if read.layout.lone_basis]
        self._flags.append(check_basis(self._spilled(), files=names, lone=lone))
        begin, end = tickers.select(pl.min("begin")).item(), tickers.select(pl.max("end")).item()
        quotes = self._first_quotes.quotes()
        placed = place_tickers(quotes, until=end, spec=self.spec, published=self.published)
        self._assigned_by = placed.select("ticker", "assigned_by")
        special = special_sessions(self._spilled(), placed=placed)
        rejected, spans = [], []
        for first, last in self._ranges(tickers):
            rows = self._spilled().filter(pl.col("ticker").is_between(pl.lit(first), pl.lit(last))).collect()
            rows = reject_near(settle(rows, placed), seen=[file.first_seen for file in ordered])
            rows = reject_closed_days(rows, special)
            rows, unusable = _split_off(_reject_misspelt(rows, tickers))
            resolved = resolve_input_files(rows, files=ordered)
            rejected += [unusable, resolved.rejected]
            accepted = resolved.accepted.select(COLUMNS).sort(KEY)
            if accepted.is_empty():
                continue
            self._flags.append(find_flags(accepted, begin=begin, end=end, rescaled=resolved.rescaled, spec=self.spec))
            spans.append(accepted.group_by("exchange", "ticker").agg(first=pl.min("date"), last=pl.max("date")))
            self._revisions.append(resolved.revisions)
            self._tickers_read.append(ticker_facts(accepted, max_fill_sessions=self.spec.max_fill_sessions))
            yield validate(accepted, RawPanel, "raw_panel")
        if not spans:
            why = pl.concat(rejected)["reason"].unique(maintain_order=True)
            others = f"; reasons beside it: {len(why) - 1}" if len(why) > 1 else ""
            raise BadInput(f"{', '.join(names)}: no row is usable; {why[0]}{others}")
        self._flags.append(
            flags_of_exchanges(pl.concat(spans), placed=placed, special=special, calendar_days=self.spec.calendar_days)
        )
        self._rejected += self._verbatim(pl.concat(rejected), ordered)

    @property
    def rejected(self) -> pl.DataFrame:
        """Rows that were not accepted, by file and line."""
        return validate(pl.concat(self._rejected).sort("file", "line"), RejectedRows, "rejected_rows")

    @property
    def flags(self) -> pl.DataFrame:
        """Flags of accepted rows, see ``find_flags``."""
        return pl.concat(self._flags).sort("flag", "ticker", "date")

    @property
    def tickers(self) -> pl.DataFrame:
        """Rows, days and holes of each ticker, see ``ticker_facts``, and ``assigned_by``: what its exchange rests on."""
        return pl.concat(self._tickers_read).join(self._assigned_by, on="ticker", how="left").sort("ticker")

    def summary(self, left_out: Sequence[tuple[str, str]] = ()) -> Summary:
        """Return what was read, in short. ``left_out``: files that were not, and why."""
        return summarise(
            files=pl.DataFrame(
                {
                    "name": [read.name for read in self.files_read],
                    "layout": [read.layout.name for read in self.files_read],
                    "rows": [read.rows for read in self.files_read],
                    "notes": pl.Series([list(read.layout.notes) for read in self.files_read], dtype=pl.List(pl.String)),
                }
            ),
            left_out=left_out,
            rows_read=self.rows_read,
            rows_later=self.rows_later,
            tickers=self.tickers,
            rejected=self.rejected,
            flags=self.flags,
        )

    @property
    def revisions(self) -> pl.DataFrame:
        """Values that a later file changed."""
        return pl.concat(self._revisions)

    def _open(self, file: InputFile) -> TextTable | ParquetTable:
        try:
            return open_table(file, self.spec)
        except BadInput as error:
            if len(self.files) == 1:
                raise
            without = f'to go on without the file, add to {OPTIONS}: files: {{"{file.name}": {{skip: true}}}}'
            raise BadInput(f"{error}; {without}") from error

    def _type_file(self, number: int, file: InputFile) -> None:
        """Type a file block by block and write the usable rows to scratch files."""
        table, typing, rows = self._open(file), None, 0
        for k, delivery in enumerate(table.blocks()):
            if typing is None:
                typing = Typing.of(delivery, layout=table.layout, spec=file.spec(self.spec))
            typed = type_rows(delivery, typing)
            rows += delivery.rows_read
            self.rows_read += delivery.rows_read
            if self.until is not None:
                later = (typed["date"] > self.until).fill_null(False)
                self.rows_later += int(later.sum())
                typed = typed.filter(~later)
            if file.first_seen is not None:
                typed = reject_far(typed, seen=file.first_seen)
            unusable = typed.filter(pl.col("reason").is_not_null()).select("entry", "reason", "class")
            self._reject(
                delivery, pl.concat([unusable, delivery.malformed.with_columns(pl.lit("invalid").alias("class"))])
            )
            usable = rename(typed.filter(pl.col("reason").is_null()).drop("reason", "class"), self.spec.renames).sort(
                KEY
            )
            _refuse_intraday(usable, file.name)
            self._first_quotes.add(usable)
            usable = self._reject_phantoms(delivery, usable)
            usable.with_columns(file_no=pl.lit(number, dtype=pl.UInt32)).write_parquet(
                self.scratch / f"{number:05d}-{k:05d}.parquet", row_group_size=SPILL_GROUP, compression="lz4"
            )
        if typing is not None:
            typing.check(file.name)
        self.files_read.append(FileRead(file.name, table.layout, rows))

    def _reject_phantoms(self, delivery: Delivery, usable: pl.DataFrame) -> pl.DataFrame:
        """Reject what can only be a phantom while its text is at hand: later the file would have to be read again."""
        gone = is_sure_phantom(usable)
        if gone.any():
            self._reject(
                delivery, usable.filter(gone).select("entry", reason=phantom(), **{"class": pl.lit("invalid")})
            )
        return usable.filter(~gone)

    def _reject(self, delivery: Delivery, rows: pl.DataFrame) -> None:
        """Record the rows (entry, reason, class) of a block that are not used."""
        text = rows.join(delivery.verbatim(rows["entry"]), on="entry", how="left")
        named = text.with_columns(file=pl.lit(delivery.file))
        self._rejected.append(named.select("file", "line", "reason", "class", "row"))

    def _spilled(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.scratch / "*.parquet")

    def _tickers(self, names: tuple[str, ...]) -> pl.DataFrame:
        """Return ticker, rows, begin, end of the rows in the scratch files, by ticker."""
        seen = self._spilled().group_by("ticker").agg(rows=pl.len(), begin=pl.min("date"), end=pl.max("date"))
        tickers = seen.collect(engine="streaming").sort("ticker")
        if tickers.is_empty():
            raise self._nothing_usable(names)
        return tickers

    def _nothing_usable(self, names: Sequence[str]) -> BadInput:
        because = pl.concat(self._rejected).head(1)["reason"].to_list()
        why = f"the first was rejected because {because[0]}" if because else f"none is on or before {self.until}"
        return BadInput(f"{', '.join(names)}: no row is usable; {why}")

    def _ranges(self, tickers: pl.DataFrame) -> Iterator[tuple[str, str]]:
        """Yield the first and last ticker of each part."""
        part = (pl.col("rows").cast(pl.Int64).cum_sum() - 1) // self.rows_per_part
        ranges = tickers.group_by(part.alias("part"), maintain_order=True).agg(
            first=pl.first("ticker"), last=pl.last("ticker")
        )
        return ranges.select("first", "last").iter_rows()

    def _verbatim(self, rows: pl.DataFrame, files: Sequence[InputFile]) -> list[pl.DataFrame]:
        """Return ``rows`` (file_no, entry, reason, class) with their text, read from their files again."""
        found = []
        for (number,), part in rows.group_by("file_no"):
            file = files[int(number)]
            for delivery in open_table(file, self.spec).blocks():
                here = part.join(delivery.verbatim(part["entry"]), on="entry", how="inner")
                found.append(here.with_columns(file=pl.lit(file.name)).select("file", "line", "reason", "class", "row"))
        return found


def _refuse_intraday(rows: pl.DataFrame, file: str) -> None:
    """Raise BadInput for a file with several rows a day for most tickers and days; exact repeats do not count."""
    days = rows.unique(["ticker", "date", "open", "close", "volume"]).group_by("ticker", "date").len()
    most = days.select(pl.max("len")).item()
    if days.height and most > INTRADAY and days.select(pl.mean("len")).item() >= INTRADAY:
        ticker, day, _ = days.filter(pl.col("len") == most).sort("ticker", "date").row(0)
        raise BadInput(
            f"{file}: {most} rows for {ticker} on {day}, and several on most days: these are intraday bars; make one row "
            "per ticker and day of them (its first open, highest high, lowest low, last close and the sum of its volumes)"
        )


def _reject_misspelt(rows: pl.DataFrame, tickers: pl.DataFrame) -> pl.DataFrame:
    """Reject the rows of a ticker that differs by capitals alone from an earlier one: no later row changes which it is."""
    upper = tickers.with_columns(upper=pl.col("ticker").str.to_uppercase())
    usual = (
        upper.filter(pl.col("upper").is_duplicated())
        .sort("begin", "ticker")
        .group_by("upper", maintain_order=True)
        .agg(usual=pl.first("ticker"), ticker=pl.col("ticker").slice(1))
        .explode("ticker")
    )
    if usual.is_empty():
        return rows
    reason = pl.format("{} differs from {} by capitals alone; write one ticker in one way", "ticker", "usual")
    return (
        rows.join(usual.select("ticker", "usual"), on="ticker", how="left", maintain_order="left")
        .with_columns(reason=pl.coalesce("reason", pl.when(pl.col("usual").is_not_null()).then(reason)))
        .drop("usual")
    )


def _split_off(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (usable rows, file_no, entry, reason and class of the others)."""
    bad = pl.col("reason").is_not_null()
    return rows.filter(~bad).drop("reason", "class"), rows.filter(bad).select("file_no", "entry", "reason", "class")
