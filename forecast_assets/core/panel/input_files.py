"""Merge the rows of several input files: repeats, conflicts, revisions, files on another adjustment basis."""

from dataclasses import dataclass

import polars as pl

from forecast_assets.core.panel.entries import line_of
from forecast_assets.core.panel.rows import KEY, NUMBERS, PRICES

ROUNDING = 1e-6  # largest relative difference between two files' values of one cell that counts as rounding
REBASE_ROWS = 3  # shortest overlap with a constant factor that counts as another adjustment basis
REBASE_TOLERANCE = 1e-4  # largest relative spread of that factor over the overlap, and smallest distance from 1


@dataclass(frozen=True)
class Resolved:
    """The outcome of merging the files."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame  # file_no, entry, reason, class
    revisions: pl.DataFrame
    rescaled: pl.DataFrame  # ticker, file, factor


def resolve_input_files(rows: pl.DataFrame, *, files: tuple[str, ...]) -> Resolved:
    """Keep one row per ticker and date of the usable ``rows`` (file_no, entry and the raw panel's columns).

    Within a file: exact repeats are duplicates of the first; rows that contradict each other are all invalid, since
    nothing says which is right. Across files, in their order: a value delivered again (up to rounding) is a duplicate of
    the row before; other values are a revision, which supersedes it. A file whose prices differ from the earlier ones by
    one constant factor per ticker was adjusted on another basis and is divided by that factor first.
    """
    rows = rows.sort(*KEY, "file_no", "entry")
    rows, within = _resolve_within_files(rows)
    rows, rescaled = _rescale_rebased(rows, files)
    accepted, across, revisions = _resolve_across_files(rows, files)
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


def _rescale_rebased(rows: pl.DataFrame, files: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = []
    settled = pl.DataFrame(schema={"file_no": pl.UInt32, "ticker": pl.String})
    while True:
        again = _same_as_before(*KEY)
        ratios = rows.select(
            "file_no",
            "ticker",
            again=again,
            close=pl.col("close") / pl.col("close").shift(1),
            open=pl.col("open") / pl.col("open").shift(1),
        ).filter("again")
        factors = (
            ratios.group_by("file_no", "ticker")
            .agg(
                pl.len().alias("overlap"),
                factor=pl.col("close").median(),
                low=pl.min_horizontal(pl.min("close"), pl.min("open")),
                high=pl.max_horizontal(pl.max("close"), pl.max("open")),
            )
            .filter(
                pl.col("overlap") >= REBASE_ROWS,
                pl.col("high") / pl.col("low") - 1 < REBASE_TOLERANCE,
                (pl.col("factor") - 1).abs() > REBASE_TOLERANCE,
            )
            .join(settled, on=["file_no", "ticker"], how="anti")
        )
        if factors.is_empty():
            break
        # Earliest file first: a later one is compared with what this one becomes.
        factors = factors.filter(pl.col("file_no") == pl.col("file_no").min()).select("file_no", "ticker", "factor")
        settled = pl.concat([settled, factors.select("file_no", "ticker")])
        found.append(factors)
        rows = (
            rows.join(factors, on=["file_no", "ticker"], how="left", maintain_order="left")
            .with_columns(pl.col(PRICES) / pl.col("factor").fill_null(1.0))
            .drop("factor")
        )
    rescaled = pl.concat(found) if found else settled.with_columns(factor=pl.lit(None, dtype=pl.Float64))
    return rows, rescaled.sort("file_no", "ticker").select("ticker", _file("file_no", files).alias("file"), "factor")


def _resolve_across_files(
    rows: pl.DataFrame, files: tuple[str, ...]
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
        **{f"old_{name}": pl.col(name) for name in NUMBERS},
        **{f"new_{name}": pl.col(f"new_{name}") for name in NUMBERS},
    )
    return news.filter(~pl.col("followed")), pl.concat([duplicates, rejected]), revisions


def _beyond_rounding(name: str) -> pl.Expr:
    now, before = pl.col(name), pl.col(name).shift(1)
    apart = (now - before).abs() > ROUNDING * pl.max_horizontal(now.abs(), before.abs())
    return apart.fill_null(False) | (now.is_null() != before.is_null()).fill_null(False)


def _file(column: str, files: tuple[str, ...]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(enumerate(files)), default=None, return_dtype=pl.String)
