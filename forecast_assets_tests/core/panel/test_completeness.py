"""Which prices of a session are missing, and until when a late one is worth a forecast."""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.completeness import (
    QUOTES,
    ExchangePrices,
    in_words,
    incomplete,
    last_close,
    late_tickers,
    may_still_be_issued,
    prices_of,
    recent_quotes,
)

FRIDAY = dt.date(2025, 6, 27)
WEEK = [dt.date(2025, 6, day) for day in (23, 24, 25, 26, 27)]


def quotes(**days: str) -> pl.DataFrame:
    """A row per ticker and day of the week of ``FRIDAY``: ``XETR_SAP="mtwtf"``; a dot is a day without a quote."""
    rows = [
        (name.split("_")[0], name.split("_")[1], day)
        for name, marks in days.items()
        for day, mark in zip(WEEK, marks, strict=True)
        if mark != "."
    ]
    return pl.DataFrame(rows, schema=QUOTES, orient="row")


def test_a_ticker_of_the_last_three_sessions_of_its_exchange_is_expected() -> None:
    found = prices_of(quotes(XETR_A="mtwtf", XETR_B="mt...", XETR_C="m....", XETR_D="mtwt.", XETR_E="....f"), FRIDAY)
    assert found == [ExchangePrices("XETR", 3, ("B", "D"))]
    assert in_words(found) == "1 of 3 tickers of XETR, without B, D"


def test_a_whole_exchange_that_is_missing_is_named_with_the_first_tickers() -> None:
    there = {f"XNYS_{name}": "mtwtf" for name in "JK"}
    found = prices_of(quotes(**{f"XETR_{name}": "mtwt." for name in "ABCDE"}, **there), FRIDAY)
    assert incomplete(found, share=0.95) == [ExchangePrices("XETR", 5, ("A", "B", "C", "D", "E"))]
    assert in_words(incomplete(found, share=0.95)) == "0 of 5 tickers of XETR, without A, B, C and 2 more"


def test_an_exchange_that_is_closed_or_has_long_been_silent_expects_nothing() -> None:
    fourth = dt.date(2025, 7, 4)  # New York is closed
    rows = quotes(XNYS_A="mtwtf", XETR_B="mtwtf")
    assert [found.exchange for found in prices_of(rows, fourth)] == ["XETR"]
    assert prices_of(rows, dt.date(2025, 7, 14)) == []


def test_a_missing_ticker_counts_by_the_share_of_its_exchange() -> None:
    found = prices_of(quotes(**{f"XETR_{k:02d}": "mtwtf" for k in range(19)}, XETR_Z="mtwt."), FRIDAY)
    assert incomplete(found, share=0.95) == []
    assert len(incomplete(found, share=0.96)) == 1


def test_a_late_ticker_is_worth_a_forecast_until_its_exchange_closes_again() -> None:
    rows = quotes(XETR_A="mtwtf", XETR_B="mtwtf", XNYS_C="mtwtf", XETR_D="mtwt.")
    monday = dt.datetime(2025, 6, 30, 15, 29, tzinfo=dt.UTC)  # Frankfurt closes at 15:30, New York at 20:00
    assert late_tickers(rows, FRIDAY, forecast=["A"], now=monday) == ["B", "C"]
    assert late_tickers(rows, FRIDAY, forecast=["A"], now=monday + dt.timedelta(minutes=1)) == ["C"]
    assert not may_still_be_issued("XNYS", FRIDAY, now=dt.datetime(2025, 6, 30, 20, tzinfo=dt.UTC))


def test_the_last_close_is_that_of_the_exchanges_with_a_session() -> None:
    assert last_close(["XETR", "XNYS"], FRIDAY) == dt.datetime(2025, 6, 27, 20, tzinfo=dt.UTC)
    assert last_close(["XETR", "XNYS"], dt.date(2025, 7, 4)) == dt.datetime(2025, 7, 4, 15, 30, tzinfo=dt.UTC)
    assert last_close(["XETR", "XNYS"], dt.date(2025, 6, 28)) is None


def test_rows_of_forty_days_are_kept() -> None:
    days = [FRIDAY - dt.timedelta(days=40), FRIDAY - dt.timedelta(days=39), FRIDAY]
    rows = pl.DataFrame([("XETR", "A", day) for day in days], schema=QUOTES, orient="row")
    assert recent_quotes(rows.lazy(), last=FRIDAY)["date"].to_list() == days[1:]
