"""Quotes on days an exchange is closed: a session where its tickers traded together, else the row's own error."""

import datetime as dt

import polars as pl
import pytest

from forecast_assets.core.panel.exchanges import PLACED
from forecast_assets.core.panel.special_sessions import special_sessions

HOLIDAY, SATURDAY = dt.date(2024, 7, 4), dt.date(2024, 7, 6)
BEFORE = [dt.date(2024, 6, 28), dt.date(2024, 7, 1), dt.date(2024, 7, 2), dt.date(2024, 7, 3)]


def placed(tickers: str, **columns: object) -> pl.DataFrame:
    """Return tickers that their name puts on XNYS, with other ``columns``."""
    row = dict.fromkeys(PLACED) | {"exchange": "XNYS", "assigned_by": "suffix", "named": "XNYS"} | columns
    return pl.DataFrame([row | {"ticker": ticker} for ticker in tickers], schema=PLACED)


def quotes(traded: str, *, live: str, day: dt.date = HOLIDAY, silent: str = "") -> pl.LazyFrame:
    """Return quotes of the ``live`` tickers before ``day`` and of those that ``traded``, or are ``silent``, on it."""
    rows = [(ticker, date, 5.0) for ticker in live for date in BEFORE]
    rows += [(ticker, day, 5.0) for ticker in traded] + [(ticker, day, 0.0) for ticker in silent]
    return priced(pl.DataFrame(rows, schema={"ticker": pl.String, "date": pl.Date, "volume": pl.Float64}, orient="row"))


def priced(rows: pl.DataFrame) -> pl.LazyFrame:
    """Return ``rows`` at one flat price."""
    return rows.lazy().with_columns(open=1.0, high=1.0, low=1.0, close=1.0)


@pytest.mark.parametrize(
    ("traded", "live", "silent", "found"),
    [
        ("AB", "ABC", "", (2, 3)),
        ("AB", "ABCD", "", (2, 4)),
        ("AB", "ABCDE", "", None),  # under half of the live ones
        ("A", "AB", "", None),  # no second ticker
        ("A", "AB", "B", None),  # the second one has no volume
        ("AX", "AB", "", None),  # the second one is not live: it was not quoted before
        ("A", "A", "", (1, 1)),  # the only ticker
    ],
)
def test_a_closed_day_is_a_session_where_half_of_the_live_tickers_traded(
    traded: str, live: str, silent: str, found: tuple[int, int] | None
) -> None:
    special = special_sessions(quotes(traded, live=live, silent=silent), placed=placed("ABCDEX"))
    assert special.rows() == ([] if found is None else [("XNYS", HOLIDAY, *found)])


def test_a_lone_ticker_makes_no_session_of_a_weekend() -> None:
    assert special_sessions(quotes("A", live="A", day=SATURDAY), placed=placed("A")).is_empty()
    assert special_sessions(quotes("AB", live="AB", day=SATURDAY), placed=placed("AB")).height == 1


def test_who_is_new_york_by_default_votes_on_weekends_after_the_first_quotes() -> None:
    unsettled = placed("AB", assigned_by="default")
    assert special_sessions(quotes("AB", live="AB", day=HOLIDAY), placed=unsettled).height == 1
    assert special_sessions(quotes("AB", live="AB", day=SATURDAY), placed=unsettled).is_empty()
    settled = placed("AB", assigned_by="default", settled=dt.date(2024, 7, 2))
    assert special_sessions(quotes("AB", live="AB", day=SATURDAY), placed=settled).height == 1


def test_rows_after_a_day_do_not_change_whether_it_is_a_session() -> None:
    base = quotes("AB", live="AB").collect()
    later = base.with_columns(pl.col("date") + dt.timedelta(days=7), ticker=pl.lit("C"))
    everything = special_sessions(pl.concat([base, later]).lazy(), placed=placed("ABC"))
    assert everything.filter(pl.col("date") == HOLIDAY).equals(special_sessions(base.lazy(), placed=placed("ABC")))


def test_a_saturday_of_the_fifties_needs_no_confirmation() -> None:
    first = dt.date(1952, 1, 5)
    rows = pl.DataFrame({"ticker": ["A"], "date": [first], "volume": [1.0]})
    assert special_sessions(
        priced(rows), placed=placed("A")
    ).is_empty()  # it is no closed day, so it need not be special
