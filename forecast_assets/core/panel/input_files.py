"""Merge the rows of several input files: repeats, conflicts, revisions, files on another adjustment basis."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from forecast_assets.core.panel.adjustment_basis import NOISE, rescale_rebased
from forecast_assets.core.panel.entries import line_of
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.panel.rows import KEY, NUMBERS

ROUNDING = 1e-6  # largest relative difference between two files' values of one cell that counts as rounding
ARRIVED = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Resolved:
    """The outcome of merging the files."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame  # file_no, entry, reason, class
    revisions: pl.DataFrame
    rescaled: pl.DataFrame  # ticker, file, and what ``adjustment_basis.RESCALED`` says of them


def resolve_input_files(rows: pl.DataFrame, *, files: Sequence[InputFile]) -> Resolved:
    """Keep one row per ticker and date of the usable ``rows`` (file_no, entry and the raw panel's columns).

    Within a file: exact repeats are duplicates of the first; rows that contradict each other are all invalid, since
    nothing says which is right. Across files, in their order: a value delivered again (up to rounding) is a duplicate of
    the row before; other values are a revision, which supersedes it. A ticker of a file that was adjusted on another basis
    than the files before is divided by the factor between them first; its values then repeat what they equal within the
    rounding of both files.
    """
    rows = rows.sort(*KEY, "file_no", "entry")
    rows, within = _resolve_within_files(rows)
    rows, factors = rescale_rebased(rows)
    accepted, across, revisions = _resolve_across_files(rows, files)
    rescaled = factors.with_columns(_file("file_no", files).alias("file"))
    return Resolved(accepted, pl.concat([within, across]), revisions, rescaled)


def _same_as_before(*columns: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in columns).fill_null(False)


def _resolve_within_files(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    first = ~_same_as_before(*KEY, "file_no") | (pl.int_range(pl.len()) == 0)
    rows = rows.with_columns(run=first.cum_sum())
    repeated = rows.filter(pl.col("run").is_duplicated())
    values = ("exchange", "sector", *NUMBERS)
    marked = repeated.with_columns(
        conflict=pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).first()) for name in values).any().over("run"),
        repeat=pl.int_range(pl.len()).over("run") > 0,
        lines=line_of("entry").cast(pl.String).str.join(", ").over("run"),
        original=line_of("entry").first().over("run"),
    )
    conflicts = marked.filter("conflict").select(
        "file_no",
        "entry",
        reason=pl.format("conflicting rows for {} on {} in lines {}", "ticker", "date", "lines"),
        **{"class": pl.lit("invalid")},
    )
    repeats = marked.filter(~pl.col("conflict") & pl.col("repeat")).select(
        "file_no", "entry", reason=pl.format("repeats line {}", "original"), **{"class": pl.lit("duplicate")}
    )
    rejected = pl.concat([conflicts, repeats])
    return rows.drop("run").join(rejected, on=["file_no", "entry"], how="anti", maintain_order="left"), rejected


def _resolve_across_files(
    rows: pl.DataFrame, files: Sequence[InputFile]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    differs = pl.any_horizontal(
        *(_beyond_rounding(name) for name in NUMBERS), pl.col("sector").ne_missing(pl.col("sector").shift(1))
    )
    rows = rows.with_columns(again=_same_as_before(*KEY)).with_columns(
        revises=pl.col("again") & differs,
        previous_file=pl.col("file_no").shift(1),
        previous_line=line_of("entry").shift(1),
    )
    # A shift leaves several chunks, a filter may empty one, and formatting a number of an empty chunk panics in polars 2.1:
    # hence the two rechunks.
    duplicates = (
        rows.filter(pl.col("again") & ~pl.col("revises"))
        .rechunk()
        .select(
            "file_no",
            "entry",
            reason=pl.format("repeats line {} of {}", "previous_line", _file("previous_file", files)),
            **{"class": pl.lit("duplicate")},
        )
    )
    # Among the rows with new values of a key, the next one supersedes.
    news = rows.filter(~pl.col("again") | pl.col("revises"))
    followed = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in KEY).fill_null(False)
    news = news.with_columns(
        followed=followed,
        new_file=_file("file_no", files).shift(-1),
        new_line=line_of("entry").shift(-1),
        new_arrived=_arrival("file_no", files).shift(-1),
        **{f"new_{name}": pl.col(name).shift(-1) for name in NUMBERS},
    )
    superseded = news.filter("followed").rechunk().with_columns(old_file=_file("file_no", files))
    rejected = superseded.select(
        "file_no",
        "entry",
        reason=pl.format("revised by line {} of {}", "new_line", "new_file"),
        **{"class": pl.lit("superseded")},
    )
    revisions = superseded.select(
        *KEY,
        "old_file",
        "new_file",
        old_line=line_of("entry"),
        new_line="new_line",
        old_arrived=_arrival("file_no", files),
        new_arrived="new_arrived",
        **{f"old_{name}": pl.col(name) for name in NUMBERS},
        **{f"new_{name}": pl.col(f"new_{name}") for name in NUMBERS},
    )
    return news.filter(~pl.col("followed")), pl.concat([duplicates, rejected]), revisions


def _beyond_rounding(name: str) -> pl.Expr:
    now, before = pl.col(name), pl.col(name).shift(1)
    half = "half_lot" if name == "volume" else "half_unit"
    either = pl.max_horizontal(now.abs(), before.abs())
    # Next to a rescaled row, both are judged by their own rounding; elsewhere what was delivered is compared.
    own = pl.max_horizontal(half, NOISE * now) + pl.max_horizontal(pl.col(half).shift(1), NOISE * before)
    rebased = pl.col("rebased") | pl.col("rebased").shift(1)
    apart = (now - before).abs() > pl.when(rebased).then(own).otherwise(ROUNDING * either)
    return apart.fill_null(False) | (now.is_null() != before.is_null()).fill_null(False)


def _file(column: str, files: Sequence[InputFile]) -> pl.Expr:
    names = {number: file.name for number, file in enumerate(files)}
    return pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)


def _arrival(column: str, files: Sequence[InputFile]) -> pl.Expr:
    arrived: dict[int, dt.datetime | None] = {number: file.arrived for number, file in enumerate(files)}
    return pl.col(column).replace_strict(arrived, default=None, return_dtype=ARRIVED)
