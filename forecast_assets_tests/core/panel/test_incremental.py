"""A feature panel that goes on from the one before is the one computed anew."""

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
from forecast_assets.core.panel.incremental import Stored, extend_parts
from forecast_assets.core.panel.parts import ticker_parts
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.builders import panel, panel_spec
from forecast_assets_tests.core.panel.walks import walk

# Short memories and blocks, so that a few hundred rows have a past that is not looked at again.
SPEC = FeatureSpec(rsi_window=2, macd_fast=2, macd_slow=3, macd_signal=2, moment_window=10, ewma_decay=0.5)
RECURSIVE = ["rsi_2", "macd", "macd_signal", "ewma_vol"]
START = dt.date(2022, 1, 3)


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", 32)
        patch.setattr(incremental, "BLOCK", 32)
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
    old, new = reindex(old_raw, spec=spec), reindex(new_raw, spec=spec)
    features = feature_panel(old, features=SPEC)

    def stored(part: pl.DataFrame) -> Stored:
        own = pl.col("ticker").is_in(part["ticker"].unique().implode())
        return Stored(old.filter(own), features.filter(own))

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


def test_nothing_new_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "add_own_features", None)
    assert_frame_equal(extended(world(), world(), calendar="exchange"), full(world(), calendar="exchange"))


def test_a_panel_that_is_mostly_new_is_computed_anew() -> None:
    old = world().filter(pl.col("date") < dt.date(2022, 3, 1))
    assert_frame_equal(extended(old, world(), calendar="exchange"), full(world(), calendar="exchange"))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    appended=st.integers(0, 12),
    revised=st.integers(0, 2),
    came=st.integers(0, 8),
    went=st.integers(0, 8),
    listed=st.sampled_from([None, "AAPL", "SIE.DE"]),
    delisted=st.booleans(),
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
    delisted: bool,
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
    if delisted:
        old = pl.concat([old, walk("ZZZ", 200, seed=9, start=START)]).sort("ticker", "date")
    assert_same(extended(old, new, calendar=calendar, rows_per_part=rows_per_part), full(new, calendar=calendar))


def _some(rng: np.random.Generator, rows: int, count: int) -> pl.Series:
    chosen = np.zeros(rows, dtype=bool)
    chosen[rng.choice(rows, size=count, replace=False)] = True
    return pl.Series(chosen)
