"""Leakage checks at unit level: no row depends on later data."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.features import SCALE, cross_names, own_names
from forecast_assets.core.panel.known_future import KNOWN_FUTURE
from forecast_assets.core.panel.point_in_time import UNIVERSE, known_by, mark_members
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk, year_digests

START = dt.date(2023, 9, 1)
CUT = dt.date(2024, 2, 15)
CROSS = cross_names(FeatureSpec())
OWN = own_names(FeatureSpec())
PAST = [*OWN, *CROSS, *KNOWN_FUTURE]
BEFORE = pl.col("date") <= CUT


SPELLS = pl.DataFrame(
    [
        ("AAPL", dt.date(2023, 9, 1), None),
        ("MSFT", dt.date(2023, 12, 1), dt.date(2024, 3, 15)),
        ("SAP.DE", dt.date(2023, 9, 1), dt.date(2024, 1, 31)),
        ("SAP.DE", dt.date(2024, 3, 1), None),
        ("SIE.DE", dt.date(2024, 2, 1), None),
    ],
    schema=UNIVERSE,
    orient="row",
)
"""MSFT enters and leaves, SAP.DE leaves and returns; ZZZ is never a member."""


def features(
    raw_panel: pl.DataFrame, *, calendar: str = "exchange", universe: pl.DataFrame | None = None
) -> pl.DataFrame:
    rows = reindex(raw_panel, spec=panel_spec(calendar=calendar))
    return feature_panel(mark_members(rows, universe), features=FeatureSpec())


def holes(frame: pl.DataFrame, ticker: str, first: int, count: int) -> pl.DataFrame:
    own = frame.filter(pl.col("ticker") == ticker)["date"].sort()[first : first + count]
    return frame.filter((pl.col("ticker") != ticker) | ~pl.col("date").is_in(own.implode()))


@pytest.fixture(scope="module")
def world() -> pl.DataFrame:
    """Two exchanges; one ticker with a halt, one with a broken segment, one that lists after the cut."""
    parts = panel(
        walk("AAPL", 180, seed=1, start=START),
        walk("MSFT", 180, seed=2, start=START),
        walk("SAP.DE", 180, seed=3, start=START, exchange="XETR"),
        walk("SIE.DE", 180, seed=4, start=START, exchange="XETR"),
        walk("ZZZ", 60, seed=5, start=dt.date(2024, 3, 1)),
    )
    return holes(holes(parts, "MSFT", 70, 3), "SIE.DE", 80, 7)


@pytest.mark.parametrize("calendar", ["exchange", "union"])
def test_dropping_all_rows_after_a_cut_changes_nothing_before_it(world: pl.DataFrame, calendar: str) -> None:
    full, cut = features(world, calendar=calendar).filter(BEFORE), features(world.filter(BEFORE), calendar=calendar)
    assert cut.height == full.height > 400
    assert cut.select("date", "ticker", "segment", "is_missing", *PAST).equals(
        full.select("date", "ticker", "segment", "is_missing", *PAST)
    )
    for target in ("target_1d", "target_5d", "target_20d"):
        both = cut.select(target).with_columns(full=full[target]).drop_nulls(target)
        assert both.height > 300
        assert both[target].equals(both["full"])


def test_garbage_after_a_cut_changes_nothing_before_it(world: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    noise = pl.Series(np.exp(rng.normal(0, 3, world.height)))
    prices = ("open", "high", "low", "close", "volume")
    poisoned = world.with_columns(pl.when(BEFORE).then(pl.col(name)).otherwise(noise).alias(name) for name in prices)
    assert not features(poisoned).select(PAST).equals(features(world).select(PAST))
    assert features(poisoned).filter(BEFORE).select(PAST).equals(features(world).filter(BEFORE).select(PAST))


def test_a_change_of_the_universe_after_a_cut_changes_nothing_before_it(world: pl.DataFrame) -> None:
    known = known_by(SPELLS, CUT)
    assert known is not None
    full = features(world, universe=SPELLS).filter(BEFORE)
    other = pl.concat([known, pl.DataFrame([("ZZZ", dt.date(2024, 3, 1), None)], schema=UNIVERSE, orient="row")])
    columns = ["is_member", *PAST]
    assert features(world.filter(BEFORE), universe=known).select(columns).equals(full.select(columns))
    assert features(world, universe=other).filter(BEFORE).select(columns).equals(full.select(columns))
    assert not features(world).filter(BEFORE).select(PAST).equals(full.select(PAST))


def test_a_ticker_outside_the_universe_changes_no_members_row(world: pl.DataFrame) -> None:
    outside = panel(world, *(walk(name, 180, seed=seed, start=START) for seed, name in enumerate(("IBM", "XOM"), 7)))
    found = features(outside, universe=SPELLS).filter("is_member")
    alone = features(world.filter(pl.col("ticker") != "ZZZ"), universe=SPELLS).filter("is_member")
    assert found.equals(alone)
    assert found.height > 400


def test_a_row_outside_the_universe_is_compared_as_if_it_alone_had_entered(world: pl.DataFrame) -> None:
    others = [walk(name, 180, seed=seed, start=START) for seed, name in enumerate(("IBM", "XOM", "GE"), 7)]
    twin = others[0].with_columns(ticker=pl.lit("TWIN"))  # ties with IBM, inside and outside
    rows = panel(world, twin, *others)
    inside = pl.DataFrame(
        [("AAPL", START, None), ("IBM", START, None), ("GE", START, None)], schema=UNIVERSE, orient="row"
    )
    found = features(rows, universe=inside)
    for name in ("MSFT", "TWIN", "XOM"):
        joined = pl.concat([inside, pl.DataFrame([(name, START, None)], schema=UNIVERSE, orient="row")])
        wanted = features(rows, universe=joined).filter(pl.col("ticker") == name)
        own = found.filter(pl.col("ticker") == name)
        assert_frame_equal(own.select(CROSS), wanted.select(CROSS), rel_tol=0, abs_tol=1e-13)
        assert own["market_return"].null_count() == own["log_return"].null_count()  # a window may begin before entry


def test_adjacent_tickers_do_not_change_each_other(world: pl.DataFrame) -> None:
    alone = features(world.filter(pl.col("ticker") == "MSFT"))
    among = features(world).filter(pl.col("ticker") == "MSFT")
    columns = [name for name in among.columns if name not in CROSS]
    assert among.select(columns).equals(alone.select(columns))


def test_a_halt_of_three_sessions_enters_no_feature_but_the_return_across_it(world: pl.DataFrame) -> None:
    halted = features(world).filter(pl.col("ticker") == "MSFT")
    rows = world.filter(pl.col("ticker") == "MSFT")
    # The same quotes on consecutive sessions, as if the halt had not been.
    moved = rows.with_columns(date=walk("MSFT", rows.height, seed=0, start=START)["date"])
    observed = halted.filter(~pl.col("is_missing"))
    assert halted.height == observed.height + 3
    assert observed.select(OWN).equals(features(moved).select(OWN))
    carried = halted.filter(pl.col("is_missing")).select(OWN)
    before = halted.filter(pl.col("date") < halted.filter("is_missing")["date"][0]).select(OWN).tail(1)
    assert all(carried[k].equals(before) for k in range(3))


def test_a_broken_segment_warms_up_anew(world: pl.DataFrame) -> None:
    second = features(world).filter(pl.col("ticker") == "SIE.DE", pl.col("segment") == 1)
    assert second.height == 180 - 87
    assert second["log_return"][0] is None
    assert second["volatility_20"].null_count() == 20


def test_a_later_close_in_new_york_changes_no_european_feature_of_the_day(world: pl.DataFrame) -> None:
    new_york_today = (pl.col("exchange") == "XNYS") & (pl.col("date") == CUT)
    moved = world.with_columns(pl.when(new_york_today).then(3 * pl.col("close")).otherwise("close").alias("close"))
    european = (pl.col("exchange") == "XETR") & BEFORE
    assert features(moved).filter(european).select(PAST).equals(features(world).filter(european).select(PAST))
    assert not features(moved).filter(BEFORE).select(PAST).equals(features(world).filter(BEFORE).select(PAST))


def test_a_ticker_that_lists_later_leaves_earlier_rows_identical(world: pl.DataFrame) -> None:
    without = features(world.filter(pl.col("ticker") != "ZZZ"))
    listed = pl.col("date") < dt.date(2024, 3, 1)
    assert features(world).filter(listed).select(PAST).equals(without.filter(listed).select(PAST))


@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_a_future_split_changes_nothing_before_it(world: pl.DataFrame, factor: float) -> None:
    """An adjusted feed divides all earlier prices and multiplies all earlier volumes on the day of the split."""
    prices = [pl.col(name) / factor for name in ("open", "high", "low", "close")]
    adjusted = world.with_columns(*prices, pl.col("volume") * factor)
    assert_frame_equal(features(adjusted), features(world), rel_tol=0, abs_tol=1e-9)


def test_the_tail_with_its_warm_up_equals_the_full_run(world: pl.DataFrame) -> None:
    """Features without a recursion are the same to rounding; recursive ones forget their start."""
    recursive = {"rsi_14", "macd", "macd_signal", SCALE}
    exact = [name for name in PAST if name not in recursive]
    apple = world.filter(pl.col("ticker").is_in(["AAPL", "ZZZ"]))
    tail = apple.filter(pl.col("date") >= dt.date(2023, 11, 1))
    recent = pl.col("date") >= dt.date(2024, 4, 1)
    assert_frame_equal(
        features(tail).filter(recent).select(exact),
        features(apple).filter(recent).select(exact),
        rel_tol=0,
        abs_tol=1e-8,
    )


def test_a_year_digest_changes_with_its_rows_and_with_nothing_else(world: pl.DataFrame) -> None:
    table = features(world)
    digests = year_digests(table)
    assert list(digests) == ["2023", "2024"]
    assert year_digests(table.sample(fraction=1.0, shuffle=True, seed=1)) == digests
    assert year_digests(table.filter(pl.col("date").dt.year() == 2023)) == {"2023": digests["2023"]}
    nudged = table.with_columns(
        rsi_14=pl.when(pl.col("date") == CUT).then(pl.col("rsi_14") + 1e-12).otherwise(pl.col("rsi_14"))
    )
    assert year_digests(nudged)["2023"] == digests["2023"]
    assert year_digests(nudged)["2024"] != digests["2024"]
    without_values = table.with_columns(sector=pl.lit(None, dtype=pl.String))
    assert year_digests(without_values)["2023"] != digests["2023"]
    assert year_digests(table.rename({"rsi_14": "rsi"}))["2023"] != digests["2023"]
    assert year_digests(table.clear()) == {}
