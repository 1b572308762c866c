"""Text that a spreadsheet would take for a formula, made text again (OWASP's advice on CSV injection)."""

import polars as pl

_FORMULA = r"^(\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|[\t\r\n]|')"
"""How a cell begins that some spreadsheet would evaluate, full-width signs and white space before them included. An
apostrophe is among them so that taking one off again gives the text back, whatever it was."""


def guarded(table: pl.DataFrame) -> pl.DataFrame:
    """``table`` with an apostrophe before every text that could be a formula; numbers and dates stay as they are.

    To read it back as it was, take one leading apostrophe off wherever there is one. Column names are ours, not a user's.
    """
    return table.with_columns(
        pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text).alias(name)
        for name, kind in table.schema.items()
        if kind in (pl.String, pl.Categorical, pl.Enum)
        for text in [pl.col(name).cast(pl.String)]
    )
