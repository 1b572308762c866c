"""Why rows were rejected, in a sentence."""

import polars as pl

REASONS, EXAMPLES = 3, 2  # shown


def frequent_reasons(rejected: pl.DataFrame) -> str:
    """Return the three most frequent reasons of invalid rows: how often, and two rows each.

    Reasons that differ in their numbers and quoted values alone are one.
    """
    kind = pl.col("reason").str.replace_all(r"'[^']*'|\"[^\"]*\"|\d[\d.,:/-]*", "...")
    reasons = (
        rejected.filter(pl.col("class") == "invalid")
        .group_by(kind=kind)
        .agg(pl.len().alias("rows"), pl.col("reason").first(), pl.col("file", "line", "row").head(EXAMPLES))
        .sort("rows", "kind", descending=[True, False])
        .head(REASONS)
    )
    return "; ".join(
        f"{row['reason']} ({row['rows']:,} rows, such as "
        + ", ".join(
            f"{file}:{line} {text!r}" for file, line, text in zip(row["file"], row["line"], row["row"], strict=True)
        )
        + ")"
        for row in reasons.iter_rows(named=True)
    )
