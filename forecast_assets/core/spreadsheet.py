"""Guard texts that a spreadsheet would evaluate as a formula (OWASP's advice on CSV injection)."""

import polars as pl

FORMULA = r"^(\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|[\t\r\n]|')"
"""Beginning of a cell that some spreadsheet evaluates, full-width signs and white space before them included. An
apostrophe counts too, so that removing one leading apostrophe always gives the original text."""


def guarded(table: pl.DataFrame) -> pl.DataFrame:
    """Return ``table`` with an apostrophe before every text that could be a formula; numbers and dates are unchanged.

    To restore it, remove one leading apostrophe from every text that has one. Column names are never a user's text.
    """
    return table.with_columns(
        pl.when(text.str.contains(FORMULA)).then(pl.lit("'") + text).otherwise(text).alias(name)
        for name, kind in table.schema.items()
        if kind in (pl.String, pl.Categorical, pl.Enum)
        for text in [pl.col(name).cast(pl.String)]
    )
