"""The simulation against a naive loop, and its rules one at a time on literal panels."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import reconcile
from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.naive_simulation import NaiveSimulation
from forecast_assets_tests.core.backtest.tiny_markets import (
    FILLED,
    Quote,
    calendar_panel,
    forecasts_on,
    random_panel,
    simulate,
    weekdays,
)

PLAIN = BacktestSpec(
    horizon_sessions=1, smoothing=0.0, book="directional", name_cap=0.1, kelly_fraction=1.0, cost_bps=5.0
)
"""One tranche, no smoothing: the book is 0.1 or -0.1 for every forecast with a sign."""


def noise(panel: pl.DataFrame, *, seed: int, scale: float) -> pl.Expr:
    rng = np.random.default_rng(seed)
    values = pl.Series(rng.normal(0, scale, size=panel.filter(~pl.col("is_missing")).height))
    return pl.lit(values)


UNIVERSE = {"T0": range(30, 60), "T3": range(50), "T5": [*range(20), *range(70, 90)], "T7": range(90)}
"""One ticker leaves and returns, one enters, one does both, one is never a member."""


@pytest.mark.parametrize("outside", [{}, UNIVERSE])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "spec",
    [
        BacktestSpec(horizon_sessions=5, smoothing=0.8),
        BacktestSpec(horizon_sessions=1, smoothing=0.0, book="directional", gross_cap=0.2, cost_bps=20.0),
        BacktestSpec(horizon_sessions=20, execution="same_close", smoothing=0.5, max_wait_sessions=2),
        BacktestSpec(horizon_sessions=5, smoothing=0.8, cost_bps={"default": 5.0, "Europe": 30.0, "T1": 2.0}),
    ],
)
def test_every_day_equals_the_naive_loop(spec: BacktestSpec, seed: int, outside: dict[str, range]) -> None:
    panel = random_panel(seed=seed, outside=outside)
    union = panel["date"].unique().sort()
    first_test = union[46]  # half of the names are shut on it
    gap = (union[35], union[45])
    horizon = spec.horizon_sessions
    mean = noise(panel, seed=seed, scale=0.004)
    forecasts = forecasts_on(panel, mean, first_test=first_test, horizon=horizon, gap=gap)
    # a scale of its own for each ticker before calibration, and what calibration made of it
    own = pl.col("ticker").str.slice(1).cast(pl.Float64) / 400 + 0.01
    raw = forecasts.with_columns(sigma=own)
    forecasts = forecasts.with_columns(sigma=own * (1.1 if spec.book == "neutral" else 1.0))
    oracle = NaiveSimulation(forecasts, raw, panel, spec).run()
    simulation = simulate(forecasts, panel, spec=spec, raw=raw)
    daily = simulation.daily
    assert daily["date"].to_list() == [day.date for day in oracle]
    np.testing.assert_allclose(daily["gross_return"], [day.gross for day in oracle], atol=1e-13)
    np.testing.assert_allclose(daily["cost"], [day.cost for day in oracle], atol=1e-15)
    np.testing.assert_allclose(daily["turnover"], [day.turnover for day in oracle], atol=1e-13)
    held = {(day.date, ticker): weight for day in oracle for ticker, weight in day.weights.items() if weight != 0}
    ours = {(row["date"], row["ticker"]): row["weight"] for row in simulation.positions.iter_rows(named=True)}
    assert max(abs(held.get(key, 0.0) - ours.get(key, 0.0)) for key in held.keys() | ours.keys()) < 1e-13
    assert (daily["turnover"] > 0).sum() > 40
    assert reconcile(simulation) < 1e-12


def test_reconcile_notices_a_changed_row() -> None:
    panel = random_panel(seed=3)
    forecasts = forecasts_on(panel, noise(panel, seed=3, scale=0.01), first_test=panel["date"].sort()[300])
    simulation = simulate(forecasts, panel, spec=PLAIN)
    assert reconcile(simulation) < 1e-12
    for table, column in (
        ("daily", "net_return"),
        ("positions", "pnl"),
        ("trades", "weight_change"),
        ("trades", "cost"),
    ):
        original = getattr(simulation, table)
        row = pl.int_range(pl.len()) == len(original) // 2
        forged = original.with_columns(pl.when(row).then(pl.col(column) + 1e-6).otherwise(pl.col(column)).alias(column))
        tampered = type(simulation)(**{**simulation.__dict__, table: forged})
        assert reconcile(tampered) > 5e-7, (table, column)


@pytest.mark.parametrize("column", ["net_return", "cost", "net_exposure"])
def test_an_undefined_number_does_not_reconcile(column: str) -> None:
    panel = random_panel(seed=3)
    forecasts = forecasts_on(panel, noise(panel, seed=3, scale=0.01), first_test=panel["date"].sort()[300])
    simulation = simulate(forecasts, panel, spec=PLAIN)
    last = pl.int_range(pl.len()) == len(simulation.daily) - 1
    daily = simulation.daily.with_columns(pl.when(last).then(float("nan")).otherwise(pl.col(column)).alias(column))
    assert np.isnan(reconcile(type(simulation)(**{**simulation.__dict__, "daily": daily})))


def overnight_panel(*, seed: int, sessions: int = 260) -> tuple[pl.DataFrame, pl.Expr]:
    """A signal at the close whose return is over by the next open, and its forecast."""
    rng = np.random.default_rng(seed)
    dates = weekdays(sessions)
    quotes: dict[str, list[Quote]] = {}
    signals = []
    for number in range(20):
        signal = rng.choice([-0.01, 0.01], size=sessions)
        overnight = np.concatenate([[0.0], signal[:-1]])
        intraday = rng.normal(0, 0.01, size=sessions)
        close = 100 * np.exp(np.cumsum(overnight + intraday))
        quotes[f"T{number:02}"] = list(zip(close * np.exp(-intraday), close, strict=True))
        signals.append(signal)
    return calendar_panel(dates, quotes), pl.lit(pl.Series(np.concatenate(signals)))


def test_a_signal_that_lives_until_the_next_open_pays_only_at_the_same_close() -> None:
    panel, signal = overnight_panel(seed=0)
    forecasts = forecasts_on(panel, signal, first_test=weekdays(10)[-1])
    optimistic, original = (
        simulate(forecasts, panel, spec=PLAIN.model_copy(update={"execution": execution})).daily["gross_return"]
        for execution in ("same_close", "next_open")
    )
    assert optimistic.mean() == pytest.approx(20 * 0.1 * 0.01, rel=0.05)
    assert abs(original.mean()) < 3 * original.std() / len(original) ** 0.5  # type: ignore[operator, arg-type]


def test_a_delayed_book_trades_the_same_orders_a_session_later() -> None:
    dates = weekdays(6)
    panel = calendar_panel(dates, {"A": [(100.0, 100.0)] * 6, "Z": [(100.0, 100.0)] * 6})
    first = dates[1]
    view = pl.when((pl.col("ticker") == "A") & (pl.col("date") >= dates[2])).then(0.01).otherwise(0.0)
    forecasts = forecasts_on(panel, view, first_test=first)
    traded = [simulate(forecasts, panel, spec=PLAIN, delay_sessions=delay).trades["date"][0] for delay in (0, 1, 2)]
    assert traded == dates[3:6]


def test_forecasts_without_an_edge_trade_nothing() -> None:
    panel = random_panel(seed=0)
    forecasts = forecasts_on(panel, 0.003, first_test=panel["date"].sort()[300])
    simulation = simulate(forecasts, panel, spec=PLAIN, no_skill=None)
    assert simulation.trades.is_empty()
    assert simulation.positions.is_empty()
    assert simulation.ending == {}
    assert simulation.daily.select(pl.col(pl.Float64).abs().sum()).sum_horizontal().item() == 0.0
    assert reconcile(simulation) == 0.0


def test_an_edge_that_does_not_pay_the_round_trip_is_left_alone() -> None:
    panel = random_panel(seed=0)
    first_test = panel["date"].sort()[300]
    for edge_bps, trades in ((9.9, False), (10.1, True)):
        forecasts = forecasts_on(panel, edge_bps * 1e-4, first_test=first_test)
        simulation = simulate(forecasts, panel, spec=PLAIN)
        assert simulation.trades.is_empty() is not trades


def test_shuffled_targets_earn_nothing_before_costs_and_lose_the_costs() -> None:
    panel = random_panel(seed=5, sessions=400)
    sharpes = []
    for seed in range(6):
        forecasts = forecasts_on(panel, noise(panel, seed=seed, scale=0.01), first_test=panel["date"].sort()[300])
        spec = BacktestSpec(horizon_sessions=1, smoothing=0.0)
        daily = simulate(forecasts, panel, spec=spec).daily
        gross = daily["gross_return"].to_numpy()
        sharpes.append(gross.mean() / gross.std() * np.sqrt(261))
        np.testing.assert_allclose(daily["net_return"], daily["gross_return"] - 5e-4 * daily["turnover"], atol=1e-15)
    standard_error = np.sqrt(261 / len(gross) / 6)
    assert abs(np.mean(sharpes)) < 3 * standard_error


def one_name(quotes: list[Quote], mean: list[float | None], **changes: object) -> pl.DataFrame:
    """trades of one name whose forecasts are given per day; the first day is the first test day."""
    dates = weekdays(len(quotes))
    other: list[Quote] = [(100.0, 100.0)] * len(quotes)  # keeps every weekday in the union grid, never trades
    panel = calendar_panel(dates, {"A": quotes, "Z": other})
    by_date = pl.DataFrame({"date": dates, "view": pl.Series(mean, dtype=pl.Float64)})
    wanted = panel.join(by_date, on="date", maintain_order="left").filter(~pl.col("is_missing"))
    view = pl.when(pl.col("ticker") == "A").then(pl.lit(wanted["view"])).otherwise(0.0)
    forecasts = forecasts_on(panel, view, first_test=dates[0])
    spec = PLAIN.model_copy(update=changes)
    simulation = simulate(forecasts, panel, spec=spec)
    assert reconcile(simulation) < 1e-12
    return simulation.trades.filter(pl.col("ticker") == "A")


def test_a_decision_trades_at_the_next_open() -> None:
    trades = one_name([(10.0, 11.0), (12.0, 13.0), (14.0, 15.0)], [0.05, 0.05, 0.05])
    assert trades["date"].to_list()[0] == weekdays(3)[1]
    assert trades["price"].to_list()[0] == 12.0
    assert trades["weight_change"].to_list()[0] == pytest.approx(0.1)
    assert trades["cost"].to_list()[0] == pytest.approx(0.1 * 5e-4)


def test_an_order_waits_five_sessions_for_a_quote() -> None:
    quotes: list[Quote] = [(10.0, 10.0), *[FILLED] * 5, (11.0, 11.0), (12.0, 12.0)]
    trades = one_name(quotes, [0.05, *[None] * 7])
    bought, sold = trades.rows(named=True)  # sold again, since the day of the purchase brings no new view
    assert (bought["date"], bought["price"]) == (weekdays(8)[6], 11.0)
    assert (sold["date"], sold["price"]) == (weekdays(8)[7], 12.0)


def test_an_order_that_waited_too_long_is_cancelled_until_the_next_decision() -> None:
    quotes: list[Quote] = [(10.0, 10.0), *[FILLED] * 5, (11.0, 11.0), (12.0, 12.0)]
    unheard = one_name(quotes, [0.05, *[None] * 7], max_wait_sessions=4)
    assert unheard.is_empty()
    renewed = one_name(quotes, [0.05, *[None] * 5, 0.05, None], max_wait_sessions=4)
    assert renewed["date"].to_list() == [weekdays(8)[7]]


def test_a_hole_that_ends_the_segment_cancels_the_order() -> None:
    dates = weekdays(10)
    quotes: list[Quote] = [(10.0, 10.0), *[None] * 3, *[(11.0, 11.0)] * 6]
    panel = calendar_panel(dates, {"A": quotes, "Z": [(100.0, 100.0)] * 10}, breaks={"A": [4]})
    mean = pl.when(pl.col("ticker") == "Z").then(0.0).when(pl.col("date") == dates[0]).then(0.05)
    forecasts = forecasts_on(panel, mean, first_test=dates[0])
    assert simulate(forecasts, panel, spec=PLAIN).trades.is_empty()


def test_a_ticker_that_ends_is_sold_at_its_last_close() -> None:
    dates = weekdays(14)
    quotes: list[Quote] = [(10.0, 10.0), (10.0, 10.0), (10.0, 12.0), *[None] * 11]
    panel = calendar_panel(dates, {"A": quotes, "Z": [(100.0, 100.0)] * 14})
    mean = pl.when(pl.col("ticker") == "A").then(0.05).otherwise(0.0)
    forecasts = forecasts_on(panel, mean, first_test=dates[0])
    simulation = simulate(forecasts, panel, spec=PLAIN)
    sale = simulation.trades.row(-1, named=True)
    assert (sale["date"], sale["price"]) == (dates[8], 12.0)  # once an order would have waited five sessions
    assert simulation.positions["date"].max() == dates[7]
    bought = 0.1 * (1 - 5e-4) * 12 / 10  # re-balanced to 0.1 at the second open, which costs next to nothing
    equity = (1 + simulation.daily["net_return"]).product()
    assert equity == pytest.approx(1 + 0.02 - 0.1 * 5e-4 - bought * 5e-4, abs=2e-6)
    assert reconcile(simulation) < 1e-12
    assert simulation.ending == {}


def test_a_ticker_that_leaves_the_universe_is_sold_whole_at_the_next_open() -> None:
    dates = weekdays(10)
    quotes: list[Quote] = [*[(10.0, 10.0)] * 4, *[(12.0, 12.0)] * 6]
    panel = calendar_panel(dates, {"A": quotes, "Z": [(100.0, 100.0)] * 10}, outside={"A": range(3, 10)})
    mean = pl.when(pl.col("ticker") == "A").then(0.05).otherwise(0.0)
    forecasts = forecasts_on(panel, mean, first_test=dates[0], horizon=5)
    slow = PLAIN.model_copy(update={"horizon_sessions": 5, "smoothing": 0.5})
    sale = simulate(forecasts, panel, spec=slow).trades.row(-1, named=True)
    held = simulate(forecasts, panel, spec=slow).positions.filter(pl.col("ticker") == "A")
    assert (sale["date"], sale["price"]) == (dates[4], 12.0)  # its first day outside is the fourth
    assert held["date"].max() == dates[3]
    assert sale["weight_change"] < -0.05
    still = forecasts_on(panel.with_columns(is_member=pl.lit(True)), mean, first_test=dates[0], horizon=5)
    kept = simulate(still, panel.with_columns(is_member=pl.lit(True)), spec=slow)
    assert kept.positions.filter(pl.col("ticker") == "A")["date"].max() == dates[9]


def test_sessions_on_which_no_member_is_quoted_are_not_in_the_book() -> None:
    dates = weekdays(8)
    weekly: list[Quote] = [(50.0, 50.0) if k % 2 else None for k in range(8)]
    quotes: dict[str, list[Quote]] = {"A": weekly, "N": [(10.0, 10.0)] * 8}
    panel = calendar_panel(dates, quotes, outside={"N": range(8)})
    forecasts = forecasts_on(panel, 0.05, first_test=dates[0])
    assert simulate(forecasts, panel, spec=PLAIN).daily["date"].to_list() == dates[1::2]


def test_tickers_entered_and_left_on_the_same_open_pay_for_the_netted_change_only() -> None:
    panel = random_panel(seed=2)
    forecasts = forecasts_on(panel, noise(panel, seed=2, scale=0.01), first_test=panel["date"].sort()[300], horizon=5)
    spec = PLAIN.model_copy(update={"horizon_sessions": 5})
    simulation = simulate(forecasts, panel, spec=spec)
    per_day = simulation.trades.group_by("date", "ticker").len()["len"]
    assert per_day.max() == 1  # five tranches, one trade
    costs = simulation.trades["weight_change"].abs() * 5e-4
    np.testing.assert_allclose(simulation.trades["cost"], costs)


def test_constant_book_pays_its_analytic_cost() -> None:
    """Flat prices, one name whose view flips every session: each flip trades twice the cap."""
    trades = one_name([(10.0, 10.0)] * 6, [0.05, -0.05, 0.05, -0.05, 0.05, -0.05])
    assert trades["weight_change"].to_list()[0] == pytest.approx(0.1)
    flips = trades["weight_change"].to_list()[1:]
    np.testing.assert_allclose(np.abs(flips), 0.2, rtol=1e-4)
    assert np.sign(flips).tolist() == [-1, 1, -1, 1]


def test_weights_of_a_neutral_book_cancel_within_each_region_and_respect_the_caps() -> None:
    panel = random_panel(seed=4)
    forecasts = forecasts_on(panel, noise(panel, seed=4, scale=0.01) + 0.01, first_test=panel["date"].sort()[300])
    spec = BacktestSpec(horizon_sessions=1, smoothing=0.0, name_cap=0.05)
    simulation = simulate(forecasts, panel, spec=spec)
    regions = panel.select("ticker", "region").unique()
    traded = simulation.positions.join(simulation.trades, on=["date", "ticker"]).join(regions, on="ticker")
    opening = simulation.daily["date"].head(spec.max_wait_sessions + 1)  # names enter the paper book as they open
    traded = traded.filter(~pl.col("date").is_in(opening.implode()))
    whole = traded.group_by("date", "region").agg(pl.len(), pl.col("weight").sum())
    complete = whole.filter(pl.col("len") == 4)  # every name of the region traded: nothing waits
    assert len(complete) > 20
    assert complete["weight"].abs().max() < 1e-12  # type: ignore[operator]
    assert traded["weight"].abs().max() <= 0.05 + 1e-12  # type: ignore[operator]


def test_the_first_year_starts_with_the_validation_book_and_pays_for_it() -> None:
    dates = weekdays(12)
    panel = calendar_panel(dates, {"A": [(10.0, 10.0)] * 12, "B": [(20.0, 20.0)] * 12})
    forecasts = forecasts_on(panel, 0.05, first_test=dates[8], gap=(dates[4], dates[7]))
    from_cash = simulate(forecasts, panel, spec=PLAIN)
    first = from_cash.daily.row(0, named=True)
    assert first["date"] == dates[8]
    assert first["turnover"] == pytest.approx(0.2)
    assert first["cost"] == pytest.approx(0.2 * 5e-4)


def test_tickers_of_an_exchange_that_is_shut_on_the_first_session_enter_later() -> None:
    dates = weekdays(12)
    shut: list[Quote] = [(10.0, 10.0)] * 12
    shut[8] = None
    panel = calendar_panel(dates, {"A": shut, "B": [(20.0, 20.0)] * 12})
    forecasts = forecasts_on(panel, 0.05, first_test=dates[8], gap=(dates[4], dates[7]))
    spec = PLAIN.model_copy(update={"smoothing": 0.9})
    paper_days = 4
    simulation = simulate(forecasts, panel, spec=spec)
    entries = simulation.trades.group_by("ticker").first().sort("ticker")
    assert entries["date"].to_list() == [dates[9], dates[8]]
    np.testing.assert_allclose(entries["weight_change"], 0.1 * (1 - 0.9**paper_days), rtol=1e-12)


def test_nothing_after_a_date_changes_the_trades_up_to_it() -> None:
    panel = random_panel(seed=6)
    cut = panel["date"].unique().sort()[65]
    # that T2 has ended shows only later, so its sale at the last price is left out of the comparison
    panel = panel.filter(pl.col("ticker") != "T2")
    mean = noise(panel, seed=6, scale=0.01)
    forecasts = forecasts_on(panel, mean, first_test=panel["date"].unique().sort()[40], horizon=5)
    poison = pl.when(pl.col("date") > cut)
    poisoned_panel = panel.with_columns(
        poison.then(pl.col(c) * 7).otherwise(pl.col(c)).alias(c) for c in ("open", "close")
    )
    poisoned = forecasts.with_columns(poison.then(-pl.col("q50")).otherwise(pl.col("q50")).alias("q50"))
    spec = BacktestSpec(horizon_sessions=5)
    original, other = (
        simulate(f, p, spec=spec).trades.filter(pl.col("date") <= cut)
        for f, p in ((forecasts, panel), (poisoned, poisoned_panel))
    )
    assert len(original) > 50
    assert original.equals(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: pl.concat([table, table.with_columns(model=pl.lit("n"))]), "holds \\['m', 'n'\\]"),
        (lambda table: table.with_columns(split=pl.lit("validation")), "no test decision"),
        (lambda table: pl.concat([table, table.head(1)]), "a decision twice"),
        (lambda table: table.with_columns(date=pl.col("date") + dt.timedelta(days=5)), "without a quote"),
        (lambda table: table.with_columns(ticker=pl.lit("Q")).head(1), "1 tickers that were forecast have no quote"),
    ],
)
def test_forecasts_that_cannot_be_traded_are_an_error(change, message: str) -> None:  # type: ignore[no-untyped-def]
    dates = weekdays(4)
    panel = calendar_panel(dates, {"A": [(10.0, 10.0)] * 4})
    forecasts = change(forecasts_on(panel, 0.05, first_test=dates[0]))
    with pytest.raises((ValueError, BadInput), match=message):
        simulate(forecasts, panel, spec=PLAIN)
