"""An error names the table that breaks its contract and what was found."""

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.contracts import CalendarPanel, RawPanel, RejectedRows, validate
from forecast_assets_tests.helpers.builders import panel_spec, raw


def test_a_table_that_keeps_its_contract_comes_back_as_it_is() -> None:
    frame = raw("AAPL", [1.0, 2.0]).with_columns(note=pl.lit("extra columns are free"))
    assert validate(frame, RawPanel, "raw_panel") is frame


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (pl.col("close").cast(pl.Float32), r"raw_panel: mistyped columns \{'close': 'Float32 instead of Float64'\}"),
        (pl.lit(-1.0).alias("close"), r"raw_panel: 2 rows break \{'close\|min_exclusive': 2\}; the first is"),
        (pl.lit(float("nan")).alias("open"), "2 rows break"),
        (pl.lit(None, dtype=pl.Float64).alias("close"), r"2 rows break \{'close\|nullability': 2\}"),
        (pl.lit("same").alias("ticker"), None),
        (pl.date(2024, 1, 2).alias("date"), r"2 rows break \{'primary_key': 2\}"),
    ],
)
def test_a_broken_contract_is_one_sentence(change: pl.Expr, problem: str | None) -> None:
    frame = raw("AAPL", [1.0, 2.0]).with_columns(change)
    if problem is None:
        validate(frame, RawPanel, "raw_panel")
        return
    with pytest.raises(BadInput, match=problem):
        validate(frame, RawPanel, "raw_panel")


def test_missing_columns_are_listed_beside_those_that_are_there() -> None:
    panel = reindex(raw("AAPL", [1.0, 2.0]), spec=panel_spec())
    with pytest.raises(BadInput, match=r"calendar_panel: missing columns \['is_missing'\]; have \['date', 'ticker'"):
        validate(panel.drop("is_missing"), CalendarPanel, "calendar_panel")


def test_a_class_of_rejection_is_one_of_three() -> None:
    row = {"file": "p.csv", "line": 2, "reason": "because", "class": "lost", "row": "1,2"}
    frame = pl.DataFrame([row], schema_overrides={"line": pl.UInt32})
    with pytest.raises(BadInput, match="rejected_rows: 1 rows break"):
        validate(frame, RejectedRows, "rejected_rows")
    validate(frame.with_columns(pl.lit("duplicate").alias("class")), RejectedRows, "rejected_rows")
