"""Returns by month and drawdowns of a book."""

import datetime as dt

import polars as pl
import pytest

from forecast_assets.core.report.tear_sheet import heat_cells, monthly_returns, tear_sheet, worst_drawdowns


def book(**returns: float) -> pl.DataFrame:
    """Return a book with a net return on each day, named like ``d20240131``."""
    days = [dt.datetime.strptime(name, "d%Y%m%d").date() for name in returns]
    return pl.DataFrame({"date": days, "net_return": list(returns.values())})


def test_a_month_compounds_its_days_and_a_month_without_a_session_is_empty() -> None:
    (first, second) = monthly_returns(book(d20231130=0.1, d20231201=0.1, d20231229=-0.5, d20240102=0.25))
    assert first["year"] == 2023
    assert first["months"][:10] == [None] * 10
    assert first["months"][10:] == pytest.approx([0.1, -0.45])
    assert first["total"] == pytest.approx(1.1 * 1.1 * 0.5 - 1)
    assert (second["year"], second["months"][1:]) == (2024, [None] * 11)
    assert second["months"][0] == pytest.approx(0.25)


def test_drawdowns_run_from_the_peak_to_the_session_that_regains_it() -> None:
    table = book(
        d20240102=0.1,
        d20240103=-0.1,
        d20240104=-0.1,
        d20240105=0.5,  # above the peak again
        d20240108=-0.02,
        d20240109=0.05,
        d20240110=-0.3,  # and never again
        d20240111=0.1,
    )
    found = worst_drawdowns(table)
    assert [fall["depth"] for fall in found] == pytest.approx([-0.3, -0.19, -0.02])
    assert [(fall["peak"].day, fall["trough"].day, fall["sessions"]) for fall in found] == [
        (9, 10, 2),
        (2, 4, 2),
        (5, 8, 1),
    ]
    assert [fall["recovered"] and fall["recovered"].day for fall in found] == [None, 5, 9]
    assert worst_drawdowns(table, count=1) == found[:1]


def test_a_book_that_falls_from_the_start_is_below_its_start() -> None:
    (fall,) = worst_drawdowns(book(d20240102=-0.1, d20240103=-0.1))
    assert (fall["peak"].day, fall["trough"].day, fall["recovered"], fall["sessions"]) == (2, 3, None, 2)
    assert worst_drawdowns(book(d20240102=0.1, d20240103=0.0)) == []


def test_the_month_that_moved_most_is_the_strongest_and_an_empty_one_has_no_colour() -> None:
    (row,) = heat_cells(monthly_returns(book(d20240102=0.1, d20240201=-0.2, d20240301=0.0)))
    cells = [(cell["text"], cell["direction"], cell["weight"]) for cell in row["cells"][:4]]
    assert cells == [("10.0 %", "gain", 50), ("\u221220.0 %", "loss", 100), ("0.0 %", "none", 0), ("", "none", 0)]
    assert (row["year"], row["total"], len(row["cells"])) == (2024, "\u221212.0 %", 12)


def test_the_tear_sheet_is_that_of_the_strategy_asked_for() -> None:
    own, other = (
        book(d20240102=first, d20240103=0.1).with_columns(strategy=pl.lit(name))
        for name, first in (("a", -0.1), ("b", -0.4))
    )
    found = tear_sheet(pl.concat([own, other]), strategy="a")
    assert found["drawdowns"][0]["depth"] == pytest.approx(-0.1)
    assert found["monthly"][0]["total"] == pytest.approx(0.9 * 1.1 - 1)
