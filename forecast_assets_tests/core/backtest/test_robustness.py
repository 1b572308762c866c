"""Costs, size, delay and halves of the universe on tables small enough to do by hand."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.robustness import (
    capacity,
    cost_curve,
    delayed,
    liquidity,
    universe_half,
    universe_halves,
)
from forecast_assets.core.scores.trading import sessions_per_year

DAYS = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 4), interval="1d", eager=True)
PER_YEAR = sessions_per_year(DAYS.to_numpy())
GROSS = [0.01, 0.0, -0.005, 0.02]
BOOK = pl.DataFrame(
    {"date": DAYS, "gross_return": GROSS, "turnover": [1.0, 0.0, 0.5, 0.5], "net_return": [0.009, 0.0, -0.0055, 0.0195]}
)


def test_each_cost_is_charged_on_the_same_trades() -> None:
    curve = cost_curve(BOOK, costs_bps=(0.0, 10.0))
    assert [row["net_annual_mean"] / PER_YEAR for row in curve] == pytest.approx([0.00625, 0.00625 - 0.0005])
    net = np.array(GROSS) - 1e-3 * BOOK["turnover"].to_numpy()
    assert curve[1]["sharpe"] == pytest.approx(net.mean() / net.std(ddof=1) * PER_YEAR**0.5)


def test_the_late_book_is_set_beside_the_prompt_one() -> None:
    late = BOOK.with_columns(net_return=pl.col("net_return") / 2 - 0.001)
    found = delayed(BOOK, late)
    assert found["net_annual_mean_late"] == pytest.approx(found["net_annual_mean"] / 2 - 0.001 * PER_YEAR)


def test_a_ticker_stays_in_its_half_and_both_halves_are_about_equal() -> None:
    assert [universe_half(name) for name in ("AAPL", "NESN.SW", "MC.PA")] == ["A", "B", "A"]
    names = [f"T{k}" for k in range(1000)]
    assert 450 < sum(universe_half(name) == "A" for name in names) < 550


def test_the_halves_add_up_to_the_book() -> None:
    tickers = [f"T{k}" for k in range(8)]
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"date": DAYS}).join(pl.DataFrame({"ticker": tickers}), how="cross")
    positions = rows.with_columns(pnl=pl.Series(rng.normal(0, 0.01, rows.height)))
    change = pl.Series(rng.normal(0, 0.1, rows.height))
    trades = rows.with_columns(weight_change=change, cost=change.abs() * 5e-4)
    book = (
        positions.join(trades, on=["date", "ticker"])
        .group_by("date")
        .agg(net_return=(pl.col("pnl") - pl.col("cost")).sum())
        .sort("date")
    )
    halves = universe_halves(book, positions, trades)
    assert [half["tickers"] for half in halves] == [sum(universe_half(t) == side for t in tickers) for side in "AB"]
    total = sum(half["net_annual_mean"] for half in halves)
    assert total == pytest.approx(book["net_return"].to_numpy().mean() * PER_YEAR)


def test_a_book_that_never_traded_has_halves_without_tickers() -> None:
    none = pl.DataFrame(schema={"date": pl.Date, "ticker": pl.String, "pnl": pl.Float64})
    trades = none.rename({"pnl": "weight_change"}).with_columns(cost=pl.lit(None, pl.Float64))
    halves = universe_halves(BOOK, none, trades)
    assert [half["tickers"] for half in halves] == [0, 0]
    assert [half["net_annual_mean"] for half in halves] == [0.0, 0.0]


def test_impact_grows_with_the_root_of_the_book_until_nothing_is_left() -> None:
    trades = pl.DataFrame({"date": DAYS[:2], "ticker": ["A", "B"], "weight_change": [-0.25, 0.25]})
    liquid = pl.DataFrame({"date": DAYS[:2], "ticker": ["A", "B"], "traded_value": [1e6, 4e6], "volatility": 0.02})
    found = capacity(BOOK, trades, liquid, books=(1e4, 1e6))
    drag = 0.02 * 0.25**1.5 * (1 / 1e3 + 1 / 2e3) / 4 * PER_YEAR
    net = BOOK["net_return"].to_numpy().mean() * PER_YEAR
    assert [row["net_annual_mean"] for row in found["curve"]] == pytest.approx([net - drag * 100, net - drag * 1000])
    assert found["break_even_book"] == pytest.approx((net / drag) ** 2)
    assert found["unpriced_share"] == 0.0


def test_a_trade_without_volume_is_counted_and_a_losing_book_has_no_capacity() -> None:
    trades = pl.DataFrame({"date": DAYS[:2], "ticker": ["A", "B"], "weight_change": [-0.1, 0.3]})
    liquid = pl.DataFrame({"date": DAYS[:2], "ticker": ["A", "B"], "traded_value": [1e6, 0.0], "volatility": 0.02})
    losing = BOOK.with_columns(net_return=-pl.col("net_return"))
    found = capacity(losing, trades, liquid)
    assert found["unpriced_share"] == pytest.approx(0.75)
    assert found["break_even_book"] is None


def test_liquidity_does_not_use_the_day_itself() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 2, 9), interval="1d", eager=True)
    panel = pl.DataFrame(
        {"date": days, "ticker": "A", "close": np.exp(np.arange(40) * 0.01), "volume": 10.0, "is_missing": False}
    )
    last = panel.with_columns(volume=pl.when(pl.col("date") == days[-1]).then(1e9).otherwise(pl.col("volume")))
    before, after = (liquidity(table.lazy()).sort("date").collect() for table in (panel, last))
    assert before.equals(after)
    assert before["traded_value"][-1] == pytest.approx(10 * panel["close"][19:39].mean())  # type: ignore[operator]
    assert before["volatility"][-1] == pytest.approx(0.0, abs=1e-9)
    assert before["traded_value"].null_count() == 20
