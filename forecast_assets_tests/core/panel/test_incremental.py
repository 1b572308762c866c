"""A feature panel updated from an earlier one equals one computed anew."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forecast_assets.core.panel import blocks, incremental
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.incremental import Span, Stored, extend_parts
from forecast_assets.core.panel.parts import ticker_parts
from forecast_assets.core.panel.point_in_time import UNIVERSE, mark_members
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.builders import panel, panel_spec, raw
from forecast_assets_tests.helpers.random_walks import walk

# Short memories and blocks, so that most of a few hundred rows are not computed again.
SPEC = FeatureSpec(rsi_window=2, macd_fast=2, macd_slow=3, macd_signal=2, moment_window=10, ewma_decay=0.5)
RECURSIVE = ["rsi_2", "macd", "macd_signal", "ewma_vol"]
START = dt.date(2022, 1, 3)


@pytest.fixture(scope="module", autouse=True)
def small_blocks_and_always_extended() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", 32)
        patch.setattr(incremental, "BLOCK", 32)
        patch.setattr(incremental, "LARGEST_SHARE", 1.0)
        yield


def world() -> pl.DataFrame:
    return panel(
        walk("AAPL", 400, seed=1, start=START),
        walk("MSFT", 400, seed=2, start=START),
        walk("SAP.DE", 380, seed=3, start=START, exchange="XETR"),
        walk("SIE.DE", 150, seed=4, start=dt.date(2022, 6, 1), exchange="XETR"),
    ).sort("ticker", "date")


def extended(old_raw: pl.DataFrame, new_raw: pl.DataFrame, *, calendar: str, rows_per_part: int = 1) -> pl.DataFrame:
    spec = panel_spec(calendar=calendar)
    return extended_from(reindex(old_raw, spec=spec), reindex(new_raw, spec=spec), rows_per_part=rows_per_part)


def extended_from(old: pl.DataFrame, new: pl.DataFrame, *, rows_per_part: int = 1) -> pl.DataFrame:
    features = feature_panel(old, features=SPEC)

    def stored(span: Span) -> Stored:
        return Stored(old.filter(span.rows()), features.filter(span.rows()))

    parts = extend_parts(lambda: ticker_parts(new.lazy(), rows_per_part=rows_per_part), features=SPEC, stored=stored)
    return pl.concat(parts)


def full(raw: pl.DataFrame, *, calendar: str) -> pl.DataFrame:
    return feature_panel(reindex(raw, spec=panel_spec(calendar=calendar)), features=SPEC)


def assert_same(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    exact = [name for name in wanted.columns if name not in RECURSIVE]
    assert_frame_equal(found.select(exact), wanted.select(exact), check_exact=True)
    assert_frame_equal(found.select(RECURSIVE), wanted.select(RECURSIVE), rel_tol=0, abs_tol=1e-8)


@pytest.mark.parametrize("calendar", ["exchange", "union"])
def test_one_more_day_computes_little_and_gives_the_whole(calendar: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new = world()
    old = new.filter(pl.col("date") < new["date"].max())
    wanted = full(new, calendar=calendar)
    computed: list[int] = []
    honest = incremental.add_own_features

    def counted(rows: pl.DataFrame, *, spec: FeatureSpec) -> pl.DataFrame:
        computed.append(rows.height)
        return honest(rows, spec=spec)

    monkeypatch.setattr(incremental, "add_own_features", counted)
    assert_same(extended(old, new, calendar=calendar), wanted)
    assert 0 < sum(computed) < 0.8 * new.height


NEWS: dict[str, list[tuple[str, dt.date, dt.date | None]]] = {
    "a day and an exit": [("AAPL", START, dt.date(2023, 7, 3)), ("MSFT", START, None), ("SAP.DE", START, None)],
    "an entry": [
        ("AAPL", START, None),
        ("MSFT", START, None),
        ("SAP.DE", START, None),
        ("SIE.DE", dt.date(2022, 11, 1), None),
    ],
    "a correction of the past": [("AAPL", START, None), ("MSFT", dt.date(2022, 6, 1), None), ("SAP.DE", START, None)],
}


@pytest.mark.parametrize("news", NEWS)
def test_a_universe_that_grows_or_is_corrected_gives_the_whole(news: str) -> None:
    raw_panel = world()
    earlier = raw_panel.filter(pl.col("date") < raw_panel["date"].max())
    before = pl.DataFrame([(name, START, None) for name in ("AAPL", "MSFT", "SAP.DE")], schema=UNIVERSE, orient="row")
    after = pl.DataFrame(NEWS[news], schema=UNIVERSE, orient="row")
    old = mark_members(reindex(earlier, spec=panel_spec()), before)
    new = mark_members(reindex(raw_panel, spec=panel_spec()), after)
    wanted = feature_panel(new, features=SPEC)
    assert_same(extended_from(old, new), wanted)
    assert not wanted["is_member"].equals(mark_members(new, before)["is_member"])


def test_nothing_new_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "add_own_features", None)
    assert_frame_equal(extended(world(), world(), calendar="exchange"), full(world(), calendar="exchange"))


def test_a_panel_that_is_mostly_new_is_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "LARGEST_SHARE", 0.2)
    monkeypatch.setattr(incremental, "add_own_features", None)
    old = world().filter(pl.col("date") < dt.date(2022, 3, 1))
    assert_frame_equal(extended(old, world(), calendar="exchange"), full(world(), calendar="exchange"))


@pytest.mark.parametrize("rows_per_part", [1, 10_000])
@pytest.mark.parametrize("ticker", ["AAA", "BBB", "ZZZ"])  # before, between and after those that remain
def test_a_ticker_that_is_gone_no_longer_counts_in_the_ranks(ticker: str, rows_per_part: int) -> None:
    old = panel(world(), walk(ticker, 200, seed=9, start=START))
    found = extended(old, world(), calendar="exchange", rows_per_part=rows_per_part)
    assert_same(found, full(world(), calendar="exchange"))


def test_a_part_of_new_tickers_only_is_computed() -> None:
    old = world().filter(pl.col("ticker") != "SIE.DE")
    assert_same(extended(old, world(), calendar="exchange"), full(world(), calendar="exchange"))


def test_the_rsi_of_a_long_constant_price_does_not_depend_on_earlier_moves() -> None:
    still = [10.0, 11.0, 10.5, 12.0, *[11.0] * 300]
    new = panel(raw("AAPL", still, start=START), walk("MSFT", len(still), seed=1, start=START))
    old = new.filter(pl.col("date") < new["date"].max())
    wanted = full(new, calendar="exchange")
    assert_same(extended(old, new, calendar="exchange"), wanted)
    assert wanted.filter(pl.col("ticker") == "AAPL")["rsi_2"][-1] == 50.0


@pytest.mark.parametrize("came", [True, False])
@pytest.mark.parametrize(
    "own", [True, False]
)  # quoted by a ticker that remains, or by one that is added and removed with it
def test_a_special_session_moves_the_labels_of_the_exchanges_other_tickers(came: bool, own: bool) -> None:
    alone = walk("ZZZ", 300, seed=9, start=dt.date(2022, 6, 1))
    plain = world()
    special = with_special_session(plain) if own else panel(plain, with_special_session(alone, "ZZZ"))
    old, new = (plain, special) if came else (special, plain)
    wanted = full(new, calendar="union")
    assert_same(extended(old, new, calendar="union"), wanted)
    microsoft = pl.col("ticker") == "MSFT"
    assert not wanted.filter(microsoft).equals(full(old, calendar="union").filter(microsoft))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    appended=st.integers(0, 12),
    revised=st.integers(0, 2),
    came=st.integers(0, 8),
    went=st.integers(0, 8),
    listed=st.sampled_from([None, "AAPL", "SIE.DE"]),
    delisted=st.sampled_from([None, "AAA", "BBB", "ZZZ"]),
    special=st.sampled_from(["neither", "old", "new"]),
    calendar=st.sampled_from(["exchange", "union"]),
    rows_per_part=st.sampled_from([1, 10_000]),
)
def test_appended_revised_filled_and_listed_rows_give_the_whole(
    seed: int,
    appended: int,
    revised: int,
    came: int,
    went: int,
    listed: str | None,
    delisted: str | None,
    special: str,
    calendar: str,
    rows_per_part: int,
) -> None:
    rng = np.random.default_rng(seed)
    everything = world()
    new = everything.filter(~_some(rng, everything.height, went))
    days = new["date"].unique().sort()
    old = everything.filter(~_some(rng, everything.height, came) & (pl.col("date") <= days[-1 - appended]))
    other = pl.when(_some(rng, old.height, revised)).then(pl.col("close") * 1.07).otherwise("close")
    old = old.with_columns(close=other)
    if listed is not None:
        old = old.filter(pl.col("ticker") != listed)
    if delisted is not None:
        old = panel(old, walk(delisted, 200, seed=9, start=START))
    if special == "old":
        old = with_special_session(old)
    if special == "new":
        new = with_special_session(new)
    assert_same(extended(old, new, calendar=calendar, rows_per_part=rows_per_part), full(new, calendar=calendar))


def with_special_session(raw_panel: pl.DataFrame, ticker: str = "AAPL") -> pl.DataFrame:
    """``raw_panel`` with a quote of an American on Memorial Day 2023, when Frankfurt was open and New York was not."""
    quote = walk(ticker, 1, seed=5, start=dt.date(2023, 5, 30)).with_columns(date=dt.date(2023, 5, 29))
    return panel(raw_panel, quote)


def _some(rng: np.random.Generator, rows: int, count: int) -> pl.Series:
    chosen = np.zeros(rows, dtype=bool)
    chosen[rng.choice(rows, size=count, replace=False)] = True
    return pl.Series(chosen)
