"""Schemas of the panel's tables that cross stages, and the check of a table against its schema."""

import dataframely as dy
import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import TARGETS


class RawPanel(dy.Schema):
    """Typed, de-duplicated rows as delivered: one per ticker and date."""

    date = dy.Date(primary_key=True)
    ticker = dy.String(primary_key=True, min_length=1)
    exchange = dy.String(min_length=1)
    sector = dy.String(nullable=True)
    open = dy.Float64(min_exclusive=0, allow_inf=False, allow_nan=False)
    high = dy.Float64(nullable=True, min_exclusive=0, allow_inf=False, allow_nan=False)
    low = dy.Float64(nullable=True, min_exclusive=0, allow_inf=False, allow_nan=False)
    close = dy.Float64(min_exclusive=0, allow_inf=False, allow_nan=False)
    volume = dy.Float64(nullable=True, min=0, allow_inf=False, allow_nan=False)


class RejectedRows(dy.Schema):
    """Input rows that were not accepted, verbatim. ``line`` is 1-based and counts the header.

    ``class`` "refused": nothing is wrong with the row, but its ticker or its day has no place on a trading calendar.
    """

    file = dy.String()
    line = dy.UInt32(min=1)
    reason = dy.String(min_length=1)
    class_ = dy.Enum(["duplicate", "superseded", "invalid", "refused", "outside"], alias="class")
    row = dy.String()


class CalendarPanel(RawPanel):
    """One row per ticker and session; a filled row (``is_missing``) has a close and nothing else."""

    open = dy.Float64(nullable=True, min_exclusive=0, allow_inf=False, allow_nan=False)
    is_missing = dy.Bool()
    is_member = dy.Bool()
    segment = dy.Int32(min=0)
    region = dy.String(min_length=1)

    @dy.rule()
    def only_a_filled_row_has_no_open(cls) -> pl.Expr:  # noqa: N805 - dataframely calls rules on the class
        """An observed row has an open; a filled one carries its close only."""
        return pl.col("open").is_null() == pl.col("is_missing")


class FeaturePanel(dy.Schema):
    """The columns of the feature panel that depend on no setting; feature columns are free."""

    date = dy.Date(primary_key=True)
    ticker = dy.String(primary_key=True, min_length=1)
    exchange = dy.String(min_length=1)
    sector = dy.String(nullable=True)
    region = dy.String(min_length=1)
    segment = dy.Int32(min=0)
    is_missing = dy.Bool()
    is_member = dy.Bool()
    ewma_vol = dy.Float64(nullable=True, min_exclusive=0, allow_inf=False, allow_nan=False)
    locals().update({name: dy.Float64(nullable=True, allow_inf=False, allow_nan=False) for name in TARGETS})
    label_end = dy.Date(nullable=True)

    @dy.rule()
    def a_filled_row_has_no_target(cls) -> pl.Expr:  # noqa: N805
        """A filled row is never a label."""
        return ~pl.col("is_missing") | pl.all_horizontal(pl.col(name).is_null() for name in (*TARGETS, "label_end"))

    @dy.rule()
    def a_label_ends_after_its_forecast_origin(cls) -> pl.Expr:  # noqa: N805
        """The purge of the folds relies on it."""
        return pl.col("label_end").is_null() | (pl.col("label_end") > pl.col("date"))


def validate(frame: pl.DataFrame, schema: type[dy.Schema], name: str) -> pl.DataFrame:
    """Return ``frame`` unchanged when it keeps the contract; columns beyond the contract are allowed.

    Raises BadInput naming the table, the rule and what was found: missing columns, wrong types, rows that break a rule.
    """
    wanted = {column: definition.dtype for column, definition in schema.columns().items()}
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise BadInput(f"{name}: missing columns {missing}; have {frame.columns}")
    # A dataframely Enum is delivered as plain text; the rule below checks its values.
    mistyped = {
        column: f"{frame.schema[column]} instead of {dtype}"
        for column, dtype in wanted.items()
        if frame.schema[column] != dtype and not isinstance(dtype, pl.Enum)
    }
    if mistyped:
        raise BadInput(f"{name}: mistyped columns {mistyped}")
    _, failure = schema.filter(frame.select(*wanted), cast=True)
    if len(failure):
        example = failure.invalid().row(0, named=True)
        raise BadInput(f"{name}: {len(failure)} rows break {dict(failure.counts())}; the first is {example}")
    return frame
