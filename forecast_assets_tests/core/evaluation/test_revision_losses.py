"""Forecasts as known then and as known now differ only on the nights between a row and its revision."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.revision_losses import revision_losses, revision_worth, used_before_revised

DAYS = [dt.date(2024, 4, 1) + dt.timedelta(days=k) for k in range(40)]
CLOSES = 100 * np.exp(np.cumsum(0.01 * np.resize([1.0, -1.0, 0.5, -0.7, 0.9], 40)))
SCHEMA: dict[str, Any] = {
    "ticker": pl.String,
    "date": pl.Date,
    "old_close": pl.Float64,
    "new_close": pl.Float64,
    "old_arrived": pl.Datetime("us", "UTC"),
    "new_arrived": pl.Datetime("us", "UTC"),
}
QUOTES = pl.DataFrame({"ticker": "A", "date": DAYS, "close": CLOSES})


def noon(day: int, hour: int = 12) -> dt.datetime:
    """Return a time on the day after session ``day``; noon is when its night ends."""
    return dt.datetime.combine(DAYS[day] + dt.timedelta(days=1), dt.time(hour), tzinfo=dt.UTC)


def revision(day: int, old: float, new: float, *, came: dt.datetime | None, before: dt.datetime | None = None) -> tuple:
    return ("A", DAYS[day], old, new, before, came)


def table(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def ewma(closes: np.ndarray) -> float:
    variance, weight = 0.0, 0.0
    for square in np.diff(np.log(closes)) ** 2:
        variance, weight = 0.94 * variance + square, 0.94 * weight + 1
    return float(np.sqrt(variance / weight))


def test_the_nights_between_a_row_and_its_revision_are_forecast_from_both() -> None:
    losses = revision_losses(QUOTES, table(revision(10, 150.0, CLOSES[10], came=noon(12, 13))))
    assert losses.select("date", "horizon").rows() == [(DAYS[k], h) for k in (10, 11, 12) for h in (1, 5, 20)]
    then = CLOSES.copy()
    then[10] = 150.0
    first = losses.row(0, named=True)
    assert first["sigma_then"] == pytest.approx(ewma(then[:11]), rel=1e-12)
    assert first["sigma_now"] == pytest.approx(ewma(CLOSES[:11]), rel=1e-12)
    assert first["pinball_then"] > first["pinball_now"]  # the misprint widened a band that had been right


def test_each_night_sees_the_value_that_had_arrived_by_then() -> None:
    twice = table(
        revision(10, 150.0, 120.0, came=noon(10, 13)),
        revision(10, 120.0, CLOSES[10], before=noon(10, 13), came=noon(11, 13)),
    )
    losses = revision_losses(QUOTES, twice).filter(pl.col("horizon") == 1)
    seen = [CLOSES.copy(), CLOSES.copy()]
    seen[0][10], seen[1][10] = 150.0, 120.0
    expected = [ewma(closes[: k + 1]) for k, closes in zip((10, 11), seen, strict=True)]
    assert losses["date"].to_list() == DAYS[10:12]
    assert losses["sigma_then"].to_list() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("came", [None, noon(10), noon(10, 3)])
def test_a_revision_that_came_before_the_night_was_over_changes_nothing(came: dt.datetime | None) -> None:
    revisions = table(revision(10, 150.0, CLOSES[10], came=came))
    assert revision_losses(QUOTES, revisions).is_empty()
    assert used_before_revised(revisions) == 0
    assert revision_worth(revision_losses(QUOTES, revisions)).is_empty()


def test_revisions_after_a_night_are_counted_and_averaged_by_horizon() -> None:
    revisions = table(revision(10, 150.0, CLOSES[10], came=noon(12, 13)), revision(39, 9.0, CLOSES[39], came=noon(39)))
    assert used_before_revised(revisions) == 1
    worth = revision_worth(revision_losses(QUOTES, revisions))
    assert worth.select("horizon", "origins").rows() == [(1, 3), (5, 3), (20, 3)]
