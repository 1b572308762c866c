"""A run that goes on from an earlier one gives what a run from the first row on gives, to the last bit."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.panel.announcements.build import Announcements, Cut, joined_events
from forecast_assets.core.panel.announcements.leakage_checks import continued_leakage
from forecast_assets.core.panel.announcements.saved import parameters_record, read_cut, state_bytes
from forecast_assets.core.panel.announcements.weekdays import HALF, date_of
from forecast_assets_tests.helpers.announced import EXCHANGES, announced, calendar, infer

START, END = dt.date(2013, 1, 2), dt.date(2015, 8, 31)
KEY = ["ticker", "date"]
PRICES = ("open", "high", "low", "close", "volume")
WORLD = (*EXCHANGES[1:], ("XBOM", ".BO"), ("24/7", "-USD"))
BEFORE = dt.date(2015, 4, 14)
"""The last day of the earlier run."""

LISTED, ENDED = dt.date(2015, 4, 20), dt.date(2015, 4, 2)


@pytest.fixture(scope="module")
def world() -> pl.DataFrame:
    """Twelve tickers; one lists after the earlier run, one has ended before, one has a hole, one rows on a Saturday."""
    raw = announced(tickers=12, start=START, end=END, seed=5, exchanges=WORLD).raw
    late = (pl.col("ticker") == "ANN001") & (pl.col("date") < LISTED)
    ended = (pl.col("ticker") == "ANN006") & (pl.col("date") > ENDED)
    days = raw.filter(pl.col("ticker") == "ANN002.DE", pl.col("date") < BEFORE)["date"]
    holes = days[-50:-42].to_list()
    left_out = (pl.col("ticker") == "ANN002.DE") & pl.col("date").is_in(holes)
    indian = pl.col("ticker").str.ends_with(".BO")
    saturday = raw.filter(indian & (pl.col("date") == dt.date(2015, 2, 27))).with_columns(date=dt.date(2015, 2, 28))
    return calendar(pl.concat([raw.filter(~late & ~ended & ~left_out), saturday]))


def until(world: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    return world.filter(pl.col("date") <= day)


def same_cut(found: Cut, wanted: Cut) -> None:
    assert (found.weekday, found.first) == (wanted.weekday, wanted.first)
    assert set(found.state.tickers) == set(wanted.state.tickers)
    state = found.state.of(wanted.state.tickers)
    differ = [name for name in state if not np.array_equal(state[name], wanted.state[name], equal_nan=True)]
    assert differ == []
    assert found.tail.sort("ticker", maintain_order=True).equals(wanted.tail)
    assert found.recent.sort("ticker", maintain_order=True).equals(wanted.recent)


def check(world: pl.DataFrame, cut: Cut, events: pl.DataFrame, day: dt.date) -> tuple[Cut, pl.DataFrame]:
    """Go on from a run's ``cut`` and ``events`` to ``day``, compare with a run from the first row on; return its two."""
    found, went_on = infer(until(world, day), cut)
    wanted, anew = infer(until(world, day))
    late = wanted.join(found.select(KEY), on=KEY, how="semi", maintain_order="left")
    assert late.height == found.height >= wanted.filter(pl.col("date") >= cut.date).height > 0
    assert [name for name in wanted.columns if not late[name].eq_missing(found[name]).all()] == []
    joined = joined_events(events, went_on.events, cut)
    assert joined.equals(anew.events)
    same_cut(went_on.cut, anew.cut)
    return went_on.cut, joined


@pytest.fixture(scope="module")
def earlier(world: pl.DataFrame) -> Announcements:
    return infer(until(world, BEFORE))[1]


@pytest.mark.parametrize("days", [1, 2, 20, 120])
def test_a_run_goes_on_to_the_same_rows_events_and_state(
    world: pl.DataFrame, earlier: Announcements, days: int
) -> None:
    assert BEFORE - dt.timedelta(days=100) < earlier.cut.date < BEFORE - dt.timedelta(days=1.4 * HALF)
    check(world, earlier.cut, earlier.events, BEFORE + dt.timedelta(days=days))


