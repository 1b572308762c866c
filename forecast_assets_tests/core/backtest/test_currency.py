"""Books in a base currency: a literal one by hand, against a panel priced in the base, and the limits of the rates."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forecast_assets.core.backtest.accounting import account_tables, keep_book, reconcile
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.currency import Conversion, Known, currency_exposures, in_base_money
from forecast_assets.core.backtest.market import market
from forecast_assets.core.backtest.strategies import equal_risk, equal_weight, momentum
from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.core.panel.currencies import ticker_currencies
from forecast_assets.core.panel.exchange_rates import RATES
from forecast_assets.core.report.currency import currency_section
from forecast_assets.core.specs import BacktestSpec, CurrencySpec
from forecast_assets_tests.core.backtest.tiny_markets import (
    Quote,
    benchmark,
    calendar_panel,
    forecasts_on,
    random_panel,
    simulate,
    weekdays,
)

DAYS = weekdays(3, start="2024-01-02")
BEFORE = dt.date(2024, 1, 1)
DIRECTIONAL = BacktestSpec(horizon_sessions=5, smoothing=0.8, book="directional", cost_bps=10.0)


def rates_of(days: Sequence[dt.date], values: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame({"date": days, "currency": code, "rate": rate}, schema=RATES) for code, rate in values.items()
    )


def conversion(rates: pl.DataFrame, panel: pl.DataFrame, **changes: Any) -> Conversion:
    found = Conversion.of(rates, panel, CurrencySpec(**changes))
    assert found is not None
    return found


def on_exchanges(panel: pl.DataFrame, exchanges: Mapping[str, str]) -> pl.DataFrame:
    return panel.with_columns(exchange=pl.col("ticker").replace_strict(exchanges, default="XNYS"))


def walk(days: Sequence[dt.date], *, seed: int) -> list[float]:
    """Rates that move by a percent a day."""
    return np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(days)))).tolist()


TWO = on_exchanges(
    calendar_panel(
        DAYS, {"A": [(50.0, 50.0), (55.0, 55.0), (44.0, 44.0)], "B": [(100.0, 100.0), (110.0, 110.0), (110.0, 120.0)]}
    ),
    {"B": "XETR"},
)
EUROS = rates_of([BEFORE, *DAYS], {"EUR": [1.0, 1.1, 1.21, 1.331]})


def test_a_long_and_a_short_position_in_two_currencies_by_hand() -> None:
    """Half of the dollars are in A, and shares of B worth half of them are sold short for euros that become dollars."""
    view = market(
        TWO,
        tickers=["A", "B"],
        first=DAYS[0],
        last=DAYS[2],
        execution="next_open",
        max_wait_sessions=5,
        conversion=conversion(EUROS, TWO),
    )
    orders = np.array([[0.5, -0.5], [np.nan, np.nan], [np.nan, np.nan]])
    accounts = keep_book(view, orders, smoothing=np.zeros((3, 2)), costs=Costs(0.0))
    # Dollars of a position worth 100 at first: A 50, 55, 44, 44; B 100 x 1.0, 110 x 1.1, 110 x 1.21, 120 x 1.331.
    a, b = [50.0, 55.0, 44.0, 44.0], [100.0, 121.0, 133.1, 159.72]
    capital = [100.0 + (now_a - 50.0) - (now_b - 100.0) / 2 for now_a, now_b in zip(a, b, strict=True)]
    assert capital == pytest.approx([100.0, 94.5, 77.45, 64.14])
    daily = accounts.pnl.sum(axis=1)
    assert daily.tolist() == pytest.approx([capital[k + 1] / capital[k] - 1.0 for k in range(3)])
    assert accounts.weight[:, 1].tolist() == pytest.approx([-b[k] / 2 / capital[k] for k in range(3)])
    assert reconcile(account_tables(view, accounts, strategy="s")) < 1e-12


def test_at_the_same_close_a_position_counts_at_the_rate_of_its_day() -> None:
    closes = TWO.with_columns(close=pl.when(pl.col("ticker") == "B").then(pl.lit(100.0)).otherwise("close"))
    view = market(
        closes,
        tickers=["A", "B"],
        first=DAYS[0],
        last=DAYS[2],
        execution="same_close",
        max_wait_sessions=5,
        conversion=conversion(EUROS, TWO),
    )
    assert view.growth.tolist() == pytest.approx(np.array([[1.1, 1.1], [0.8, 1.1], [1.0, 1.0]]))
    assert view.rate[:, 1].tolist() == pytest.approx([1.1, 1.21, 1.331])


@pytest.mark.parametrize("execution", ["next_open", "same_close"])
def test_a_directional_book_is_that_of_a_panel_whose_prices_are_in_the_base(execution: str) -> None:
    days = weekdays(60)
    rng = np.random.default_rng(5)
    quotes: dict[str, list[Quote]] = {
        f"T{k}": list(zip(*(50 * np.exp(np.cumsum(rng.normal(0, 0.02, (2, 60)), axis=1))).tolist(), strict=True))
        for k in range(4)
    }
    panel = on_exchanges(calendar_panel(days, quotes), {"T2": "XETR", "T3": "XTKS"})
    known = weekdays(62, start="2023-12-29")
    rates = {"EUR": walk(known, seed=1), "JPY": walk(known, seed=2)}
    by_day = {code: dict(zip(known, values, strict=True)) for code, values in rates.items()}
    before = dict(zip(known[1:], known, strict=False))
    code = {"XETR": "EUR", "XTKS": "JPY"}
    priced = panel.with_columns(
        open=pl.Series(
            row["open"] * (by_day[code[row["exchange"]]][before[row["date"]]] if row["exchange"] in code else 1.0)
            for row in panel.iter_rows(named=True)
        ),
        close=pl.Series(
            row["close"] * (by_day[code[row["exchange"]]][row["date"]] if row["exchange"] in code else 1.0)
            for row in panel.iter_rows(named=True)
        ),
    )
    mean = pl.lit(pl.Series(rng.normal(0, 0.01, panel.height)))
    forecasts = forecasts_on(panel, mean, first_test=days[20], horizon=5)
    spec = DIRECTIONAL.model_copy(update={"execution": execution})
    converted = simulate(forecasts, panel, spec=spec, conversion=conversion(rates_of(known, rates), panel))
    expected = simulate(forecasts, priced, spec=spec)
    assert_frame_equal(converted.daily, expected.daily, abs_tol=1e-13)
    assert_frame_equal(converted.positions, expected.positions, abs_tol=1e-13)
    local = simulate(forecasts, panel, spec=spec).daily
    assert np.abs(converted.daily["gross_return"].to_numpy() - local["gross_return"].to_numpy()).max() > 1e-4
    risk = [
        benchmark(equal_risk, forecasts, of, spec=spec, conversion=how).daily
        for of, how in ((panel, conversion(rates_of(known, rates), panel)), (priced, None))
    ]
    assert_frame_equal(*risk, abs_tol=1e-13)


@settings(max_examples=15, deadline=None)
@given(rate=st.floats(1e-4, 1e4), seed=st.integers(0, 3), neutral=st.booleans())
def test_a_rate_that_stands_still_changes_no_bit(rate: float, seed: int, neutral: bool) -> None:
    panel = on_exchanges(random_panel(seed=seed), {f"T{k}": "XETR" for k in range(4, 8)})
    days = weekdays(95, start="2023-10-31")
    still = conversion(rates_of(days, {"EUR": [rate] * len(days)}), panel)
    moving_elsewhere = conversion(
        rates_of(days, {"USD": walk(days, seed=seed)}), panel.with_columns(exchange=pl.lit("XETR")), base="EUR"
    )
    mean = pl.lit(pl.Series(np.random.default_rng(seed).normal(0, 0.01, panel.filter(~pl.col("is_missing")).height)))
    forecasts = forecasts_on(panel, mean, first_test=days[50], horizon=5)
    spec = DIRECTIONAL.model_copy(update={"book": "neutral" if neutral else "directional"})
    local = simulate(forecasts, panel, spec=spec)
    for how in (still, moving_elsewhere):
        found = simulate(forecasts, panel, spec=spec, conversion=how)
        assert found.daily.equals(local.daily)
        assert found.positions.equals(local.positions)
        assert found.ending == local.ending


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_what_is_fully_invested_in_one_currency_is_scaled_by_its_rate(seed: int) -> None:
    days = weekdays(30)
    rng = np.random.default_rng(seed)
    quotes: dict[str, list[Quote]] = {
        name: list(zip(*(np.exp(rng.normal(0, 0.02, (2, 30)).cumsum(axis=1))).tolist(), strict=True)) for name in "ABC"
    }
    panel = calendar_panel(days, quotes).with_columns(exchange=pl.lit("XTKS"))
    known = weekdays(31, start="2023-12-29")
    rate = walk(known, seed=seed)
    forecasts = forecasts_on(panel, 0.01, first_test=days[9], horizon=1)
    spec = BacktestSpec(horizon_sessions=1, cost_bps=0.0)
    both = [
        benchmark(equal_weight, forecasts, panel, spec=spec, conversion=how).daily
        for how in (None, conversion(rates_of(known, {"JPY": rate}), panel))
    ]
    local, base = (float(np.prod(1.0 + daily["net_return"].to_numpy())) for daily in both)
    start = known.index(both[0]["date"][0]) - 1
    assert base == pytest.approx(local * rate[-1] / rate[start], rel=1e-12)


def test_ranks_of_momentum_stay_in_the_tickers_own_currency() -> None:
    panel = on_exchanges(random_panel(seed=2), {f"T{k}": "XETR" for k in range(4, 8)})
    days = weekdays(95, start="2023-10-31")
    forecasts = forecasts_on(panel, 0.01, first_test=days[50], horizon=5)
    spec = DIRECTIONAL.model_copy(update={"smoothing": 0.0})
    moved = conversion(rates_of(days, {"EUR": walk(days, seed=3)}), panel)
    local, base = (benchmark(momentum, forecasts, panel, spec=spec, conversion=how) for how in (None, moved))
    assert local.positions.select("date", "ticker").equals(base.positions.select("date", "ticker"))
    assert not local.daily.equals(base.daily)


def at(rates: pl.DataFrame, day: dt.date, *, known: Known = "before", **changes: Any) -> float:
    found = conversion(rates, TWO, **changes)
    days = np.array([day], dtype="datetime64[D]")
    return float(found.at(days, ["A", "B"], known=known, needed=np.ones((1, 2), dtype=bool))[0, 1])


def test_a_rate_stands_over_holidays_and_no_longer() -> None:
    rates = rates_of([dt.date(2023, 12, 29)], {"EUR": [1.1]})
    assert at(rates, dt.date(2023, 12, 29), known="by") == 1.1
    assert at(rates, dt.date(2024, 1, 5)) == 1.1
    sentence = (
        r"the last one of EUR for 2024-01-06 is of 2023-12-29, 8 days before \(currency.max_age_days: 7\); add the days"
    )
    with pytest.raises(BadInput, match=sentence):
        at(rates, dt.date(2024, 1, 6))
    assert at(rates, dt.date(2024, 1, 6), max_age_days=8) == 1.1
    with pytest.raises(
        BadInput, match="those of EUR begin on 2023-12-29, and the book needs an earlier one for 2023-12-29"
    ):
        at(rates, dt.date(2023, 12, 29))


def test_a_currency_without_a_rate_is_named_with_its_tickers_and_what_to_type() -> None:
    yen = rates_of(DAYS, {"JPY": [0.007] * 3})
    sentence = (
        r"exchange rates: none leads from EUR \(B\) to USD; add a column EURUSD to the file that FORECAST_FX names, or "
        r"declare another currency, --set 'currency.tickers=\{B: EUR\}'"
    )
    with pytest.raises(BadInput, match=sentence):
        Conversion.of(yen, TWO, CurrencySpec())
    assert conversion(yen, TWO, tickers={"B": "JPY"}).currency == {"A": "USD", "B": "JPY"}
    unknown = TWO.with_columns(exchange=pl.lit("XBSE"))
    sentence = (
        r"in which currency A, B is quoted; declare it, such as --set 'currency.tickers=\{A: EUR\}' or "
        r"--set 'currency.exchanges=\{XBSE: EUR\}'"
    )
    with pytest.raises(BadSetting, match=sentence):
        Conversion.of(yen, unknown, CurrencySpec())
    assert Conversion.of(rates_of([], {"EUR": []}), unknown, CurrencySpec()) is None


def test_the_first_gap_is_that_of_an_open() -> None:
    quotes = TWO.select("date", "ticker")
    assert conversion(EUROS, TWO).first_gap(quotes) is None
    late = conversion(EUROS.filter(pl.col("date") >= DAYS[0]), TWO).first_gap(quotes)
    assert late is not None
    assert late.startswith("exchange rates: those of EUR begin on 2024-01-02")


def test_pence_are_pounds_and_pounds_are_dollars() -> None:
    panel = pl.DataFrame({"ticker": ["BA.L", "AAPL"], "exchange": ["XLON", "XNYS"]})
    money = pl.DataFrame({"date": [DAYS[1]] * 2, "ticker": ["BA.L", "AAPL"], "traded_value": [1e6, 1e6]})
    spec = CurrencySpec()
    currencies = ticker_currencies(panel, spec)
    assert in_base_money(money, "traded_value", currencies, None)["traded_value"].to_list() == [1e4, 1e6]
    pounds = Conversion.of(rates_of([BEFORE, DAYS[1]], {"GBP": [1.25, 9.0]}), panel, spec)
    assert in_base_money(money, "traded_value", currencies, pounds)["traded_value"].to_list() == [1.25e4, 1e6]


def test_exposures_by_currency_are_daily_means() -> None:
    held = pl.DataFrame(
        {"date": [DAYS[0], DAYS[0], DAYS[1]], "ticker": ["A", "B", "B"], "weight": [0.2, -0.4, 0.2], "strategy": "m"}
    )
    found = currency_exposures(held, 4, {"A": "USD", "B": "EUR", "C": "JPY"})
    assert found.rows() == [("EUR", 1, pytest.approx(0.15), pytest.approx(-0.05)), ("USD", 1, 0.05, 0.05)]


def test_the_report_has_a_book_that_never_held_anything_as_undefined() -> None:
    daily = pl.DataFrame({"date": DAYS, "strategy": "m", "net_return": [0.0, 0.0, 0.0]})
    none = pl.DataFrame(schema={"date": pl.Date, "ticker": pl.String, "weight": pl.Float64, "strategy": pl.String})
    found = currency_section(conversion(EUROS, TWO), daily=daily, local=daily, positions=none, model="m")
    assert (found["base"], found["exposures"]) == ("USD", [])
    assert np.isnan(found["strategies"][0]["sharpe"])
