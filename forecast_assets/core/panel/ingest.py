"""Read input files into the raw panel, every row accounted for, in memory that does not grow with the panel.

Blocks of rows are typed as they are read and written to scratch files sorted by ticker. Repeats, revisions and changes
of the adjustment basis are then resolved for some tickers at a time.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.contracts import RawPanel, RejectedRows, validate
from forecast_assets.core.panel.flags import find_flags
from forecast_assets.core.panel.input_files import resolve_input_files
from forecast_assets.core.panel.lineage import rename
from forecast_assets.core.panel.numbers import Notation, check_notation
from forecast_assets.core.panel.read import Delivery, read_blocks
from forecast_assets.core.panel.rows import COLUMNS, KEY, type_rows
from forecast_assets.core.specs import PanelSpec

ROWS_PER_PART = 500_000  # about how many rows of whole tickers are resolved together
SPILL_GROUP = 16_000  # rows of a row group of a scratch file: the least that a part reads of each block


@dataclass
class Reading:
    """CSV and Parquet files read, in the order of their names, as one panel; a later file may revise earlier rows.

    Every data row ends in ``parts`` or in ``rejected`` (duplicate, superseded, invalid). Accepted rows hold what was
    delivered; those of a file on another adjustment basis are rescaled and flagged. Exhaust ``parts`` before the rest.
    ``scratch``: an empty folder that may be removed afterwards; ``until``: rows of later dates are not used.
    """

    files: Sequence[Path]
    spec: PanelSpec
    scratch: Path
    until: dt.date | None = None
    rows_per_part: int = ROWS_PER_PART
    rows_read: int = field(default=0, init=False)
    rows_later: int = field(default=0, init=False)  # after ``until``
    _rejected: list[pl.DataFrame] = field(default_factory=list, init=False)
    _flags: list[pl.DataFrame] = field(default_factory=list, init=False)
    _revisions: list[pl.DataFrame] = field(default_factory=list, init=False)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the raw panel by ticker and date, whole tickers at a time.

        Raises BadInput, before the first part, for a file that can't be read as a whole and where no row is usable.
        """
        if not self.files:
            raise BadInput("no panel file is given; name a CSV or Parquet file, or a folder of them")
        ordered = sorted(self.files, key=lambda path: path.name)
        names = tuple(path.name for path in ordered)
        for number, path in enumerate(ordered):
            self._type_file(number, path)
        tickers = self._tickers(names)
        begin, end = tickers.select(pl.min("begin")).item(), tickers.select(pl.max("end")).item()
        rejected = []
        for first, last in self._ranges(tickers):
            rows = self._spilled().filter(pl.col("ticker").is_between(pl.lit(first), pl.lit(last))).collect()
            rows, moved = _split_off(_reject_misspelt(_reject_changed_exchange(rows), tickers))
            resolved = resolve_input_files(rows, files=names)
            rejected += [moved.with_columns(pl.lit("invalid").alias("class")), resolved.rejected]
            accepted = resolved.accepted.select(COLUMNS).sort(KEY)
            if accepted.is_empty():
                continue
            self._flags.append(find_flags(accepted, begin=begin, end=end, rescaled=resolved.rescaled, spec=self.spec))
            self._revisions.append(resolved.revisions)
            yield validate(accepted, RawPanel, "raw_panel")
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
    def revisions(self) -> pl.DataFrame:
        """Values that a later file changed."""
        return pl.concat(self._revisions)

    def _type_file(self, number: int, path: Path) -> None:
        """Type a file block by block and write the usable rows to scratch files."""
        prices, volumes = Notation(), Notation()
        for k, delivery in enumerate(read_blocks(path, columns=self.spec.columns)):
            typed = type_rows(delivery, spec=self.spec, prices=prices, volumes=volumes)
            self.rows_read += delivery.rows_read
            if self.until is not None:
                later = (typed["date"] > self.until).fill_null(False)
                self.rows_later += int(later.sum())
                typed = typed.filter(~later)
            unusable = typed.filter(pl.col("reason").is_not_null()).select("line", "reason")
            self._reject(delivery, pl.concat([unusable, delivery.malformed]))
            usable = rename(typed.filter(pl.col("reason").is_null()).drop("reason"), self.spec.renames)
            usable.with_columns(file_no=pl.lit(number, dtype=pl.UInt32)).sort(KEY).write_parquet(
                self.scratch / f"{number:05d}-{k:05d}.parquet", row_group_size=SPILL_GROUP, compression="lz4"
            )
        check_notation(path.name, prices=prices, volumes=volumes)

    def _reject(self, delivery: Delivery, rows: pl.DataFrame) -> None:
        """Record invalid rows of a block."""
        text = rows.join(delivery.verbatim(rows["line"]), on="line", how="left")
        named = text.with_columns(pl.lit("invalid").alias("class"), file=pl.lit(delivery.file))
        self._rejected.append(named.select("file", "line", "reason", "class", "row"))

    def _spilled(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.scratch / "*.parquet")

    def _tickers(self, names: tuple[str, ...]) -> pl.DataFrame:
        """Return ticker, rows, begin, end of the rows in the scratch files, by ticker."""
        seen = self._spilled().group_by("ticker").agg(rows=pl.len(), begin=pl.min("date"), end=pl.max("date"))
        tickers = seen.collect(engine="streaming").sort("ticker")
        if tickers.is_empty():
            because = pl.concat(self._rejected).head(1)["reason"].to_list()
            why = f"the first was rejected because {because[0]}" if because else f"none is on or before {self.until}"
            raise BadInput(f"{', '.join(names)}: no row is usable; {why}")
        return tickers

    def _ranges(self, tickers: pl.DataFrame) -> Iterator[tuple[str, str]]:
        """Yield the first and last ticker of each part."""
        part = (pl.col("rows").cast(pl.Int64).cum_sum() - 1) // self.rows_per_part
        ranges = tickers.group_by(part.alias("part"), maintain_order=True).agg(
            first=pl.first("ticker"), last=pl.last("ticker")
        )
        return ranges.select("first", "last").iter_rows()

    def _verbatim(self, rows: pl.DataFrame, files: Sequence[Path]) -> list[pl.DataFrame]:
        """Return ``rows`` (file_no, line, reason, class) with their text, read from their files again."""
        found = []
        for (number,), part in rows.group_by("file_no"):
            path = files[int(number)]
            for delivery in read_blocks(path, columns=self.spec.columns):
                here = part.join(delivery.verbatim(part["line"]), on="line", how="inner")
                found.append(here.with_columns(file=pl.lit(path.name)).select("file", "line", "reason", "class", "row"))
        return found


def _reject_changed_exchange(rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``reason`` to ``rows``: a ticker has one calendar, so rows on another exchange than its earliest are invalid."""
    home = rows.sort("date", "file_no", "line").group_by("ticker").agg(home=pl.first("exchange"))
    reason = pl.format("{} is on {}, but on {} before; give it another ticker", "ticker", "exchange", "home")
    return (
        rows.join(home, on="ticker", how="left", maintain_order="left")
        .with_columns(reason=pl.when(pl.col("exchange") != pl.col("home")).then(reason))
        .drop("home")
    )


def _reject_misspelt(rows: pl.DataFrame, tickers: pl.DataFrame) -> pl.DataFrame:
    """Reject the rows of a ticker that differs by capitals alone from a more frequent one."""
    upper = tickers.with_columns(upper=pl.col("ticker").str.to_uppercase())
    usual = (
        upper.filter(pl.col("upper").is_duplicated())
        .sort("rows", "ticker", descending=[True, False])
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
    """Return (usable rows, file_no, line and reason of the others)."""
    bad = pl.col("reason").is_not_null()
    return rows.filter(~bad).drop("reason"), rows.filter(bad).select("file_no", "line", "reason")
