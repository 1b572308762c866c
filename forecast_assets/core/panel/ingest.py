"""Drops of raw rows -> the raw panel, with every input row accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.contracts import RAW_PANEL, REJECTED_ROWS, validate
from forecast_assets.core.panel.drops import resolve_drops
from forecast_assets.core.panel.flags import find_flags
from forecast_assets.core.panel.read import Delivery, read_file
from forecast_assets.core.panel.rows import COLUMNS, KEY, type_rows
from forecast_assets.core.specs import PanelSpec


@dataclass(frozen=True)
class Ingest:
    """One reading of the drops."""

    accepted: pl.DataFrame  # raw_panel
    rejected: pl.DataFrame  # rejected_rows
    flags: pl.DataFrame  # ticker, date (null: the whole ticker), flag, detail
    revisions: pl.DataFrame  # ticker, date, old and new file, line and values
    rows_read: int

    @property
    def invalid_share(self) -> float:
        """Share of the rows read that are invalid; duplicates and superseded rows are not held against a panel."""
        return self.rejected.filter(pl.col("class") == "invalid").height / self.rows_read


def read_drops(files: Sequence[Path], *, spec: PanelSpec) -> Ingest:
    """Read CSV and Parquet files, in the order of their names, as one panel in which a later file may revise earlier rows.

    Every data row of every file ends in ``accepted`` or in ``rejected`` (duplicate, superseded, invalid); accepted rows
    hold what was delivered (a drop on another adjustment basis rescaled and flagged). Raises BadInput for a file that
    can't be read as a whole and when no row at all is usable.
    """
    if not files:
        raise BadInput("no panel file is given; name a CSV or Parquet file, or a folder of them")
    ordered = sorted(files, key=lambda path: path.name)
    deliveries = [read_file(path, columns=spec.columns) for path in ordered]
    names = tuple(delivery.file for delivery in deliveries)
    typed = pl.concat(
        type_rows(delivery, spec=spec).with_columns(file_no=pl.lit(number, dtype=pl.UInt32))
        for number, delivery in enumerate(deliveries)
    )
    typed = _reject_changed_exchange(typed)
    usable = typed.filter(pl.col("reason").is_null())
    invalid = typed.filter(pl.col("reason").is_not_null()).select("file_no", "line", "reason")
    malformed = [
        delivery.malformed.with_columns(file_no=pl.lit(number, dtype=pl.UInt32)).select("file_no", "line", "reason")
        for number, delivery in enumerate(deliveries)
    ]
    invalid = pl.concat([invalid, *malformed]).with_columns(pl.lit("invalid").alias("class"))
    if usable.is_empty():
        raise BadInput(f"{', '.join(names)}: no row is usable; the first was rejected because {invalid['reason'][0]}")
    resolved = resolve_drops(usable.drop("reason"), files=names)
    accepted = resolved.accepted.select(COLUMNS).sort(KEY)
    rejected = _with_verbatim(pl.concat([invalid, resolved.rejected]), deliveries)
    rows_read = sum(delivery.rows_read for delivery in deliveries)
    assert accepted.height + rejected.height == rows_read, (accepted.height, rejected.height, rows_read)
    return Ingest(
        accepted=validate(accepted, RAW_PANEL, "raw_panel"),
        rejected=validate(rejected, REJECTED_ROWS, "rejected_rows"),
        flags=find_flags(accepted, rescaled=resolved.rescaled, spec=spec),
        revisions=resolved.revisions,
        rows_read=rows_read,
    )


def _reject_changed_exchange(typed: pl.DataFrame) -> pl.DataFrame:
    """A ticker has one calendar: rows that name another exchange than its earliest usable row are unusable."""
    usable = typed.filter(pl.col("reason").is_null())
    home = usable.sort("date", "file_no", "line").group_by("ticker").agg(home=pl.first("exchange"))
    if usable.select("ticker", "exchange").unique().height == home.height:
        return typed
    moved = pl.col("reason").is_null() & (pl.col("exchange") != pl.col("home"))
    reason = pl.format("{} is on {}, but on {} before; give it another ticker", "ticker", "exchange", "home")
    return (
        typed.join(home, on="ticker", how="left", maintain_order="left")
        .with_columns(reason=pl.when(moved).then(reason).otherwise(pl.col("reason")))
        .drop("home")
    )


def _with_verbatim(rejected: pl.DataFrame, deliveries: Sequence[Delivery]) -> pl.DataFrame:
    parts = []
    for number, delivery in enumerate(deliveries):
        part = rejected.filter(pl.col("file_no") == number)
        rows = delivery.verbatim(part["line"])
        parts.append(part.join(rows, on="line", how="left").with_columns(file=pl.lit(delivery.file)))
    return pl.concat(parts).sort("file_no", "line").select("file", "line", "reason", "class", "row")
