"""Planted delistings: how many, of whom, and what they do to coverage, against a naive count."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.delistings import Delistings, delisted_coverage, hazard_ratios, planted, real
from forecast_assets.core.specs import SurvivorshipSpec

FIRST = dt.date(2020, 1, 1)
SPEC = SurvivorshipSpec(rates=(0.0, 0.05, 0.2), plantings=40)
EVEN = SurvivorshipSpec(rates=(0.1,), plantings=50, volatility_ratio=1.0, drawdown_ratio=1.0)


def panel(tickers: int, *, sessions: int, seed: int = 0, volatility: float = 0.02) -> pl.DataFrame:
    """Random walks on weekdays from a year before ``FIRST``."""
    days = np.busday_offset("2019-01-01", np.arange(sessions), roll="forward").astype("datetime64[D]")
    moves = np.random.default_rng(seed).normal(0, volatility, (tickers, sessions))
    table = {
        "date": np.tile(days, tickers),
        "ticker": np.repeat([f"T{k:03d}" for k in range(tickers)], sessions),
        "close": 50 * np.exp(np.cumsum(moves, axis=1)).ravel(),
    }
    return pl.DataFrame(table).with_columns(
        pl.col("date").cast(pl.Date), is_missing=False, is_member=True, segment=pl.lit(0, dtype=pl.Int32)
    )


def names(table: pl.DataFrame) -> list[str]:
    return table["ticker"].unique().sort().to_list()


def test_the_number_of_delistings_is_that_of_the_rate() -> None:
    """With one hazard for all, a ticker is still there after T years with probability exp(-rate x T)."""
    table = panel(100, sessions=261 * 4)
    found = planted(table, tickers=names(table), first=FIRST, spec=EVEN)
    expected = 1 - math.exp(-0.1 * found.ticker_years / 100)
    assert found.ticker_years == pytest.approx(300, rel=0.01)
    assert found.counts.mean() / 100 == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 5000))


def test_a_higher_rate_delists_the_same_tickers_earlier_and_others_beside_them() -> None:
    table = panel(30, sessions=700)
    found = planted(table, tickers=names(table), first=FIRST, spec=SPEC)
    never, some, more = found.last
    assert np.isnat(never).all()
    gone = ~np.isnat(some)
    assert 20 < gone.sum() < (~np.isnat(more)).sum()
    assert (more[gone] <= some[gone]).all()
    days = more[~np.isnat(more)]
    assert days.min() >= np.datetime64(FIRST)
    assert days.max() < table["date"].to_numpy().max()  # what comes after the last row is not known


def test_a_seed_has_the_same_delistings_and_another_one_others() -> None:
    table = panel(10, sessions=500)
    one, again, other = (
        planted(table.sample(fraction=1.0, shuffle=True, seed=seed), tickers=names(table), first=FIRST, spec=spec)
        for seed, spec in enumerate((SPEC, SPEC, SPEC.model_copy(update={"seed": 1})))
    )
    np.testing.assert_array_equal(one.last, again.last)
    assert one.counts.sum() > 10
    assert not np.array_equal(np.isnat(one.last), np.isnat(other.last))


def test_no_later_price_changes_an_earlier_hazard() -> None:
    table = panel(12, sessions=400)
    cut = dt.date(2020, 2, 3)
    poisoned = table.with_columns(close=pl.when(pl.col("date") > cut).then(1e6).otherwise("close"))
    known, changed = (
        hazard_ratios(t.select("date", "ticker", "close"), spec=SPEC).filter(pl.col("date") <= cut)
        for t in (table, poisoned)
    )
    assert known.equals(changed)
    assert known["ratio"].to_numpy().std() > 0.5


def test_the_volatile_and_the_fallen_go_first() -> None:
    """Three tickers of one path by day: calm, volatile, and as calm but fallen by a third; by hand at their ranks."""
    days = pl.Series(np.busday_offset("2019-01-01", np.arange(80), roll="forward").astype("datetime64[D]")).cast(
        pl.Date
    )
    wave = np.where(np.arange(80) % 2, 1.01, 1.0)
    paths = {"calm": wave, "wild": np.where(np.arange(80) % 2, 1.05, 1.0), "fallen": wave * np.linspace(1.0, 0.66, 80)}
    table = pl.concat(pl.DataFrame({"date": days, "ticker": name, "close": path}) for name, path in paths.items())
    last = hazard_ratios(table, spec=SPEC).filter(pl.col("date") == days[-2])
    score = 0.9674215661017010  # the Normal score of the rank (3 - .5) / 3
    # On the last day but one all waves are at their foot: the calm ticker is 1 % below its high, the wild one 5 %.
    raw = {"calm": 2**-score * 2**-score, "wild": 2**score * 1.0, "fallen": 1.0 * 2**score}
    expected = {name: value / (sum(raw.values()) / 3) for name, value in raw.items()}
    assert dict(last.select("ticker", "ratio").iter_rows()) == pytest.approx(expected)


def forecasts_of(table: pl.DataFrame, horizons: tuple[int, ...]) -> pl.DataFrame:
    """A band of a seeded width around each origin's close; the outcome as the panel's rows have it."""
    rng = np.random.default_rng(1)
    parts = []
    for horizon in horizons:
        y = (pl.col("close").log().shift(-horizon) - pl.col("close").log()).over("ticker")
        width = pl.Series(0.02 * math.sqrt(horizon) * rng.uniform(0.5, 2.5, table.height))
        parts.append(table.select("date", "ticker", horizon=pl.lit(horizon), y=y, q025=-width, q975=width))
    return pl.concat(parts).with_columns(
        split=pl.when(pl.col("date") < FIRST).then(pl.lit("validation")).otherwise(pl.lit("test"))
    )


def naive_coverage(
    forecasts: pl.DataFrame, table: pl.DataFrame, last: dict[str, dt.date], recovery: float
) -> list[float]:
    """Coverage by horizon, origin by origin."""
    closes = {ticker: own.sort("date") for (ticker,), own in table.group_by("ticker")}
    sums: dict[int, list[int]] = {}
    for date, ticker, horizon, y, low, high in (
        forecasts.filter(pl.col("split") == "test").select("date", "ticker", "horizon", "y", "q025", "q975").iter_rows()
    ):
        own = closes[ticker]
        days, outcome, end = own["date"].to_list(), y, last.get(ticker)
        if end is not None:
            at, stop = days.index(date), days.index(end)
            if at > stop:
                continue
            if at + horizon > stop:
                paid = math.log(recovery) if recovery else -math.inf
                outcome = math.log(own["close"][stop] / own["close"][at]) + paid
        if outcome is not None:
            sums.setdefault(horizon, []).append(low <= outcome <= high)
    return [float(np.mean(sums[horizon])) for horizon in sorted(sums)]


def test_coverage_is_that_of_a_naive_count() -> None:
    table = panel(4, sessions=320)
    forecasts = forecasts_of(table, (1, 5))
    ends = [{"T001": dt.date(2020, 2, 12)}, {"T000": dt.date(2020, 1, 1), "T003": dt.date(2020, 3, 20)}, {}]
    last = np.full((1, 3, 4), "NaT", dtype="datetime64[D]")
    for planting, gone in enumerate(ends):
        for ticker, day in gone.items():
            last[0, planting, names(table).index(ticker)] = np.datetime64(day)
    recoveries = (0.0, 0.97, 1.0)
    delistings = Delistings(tuple(names(table)), (0.1,), last, 1.0, recoveries)
    found = delisted_coverage(forecasts, table, delistings)
    assert found.horizons == (1, 5)
    np.testing.assert_allclose(found.without, naive_coverage(forecasts, table, {}, 0.0))
    for planting, gone in enumerate(ends):
        for place, recovery in enumerate(recoveries):
            np.testing.assert_allclose(
                found.after[0, planting, place], naive_coverage(forecasts, table, gone, recovery)
            )
    assert (found.after[0, :2, 0] < found.after[0, :2, 2]).any()
    assert (found.after[0, :, 0] <= found.after[0, :, 1:].min(axis=1)).all()  # nothing recovered is outside every band


def test_of_a_real_panel_the_members_whose_quotes_end_are_delisted() -> None:
    table = panel(4, sessions=400)
    ended = (pl.col("ticker") == "T001") & (pl.col("date") > dt.date(2020, 3, 2))
    late = (pl.col("ticker") == "T003") & (pl.col("date") > dt.date(2020, 7, 9))  # two sessions before the panel's end
    left = (pl.col("ticker") == "T002") & (pl.col("date") > dt.date(2020, 2, 3))
    table = table.filter(~ended & ~late).with_columns(is_member=~left)
    table = table.filter((pl.col("ticker") != "T002") | (pl.col("date") <= dt.date(2020, 3, 2)))  # left before it ended
    found = real(table, tickers=names(table), first=FIRST, silence_sessions=2, recoveries=(0.0,))
    assert found.last[0, 0].tolist() == [None, dt.date(2020, 3, 2), None, None]
    assert found.is_real
    assert found.rates[0] == pytest.approx(1 / found.ticker_years)
    assert real(table, tickers=names(table), first=FIRST, silence_sessions=1, recoveries=(0.0,)).counts.tolist() == [
        [2]
    ]
