"""No row depends on a later one, nor on how the panel is cut into parts."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.panel.announcements.build import Announcements
from forecast_assets.core.panel.announcements.columns import NAMES
from forecast_assets.core.panel.announcements.weekdays import HALF, date_of
from forecast_assets.core.panel.leakage_checks import poison
from forecast_assets_tests.helpers.announced import EXCHANGES, announced, calendar, infer

START, END = dt.date(2012, 1, 3), dt.date(2015, 8, 31)
CUTS = (dt.date(2013, 12, 31), dt.date(2014, 2, 5), dt.date(2014, 7, 3), dt.date(2015, 5, 29))
"""The last day before there are parameters, one soon after, the day before a holiday, and one of the last year."""

KEY = ["ticker", "date"]


@pytest.fixture(scope="module")
def world() -> pl.DataFrame:
    """Nine tickers of four exchanges, one of which trades every day; one lists late, one ends, one has a halt."""
    raw = announced(tickers=9, start=START, end=END, seed=2, exchanges=(*EXCHANGES[1:], ("24/7", "-USD"))).raw
    late = (pl.col("ticker") == "ANN001") & (pl.col("date") < dt.date(2014, 9, 1))
    ended = (pl.col("ticker") == "ANN006") & (pl.col("date") > dt.date(2015, 2, 3))
    days = raw.filter(pl.col("ticker") == "ANN005")["date"]
    halted = (pl.col("ticker") == "ANN005") & pl.col("date").is_in(days[620:624].implode())
    return calendar(raw.filter(~late & ~ended & ~halted))


@pytest.fixture(scope="module")
def made(world: pl.DataFrame) -> tuple[pl.DataFrame, Announcements]:
    return infer(world)


@pytest.fixture(scope="module")
def whole(made: tuple[pl.DataFrame, Announcements]) -> pl.DataFrame:
    return made[0]


def changed(found: pl.DataFrame, wanted: pl.DataFrame) -> list[str]:
    """Names of the columns that differ in any bit."""
    assert found.select(KEY).equals(wanted.select(KEY))
    return [name for name in wanted.columns if not found[name].eq_missing(wanted[name]).all()]


def test_the_parameters_of_two_years_are_fitted_and_find_something(
    world: pl.DataFrame, made: tuple[pl.DataFrame, Announcements]
) -> None:
    table, inferred = made
    assert sorted(inferred.schedule) == [2014, 2015]
    assert table.height == world.height
    assert table.filter(pl.col("announced") > 0.5).height > 30


@pytest.mark.parametrize("cut", CUTS)
def test_dropping_all_rows_after_a_cut_changes_nothing_before_it(
    world: pl.DataFrame, made: tuple[pl.DataFrame, Announcements], cut: dt.date
) -> None:
    whole, inferred = made
    early = world.filter(pl.col("date") <= cut)
    known = whole.join(early.select(KEY), on=KEY, how="semi", maintain_order="left")
    table, short = infer(early)
    assert changed(table, known) == []
    assert known.height > 3_000
    # A claimed day has a whole quarter around it, and there are parameters from 2014 on.
    last = date_of(short.days.first + short.days.count - 1 - HALF)
    wanted = inferred.events if cut.year > 2013 else inferred.events.clear()
    assert short.events.equals(wanted.filter(pl.col("date") <= last))


@pytest.mark.parametrize("cut", CUTS)
def test_garbage_after_a_cut_changes_nothing_before_it(world: pl.DataFrame, whole: pl.DataFrame, cut: dt.date) -> None:
    other = infer(poison(world, later=pl.col("date") > cut))[0]
    before = pl.col("date") <= cut
    assert changed(other.filter(before), whole.filter(before)) == []
    assert len(changed(other.filter(~before), whole.filter(~before))) > len(NAMES) // 2


def test_parts_of_any_size_give_the_same(world: pl.DataFrame, whole: pl.DataFrame) -> None:
    for rows_per_part in (1, 1_000_000):
        assert changed(infer(world, rows_per_part=rows_per_part)[0], whole) == []


def test_a_ticker_that_lists_later_changes_nothing_before_it(world: pl.DataFrame, whole: pl.DataFrame) -> None:
    listed = dt.date(2014, 9, 1)
    others = whole.filter(pl.col("ticker") != "ANN001")
    without = infer(world.filter(pl.col("ticker") != "ANN001"))[0]
    before = pl.col("date") < listed
    assert changed(without.filter(before), others.filter(before)) == []
    assert changed(without.filter(~before), others.filter(~before))


def test_a_later_split_changes_nothing_beyond_rounding(world: pl.DataFrame, whole: pl.DataFrame) -> None:
    """Prices before it are halved: by two, so not even the rounding changes but for logarithms'."""
    split = (pl.col("ticker") == "ANN000.DE") & (pl.col("date") < dt.date(2015, 6, 1))
    halved = world.with_columns(
        pl.when(split).then(pl.col(name) / 2).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    before = pl.col("date") < dt.date(2015, 6, 1)
    found, wanted = infer(halved)[0].filter(before), whole.filter(before)
    for name in NAMES:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_early_close_reads_no_later_close(world: pl.DataFrame, whole: pl.DataFrame) -> None:
    """On Christmas Eve London closes at 12:30 and Frankfurt not at all; New York closes hours later on any day."""
    day = dt.date(2014, 12, 24)
    later = (pl.col("date") == day) & (pl.col("exchange") == "XNYS")
    garbage = world.with_columns(
        close=pl.when(later).then(pl.col("close") * 1.5).otherwise("close"),
        volume=pl.when(later).then(pl.col("volume") * 20).otherwise("volume"),
    )
    found = infer(garbage)[0]
    europe = world["region"] == "Europe"
    before = (world["date"] <= day) & europe
    assert changed(found.filter(before), whole.filter(before)) == []
    assert changed(found.filter(~europe), whole.filter(~europe))


def test_what_closes_with_an_exchange_early_is_a_market_of_its_own() -> None:
    """Paris closes at 14:05 on Christmas Eve, London at 12:30: on that day they have no mean in common."""
    start, end = dt.date(2014, 11, 3), dt.date(2014, 12, 31)
    exchanges = (("XLON", ".L"), ("XPAR", ".PA"))
    world = calendar(announced(tickers=6, start=start, end=end, seed=3, exchanges=exchanges).raw)
    whole = infer(world)[0]
    for day, alone in ((dt.date(2014, 12, 23), False), (dt.date(2014, 12, 24), True)):
        moved = (pl.col("date") == day) & (pl.col("exchange") == "XPAR")
        other = infer(world.with_columns(close=pl.when(moved).then(pl.col("close") * 1.3).otherwise("close")))[0]
        london = (world["exchange"] == "XLON") & (world["date"] == day)
        assert (changed(other.filter(london), whole.filter(london)) == []) is alone


def test_no_company_reports_where_every_day_is_a_session(world: pl.DataFrame, whole: pl.DataFrame) -> None:
    coins = whole.filter(world["exchange"] == "24/7")
    assert coins.height > 1_300
    assert not any(coins.select(NAMES).null_count().row(0))
    assert set(coins["log_likelihood"].drop_nulls()) == {0.0}
    assert coins.select(pl.max("announced")).item() < 0.05


def test_a_filled_row_has_the_columns_of_the_quote_before_it(world: pl.DataFrame, whole: pl.DataFrame) -> None:
    own = whole.filter(world["ticker"] == "ANN005").with_columns(
        world.filter(pl.col("ticker") == "ANN005")["is_missing"]
    )
    at = own.with_row_index().filter("is_missing")["index"].to_list()
    assert len(at) == 4
    assert own[at].select(NAMES).equals(own[[at[0] - 1] * 4].select(NAMES))