def test_a_continued_run_is_continued_again(world: pl.DataFrame, earlier: Announcements) -> None:
    second = check(world, earlier.cut, earlier.events, BEFORE + dt.timedelta(days=50))
    assert second[0].date > earlier.cut.date
    third = check(world, *second, BEFORE + dt.timedelta(days=51))
    assert third[0].date == second[0].date
    check(world, *third, BEFORE + dt.timedelta(days=118))


def test_a_run_goes_on_where_a_filled_row_or_a_saturday_is_the_first(
    world: pl.DataFrame, earlier: Announcements
) -> None:
    cut = earlier.cut.date
    quoted = pl.col("date").is_between(cut - dt.timedelta(days=1), cut + dt.timedelta(days=1))
    filled = world.filter(~((pl.col("ticker") == "ANN000") & quoted))
    gone = world.filter((pl.col("ticker") == "ANN000") & quoted)
    assert gone.height > 0
    rows = calendar(filled.filter(~pl.col("is_missing")).select("date", "ticker", "exchange", "sector", *PRICES))
    at = rows.filter(pl.col("ticker") == "ANN000", pl.col("date") == cut)
    assert at["is_missing"].to_list() == [True]
    before = infer(until(rows, BEFORE))[1]
    check(rows, before.cut, before.events, BEFORE + dt.timedelta(days=3))


def test_a_cut_is_read_as_it_was_written(world: pl.DataFrame, earlier: Announcements) -> None:
    cut = earlier.cut
    record = parameters_record(cut)
    read = read_cut(record, state_bytes(cut), tail=cut.tail, recent=cut.recent)
    same_cut(read, cut)
    day = BEFORE + dt.timedelta(days=2)
    assert infer(until(world, day), read)[0].equals(infer(until(world, day), cut)[0])


def test_a_change_before_the_cut_is_not_seen_by_a_run_that_goes_on(world: pl.DataFrame, earlier: Announcements) -> None:
    """It is for the stage to find out: see the tests of the asset."""
    day = BEFORE + dt.timedelta(days=2)
    old = (pl.col("ticker") == "ANN000") & (pl.col("date") < dt.date(2014, 1, 1))
    revised = world.with_columns(close=pl.when(old).then(1.1 * pl.col("close")).otherwise("close"))
    assert infer(until(revised, day), earlier.cut)[0].equals(infer(until(world, day), earlier.cut)[0])


def test_an_update_is_checked_against_the_rows_before_it(world: pl.DataFrame, earlier: Announcements) -> None:
    old, day = infer(until(world, BEFORE))[0], BEFORE + dt.timedelta(days=3)
    new = infer(until(world, day), earlier.cut)[0]
    sessions = until(world, day).lazy()
    found = continued_leakage(sessions, earlier.cut, until=BEFORE, new=new, old=old)
    assert {name: check.holds for name, check in found.items()} == {"truncation": True, "poison": True}
    assert found["truncation"].rows == new.filter(pl.col("date") <= BEFORE).height > 300
    last = pl.col("date") == BEFORE
    other = old.with_columns(announcement_1d=pl.col("announcement_1d") + last.cast(pl.Float32))
    leaked = continued_leakage(sessions, earlier.cut, until=BEFORE, new=new, old=other)["truncation"]
    assert leaked.changed == {"announcement_1d": old.filter(last).height}
    gone = continued_leakage(sessions, earlier.cut, until=BEFORE, new=new, old=old.filter(~last))["truncation"]
    assert gone.changed == {"rows": old.filter(last).height}


def test_events_reach_to_half_a_quarter_before_the_end(earlier: Announcements) -> None:
    last = earlier.events["date"].max()
    assert isinstance(last, dt.date)
    end = date_of(earlier.days.first + earlier.days.count - 1 - HALF)
    assert end - dt.timedelta(days=45) < last <= end
