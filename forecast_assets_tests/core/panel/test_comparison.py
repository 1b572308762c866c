"""The comparison of two versions of a table names each column that differs and its first row."""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.comparison import Change, compare

D1, D2, D3 = (dt.date(2024, 4, day) for day in (8, 9, 10))


def table(*rows: tuple[str, dt.date, float | None, str]) -> pl.DataFrame:
    return pl.DataFrame(
        rows, schema={"ticker": pl.String, "date": pl.Date, "x": pl.Float64, "s": pl.String}, orient="row"
    )


WHOLE = table(("A", D1, 1.0, "a"), ("A", D2, None, "a"), ("B", D1, 3.0, "b"))


def test_equal_tables_differ_in_nothing_and_missing_equals_missing() -> None:
    assert compare(WHOLE, WHOLE.clone()) == {}


def test_each_column_that_differs_has_its_count_and_its_first_row_by_date() -> None:
    other = table(("A", D1, 1.0, "a"), ("A", D2, 2.0, "c"), ("B", D1, 4.0, "b"))
    assert compare(WHOLE, other) == {"x": Change(2, "B", D1, 3.0, 4.0), "s": Change(1, "A", D2, "a", "c")}


def test_rows_of_one_table_alone_are_counted_and_the_others_still_compared() -> None:
    other = table(("A", D1, 1.5, "a"), ("B", D1, 3.0, "b"), ("B", D3, 1.0, "b"))
    assert compare(WHOLE, other) == {
        "rows": Change(2, "A", D2, "there", "not there"),
        "x": Change(1, "A", D1, 1.0, 1.5),
    }


def test_a_column_that_is_not_there_differs_wherever_it_had_a_value() -> None:
    assert compare(WHOLE, WHOLE.drop("x"))["x"] == Change(2, "A", D1, 1.0, None)


def test_the_tolerance_is_relative_and_the_slack_is_absolute_and_by_entry() -> None:
    other = table(("A", D1, 1.0 + 1e-8, "a"), ("A", D2, None, "z"), ("B", D1, 3.1, "b"))
    assert compare(WHOLE, other, tolerance=1e-9)["x"].count == 2
    assert compare(WHOLE, other, tolerance=1e-7)["x"] == Change(1, "B", D1, 3.0, 3.1)
    slack = WHOLE.with_columns(x=pl.Series([1e-7, 0.0, 0.2]), s=pl.Series([0.0, 0.0, 0.0]))
    assert set(compare(WHOLE, other, slack=slack)) == {"s"}
    assert compare(WHOLE, other, slack=slack.with_columns(s=pl.Series([0.0, float("inf"), 0.0]))) == {}


def test_a_value_that_turns_missing_differs_whatever_the_tolerance() -> None:
    other = table(("A", D1, None, "a"), ("A", D2, None, "a"), ("B", D1, 3.0, "b"))
    assert compare(WHOLE, other, tolerance=1.0) == {"x": Change(1, "A", D1, 1.0, None)}
