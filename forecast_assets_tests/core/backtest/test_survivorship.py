"""Delistings in a book: against one that is simulated again on prices with the delisting, and by their rules."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import forecast_decisions
from forecast_assets.core.backtest.market import Market
from forecast_assets.core.backtest.simulate import Terms, Trade, market_of, trade_forecasts
from forecast_assets.core.backtest.strategies import equal_weight
from forecast_assets.core.backtest.survivorship import delisted_returns, delisted_sharpes
from forecast_assets.core.evaluation.delistings import Delistings
from forecast_assets.core.scores.trading import sessions_per_year, sharpe
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.tiny_markets import Quote, calendar_panel, forecasts_on, random_panel, weekdays

SPEC = BacktestSpec(horizon_sessions=1, smoothing=0.5, cost_bps=5.0, book="directional", max_wait_sessions=2)
FREE = SPEC.model_copy(update={"cost_bps": 0.0, "smoothing": 0.0})


def traded(trade: Trade, panel: pl.DataFrame, *, first_test: dt.date, spec: BacktestSpec) -> tuple[Simulation, Market]:
    mean = (pl.col("close").hash(3) % 7).cast(pl.Float64) / 200 - 0.012
    forecasts = forecasts_on(panel, mean, first_test=first_test)
    decisions = forecast_decisions(forecasts, horizon_sessions=1, no_skill=(0.0, 0.0))
    view = market_of(decisions, panel, spec=spec)
    return trade(decisions, Terms("m", view, spec, Costs.of(spec.cost_bps, panel))), view


def delistings(*last: str | None, tickers: tuple[str, ...], recoveries: tuple[float, ...]) -> Delistings:
    """One planting at one rate."""
    days = np.array([day or "NaT" for day in last], dtype="datetime64[D]")
    return Delistings(tickers, (0.02,), days[None, None, :], 1.0, recoveries)


@pytest.mark.parametrize("recovery", [0.01, 0.4, 1.0])
def test_it_is_the_book_of_prices_on_which_the_ticker_was_delisted(recovery: float) -> None:
    """Bought and held, so that the money in all other tickers is the same in both, before costs."""
    dates, rng = weekdays(30), np.random.default_rng(4)
    close = {name: 40 * np.exp(np.cumsum(rng.normal(0, 0.03, 30))) for name in "ABC"}
    opens = {name: path * np.exp(rng.normal(0, 0.01, 30)) for name, path in close.items()}
    quotes: dict[str, list[Quote]] = {
        name: list(zip(opens[name].tolist(), close[name].tolist(), strict=True)) for name in "ABC"
    }
    book, view = traded(equal_weight, calendar_panel(dates, quotes), first_test=dates[5], spec=FREE)
    last = 17
    paid = recovery * float(close["B"][last])
    gone: dict[str, list[Quote]] = {**quotes, "B": [*quotes["B"][: last + 1], (paid, paid), *[None] * (28 - last)]}
    again, _ = traded(equal_weight, calendar_panel(dates, gone), first_test=dates[5], spec=FREE)
    when = delistings(None, str(dates[last]), None, tickers=("A", "B", "C"), recoveries=(recovery,))
    found = delisted_returns(book, view, when)[0, 0, 0]
    own, other = (table.daily["net_return"].to_numpy() for table in (book, again))
    before, after = (np.cumprod(np.append(1.0, 1.0 + net))[:-1] for net in (own, other))
    row = book.daily["date"].to_list().index(dates[last])
    np.testing.assert_array_equal(found[:row], own[:row])
    np.testing.assert_allclose(found[row], other[row], rtol=1e-12)
    np.testing.assert_allclose((found * before)[row + 1 :], (other * after)[row + 1 :], atol=1e-12)  # in money


def test_without_a_delisting_nothing_changes_and_a_loss_is_linear_in_the_recovery() -> None:
    book, view = traded(trade_forecasts, random_panel(seed=3), first_test=dt.date(2023, 12, 20), spec=SPEC)
    none = delistings(*[None] * 8, tickers=view.tickers, recoveries=(0.0, 0.5))
    own = book.daily["net_return"].to_numpy()
    assert np.array_equal(delisted_returns(book, view, none)[0, 0], np.stack([own, own]))
    held = book.positions.filter(pl.col("ticker") == "T0")
    for side, sign in ((held.filter(pl.col("weight") > 0), 1.0), (held.filter(pl.col("weight") < 0), -1.0)):
        day, weight = side.select("date", "weight").row(5)
        when = delistings(str(day), *[None] * 7, tickers=view.tickers, recoveries=(0.0, 0.5, 1.0))
        lost, half, most = delisted_returns(book, view, when)[0, 0]
        row = book.daily["date"].to_list().index(day)
        assert sign * lost[row] < sign * half[row] < sign * most[row]
        pnl = book.positions.filter(pl.col("ticker") == "T0", pl.col("date") == day)["pnl"].item()
        assert lost[row] == pytest.approx(own[row] - pnl - weight)  # all of it, or what a short position was sold for
        others = np.delete(half, row)
        np.testing.assert_array_equal(np.delete(lost, row), others)
        np.testing.assert_array_equal(others[:row], own[:row])
        assert not np.array_equal(others[row:], own[row + 1 :])


def test_a_day_without_a_row_of_the_ticker_ends_it_all_the_same() -> None:
    """Between two stretches of a book, or on a holiday: what comes after is gone, and no return is paid twice."""
    book, view = traded(trade_forecasts, random_panel(seed=3), first_test=dt.date(2023, 12, 20), spec=SPEC)
    early = delistings("2023-12-01", *[None] * 7, tickers=view.tickers, recoveries=(0.3,))
    without = delisted_returns(book, view, early)[0, 0, 0]
    own = book.daily.select("date", "net_return")
    pnl = book.positions.filter(pl.col("ticker") == "T0").select("date", "pnl")
    cost = book.trades.filter(pl.col("ticker") == "T0").select("date", "cost")
    rest = own.join(pnl, on="date", how="left").join(cost, on="date", how="left").fill_null(0.0)
    np.testing.assert_allclose(without, rest["net_return"] - rest["pnl"] + rest["cost"], atol=1e-15)


def test_sharpe_ratios_are_those_of_the_joined_stretches() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 0.01, (2, 3, 2, 40)), rng.normal(0, 0.01, (2, 3, 2, 25))
    dates = pl.Series(weekdays(65))
    found = delisted_sharpes([(dates[:40], first), (dates[40:], second)])
    whole = np.concatenate([first[1, 2, 0], second[1, 2, 0]])
    assert found.shape == (2, 3, 2)
    assert found[1, 2, 0] == pytest.approx(sharpe(whole, sessions_per_year=sessions_per_year(dates.to_numpy())))
    assert np.isnan(delisted_sharpes([(dates, np.zeros((1, 1, 1, 65)))])).all()
