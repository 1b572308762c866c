"""The transformations that a column of a covariate can have."""

import polars as pl

from forecast_assets.core.specs import CovariateColumn


def transformed(column: CovariateColumn, *, base: pl.Expr | None = None) -> pl.Expr:
    """Return the feature from the column ``value``; ``base``: the value that a change looks back to."""
    value = pl.col("value")
    before = pl.lit(None, dtype=pl.Float64) if base is None else base
    made = {
        "level": value,
        "log": value.log(),
        "change": value - before,
        "log_change": (value / before).log(),
    }[column.transform]
    return made if column.at_least is None and column.at_most is None else made.clip(column.at_least, column.at_most)
