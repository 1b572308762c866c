"""The book's value at risk against its losses: what is scored, in which order, and when it is too often."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.monitoring.book_risk import (
    GRACE_DAYS,
    RECORD_SCHEMA,
    WARNS_FROM,
    BookRisk,
    HorizonRisk,
    Position,
    Stated,
    extended_record,
    judge,
)

MONDAY = dt.date(2021, 3, 1)
EMPTY = pl.DataFrame(schema=RECORD_SCHEMA)


def day(number: int) -> dt.date:
    return MONDAY + dt.timedelta(days=number)


def risk(night: int, *positions: tuple[str, float, int], var: tuple[float, float] = (0.02, 0.03)) -> BookRisk:
    """The risk of a night's book: ticker, weight and day of its forecast of each position."""
    rows = (
        HorizonRisk(
            horizon=h,
            value_at_risk=var,
            expected_shortfall=var,
            lowest_point=var,
            median=0.0,
            probability_of_loss=0.5,
        )
        for h in (1, 5)
    )
    held = (Position(ticker=ticker, weight=weight, session=day(of)) for ticker, weight, of in positions)
    return BookRisk(night=day(night), positions=tuple(held), horizons=tuple(rows) if positions else ())


def panel(returns: dict[str, list[float | None]]) -> pl.DataFrame:
    """Simple returns from each day to the next, by ticker; None where there is no quote of the day after."""
    tables = []
    for ticker, values in returns.items():
        days = [day(k) for k in range(len(values) + 1)]
        missing = [False, *(value is None for value in values)]
        logs = [None if value is None else float(np.log1p(value)) for value in values]
        table = pl.DataFrame({"date": days, "is_missing": missing, "target_1d": [*logs, None]}, strict=False)
        tables.append(table.with_columns(pl.col("target_1d").cast(pl.Float64), ticker=pl.lit(ticker)))
    return pl.concat(tables)


def stated(*risks: BookRisk) -> list[tuple[BookRisk, dt.datetime]]:
    return [(of, dt.datetime.combine(of.night, dt.time(22))) for of in risks]


def record(losses: list[float], *, var: tuple[float, float] = (0.02, 0.03), late: int = 0) -> pl.DataFrame:
    """Consecutive nights with these losses, ``late`` of which stated their risk two days after the outcome."""
    rows = [
        (
            day(k),
            day(k + 1),
            dt.datetime.combine(day(k + 3 if k < late else k), dt.time(22)),
            *var,
            -loss,
        )
        for k, loss in enumerate(losses)
    ]
    return pl.DataFrame(rows, schema=RECORD_SCHEMA, orient="row")


def test_a_book_earns_what_its_weights_say() -> None:
    rows = panel({"A": [0.01, -0.02, 0.0], "B": [0.05, 0.03, 0.0]})
    books = stated(risk(0, ("A", 0.5, 0), ("B", -0.2, 0)), risk(1, ("A", 1.0, 1)), risk(2))
    found = extended_record(EMPTY, books, rows, until=day(3))
    assert found["night"].to_list() == [day(0), day(1)]  # an empty book risks nothing
    assert found["realised"].to_list() == pytest.approx([0.5 * 0.01 - 0.2 * 0.05, -0.02])
    assert found["label_end"].to_list() == [day(1), day(2)]
    assert found.row(0)[3:5] == (0.02, 0.03)


def test_nothing_after_the_night_is_read() -> None:
    rows, books = panel({"A": [0.01, -0.02]}), stated(risk(0, ("A", 1.0, 0)), risk(1, ("A", 1.0, 1)))
    assert extended_record(EMPTY, books, rows, until=day(1))["night"].to_list() == [day(0)]
    assert extended_record(EMPTY, books, rows, until=day(0)).is_empty()


def test_a_score_that_stands_is_carried_on_as_it_is() -> None:
    rows = panel({"A": [0.01, -0.02]})
    first = extended_record(EMPTY, stated(risk(0, ("A", 1.0, 0))), rows, until=day(1))
    revised = panel({"A": [0.5, -0.02]})
    both = extended_record(first, stated(risk(1, ("A", 1.0, 1))), revised, until=day(2))
    assert both["realised"].to_list() == pytest.approx([0.01, -0.02])


