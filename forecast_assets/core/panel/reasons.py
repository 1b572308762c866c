"""Why rows were rejected: reasons that differ in numbers and names alone are one kind, with two rows of it each."""

from typing import Any

import polars as pl

REASONS, EXAMPLES = 3, 2  # shown
LONGEST = 120  # characters shown of a row


def rejections(rejected: pl.DataFrame) -> list[dict[str, Any]]:
    """Return class, reason, rows and examples (file, line, reason, row) of each kind of reason, the most frequent first."""
    found = []
    for (name, kind), rows in rejected.with_columns(kind=_kind(pl.col("reason"))).group_by(
        "class", "kind", maintain_order=True
    ):
        examples = rows.head(EXAMPLES).select("file", "line", "reason", pl.col("row").str.slice(0, LONGEST))
        found.append({"class": name, "reason": kind, "rows": rows.height, "examples": examples.to_dicts()})
    return sorted(found, key=lambda each: -int(each["rows"]))


def frequent_reasons(rejected: pl.DataFrame) -> str:
    """Return the three most frequent reasons of invalid rows: how often, and two rows each."""
    invalid = rejections(rejected.filter(pl.col("class") == "invalid"))[:REASONS]
    return "; ".join(
        f"{each['examples'][0]['reason']} ({each['rows']:,} rows, such as "
        + ", ".join(f"{one['file']}:{one['line']} {one['row']!r}" for one in each["examples"])
        + ")"
        for each in invalid
    )


def _kind(reason: pl.Expr) -> pl.Expr:
    """Return a reason without what differs from row to row."""
    quoted = reason.str.replace_all(r"'[^']*'|\"[^\"]*\"", "…")
    plain = quoted.str.replace_all(r"[-+]?\d[\d.,:/eE+-]*", "…").str.replace(r"(rows for|exchange of) \S+", "${1} …")
    return plain.str.replace(r"^\S+ (is on|differs from) \S+", "a ticker ${1} …")