def test_later_nights_wait_for_an_open_outcome_and_not_for_ever() -> None:
    """B is not quoted again: after the days of grace it counts as closed at its last price."""
    rows = panel({"A": [0.01] * (GRACE_DAYS + 3), "B": [None] * (GRACE_DAYS + 3)})
    books = stated(risk(0, ("A", 0.5, 0), ("B", 0.5, 0)), risk(1, ("A", 1.0, 1)))
    assert extended_record(EMPTY, books, rows, until=day(GRACE_DAYS)).is_empty()
    found = extended_record(EMPTY, books, rows, until=day(GRACE_DAYS + 1))
    assert found["realised"].to_list() == pytest.approx([0.005, 0.01])


def test_what_was_stated_first_counts_when_a_night_is_made_again() -> None:
    first, again, third = (risk(0, ("A", weight, 0)) for weight in (0.5, 0.6, 0.7))
    once = Stated(risk=first)
    twice = once.before(again, created="2021-03-01T22:00:00+00:00")
    thrice = twice.before(third, created="2021-03-02T09:00:00+00:00")
    assert (twice.risk, thrice.risk) == (again, third)
    expected = (first, dt.datetime(2021, 3, 1, 22))
    assert twice.as_first("2021-03-02T09:00:00+00:00") == thrice.as_first("2021-03-05T00:00:00+00:00") == expected
    assert once.as_first("2021-03-02T00:00:00+02:00") == expected
    assert Stated.model_validate_json(thrice.model_dump_json()) == thrice
    empty = Stated(risk=risk(0)).before(again, created="2021-03-01T22:00:00+00:00")
    assert empty.as_first("2021-03-01T23:00:00+00:00")[0] == again  # nothing had been stated


@pytest.mark.parametrize(
    ("losses", "too_often", "sentence"),
    [
        ([], False, "no night's book has an outcome yet"),
        (
            [0.05],
            False,
            "on 1 (0.1 expected) and more than its VaR 99 % on 1 (0.0 expected) of 1 matured night: too few",
        ),
        ([0.05] * 19, False, "too few to judge, 20 are needed"),
        (
            [0.01] * 60,
            False,
            "on 0 (3.0 expected) and more than its VaR 99 % on 0 (0.6 expected) of 60 matured nights: no",
        ),
        (([0.025] + [0.0] * 19) * 5, False, "on 5 (5.0 expected)"),
        (([0.025] + [0.0] * 4) * 30, True, "too often (e-value"),
        (([0.05] + [0.0] * 19) * 10, True, "too often (e-value"),  # as promised at 95 %, five times too often at 99 %
    ],
)
def test_the_verdict_is_a_sentence(losses: list[float], too_often: bool, sentence: str) -> None:
    found = judge(record(losses))
    assert found.too_often == too_often
    assert sentence in found.sentence
    assert all(np.isfinite(value) for value in found.numbers().values())


def test_risk_stated_after_the_outcome_is_counted() -> None:
    found = judge(record([0.0] * 30, late=12))
    assert found.after_outcome == 12
    assert found.sentence.endswith("; 12 of them stated after the outcome, as replays are")


def test_a_night_that_begins_before_the_last_outcome_is_known_enters_no_e_value() -> None:
    open_ended = record([0.05, 0.05]).with_columns(label_end=pl.lit(day(2)))
    alone = judge(record([0.05]))
    assert judge(open_ended).e_value == alone.e_value
    assert judge(open_ended).levels[0].exceeded == 2


def test_whoever_looks_every_night_is_warned_without_reason_once_in_twenty_at_most() -> None:
    """200 records of 250 nights, looked at six times each: and a book with twice the volatility is found in nearly all."""
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(200, 250))
    promised = (1.6449, 2.3263)
    ever = {1: 0, 2: 0}
    for scale in ever:
        for row in losses:
            table = record((scale * row).tolist(), var=promised)
            ever[scale] += any(judge(table.head(n)).e_value >= WARNS_FROM for n in range(20, 251, 46))
    assert ever[1] <= 10
    assert ever[2] >= 190
