"""Joining the years."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import reconcile
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import consecutive, forecast_decisions, join_decisions
from forecast_assets.core.backtest.joining import joining_error, year_by_year
from forecast_assets.core.backtest.simulate import Terms, market_of, trade_forecasts
from forecast_assets.core.backtest.strategies import equal_weight
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.tiny_markets import Quote, calendar_panel, forecasts_on, weekdays

NO_SKILL = (0.0, 0.0)
COSTS = Costs(5.0)


def years_of(panel: pl.DataFrame, mean: pl.Expr | float, *, first: int, last: int, horizon: int) -> pl.DataFrame:
    """Joined decisions of every year; each has validation rows, which end a month before it begins."""
    decided = {}
    for year in range(first, last + 1):
        gap = (dt.date(year - 1, 12, 1), dt.date(year - 1, 12, 31))
        until = panel.filter(pl.col("date") <= dt.date(year, 12, 31), pl.col("date") >= dt.date(year - 1, 9, 1))
        forecasts = forecasts_on(until, mean, first_test=dt.date(year, 1, 1), horizon=horizon, gap=gap)
        decided[year] = forecast_decisions(forecasts, horizon_sessions=horizon, no_skill=NO_SKILL)
    return join_decisions(decided)


def noisy_panel(*, tickers: int = 8, seed: int = 0, start: str = "2019-09-02", sessions: int = 650) -> pl.DataFrame:
    """Random walks with overnight gaps in two regions; one exchange is shut on some days, New Year's among them."""
    rng = np.random.default_rng(seed)
    dates = weekdays(sessions, start=start)
    quotes: dict[str, list[Quote]] = {}
    for number in range(tickers):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, sessions)))
        opening = close * np.exp(rng.normal(0, 0.01, sessions))
        quotes[f"T{number}"] = list(zip(opening.tolist(), close.tolist(), strict=True))
    for number in range(tickers // 2, tickers):
        for position, day in enumerate(dates):
            if (day.month, day.day) in ((1, 1), (1, 2), (12, 30), (12, 31), (5, 1)):
                quotes[f"T{number}"][position] = None
    regions = {f"T{number}": "Europe" if number >= tickers // 2 else "Americas" for number in range(tickers)}
    return calendar_panel(dates, quotes, regions=regions)


def views_of(panel: pl.DataFrame, *, seed: int = 1, scale: float = 0.01) -> pl.Expr:
    """A view per row of the panel, found again by date and ticker."""
    rng = np.random.default_rng(seed)
    rows = panel.filter(~pl.col("is_missing")).select("date", "ticker")
    views = rows.with_columns(view=pl.Series(rng.normal(0, scale, len(rows))))
    key = pl.col("date").cast(pl.String) + pl.col("ticker")
    lookup = dict(views.select(key, "view").iter_rows())
    return key.replace_strict(lookup, return_dtype=pl.Float64)


@pytest.mark.parametrize(
    "spec",
    [
        BacktestSpec(horizon_sessions=20, smoothing=0.9),
        BacktestSpec(horizon_sessions=5, smoothing=0.8, execution="same_close", max_wait_sessions=2),
        BacktestSpec(horizon_sessions=1, smoothing=0.0, book="directional", cost_bps=20.0),
    ],
)
def test_years_that_carry_their_book_over_are_the_book_in_one_piece(spec: BacktestSpec) -> None:
    panel = noisy_panel()
    decisions = years_of(panel, views_of(panel), first=2020, last=2022, horizon=spec.horizon_sessions)
    view = market_of(decisions, panel, spec=spec)
    one = trade_forecasts(decisions, Terms("m", view, spec, COSTS))
    years = year_by_year(decisions, Terms("m", view, spec, COSTS))
    assert [book.daily["year"].unique().to_list() for book in years] == [[2020], [2021], [2022]]
    assert joining_error(one, years) <= 1e-12
    assert reconcile(one) < 1e-9
    assert one.daily["gross_exposure"].min() > 0.01  # type: ignore[operator]
    # What a year would be from cash, up to its last close, is another book.
    from_cash = market_of(decisions.filter(pl.col("date").dt.year() == 2021), panel, spec=spec)
    alone = trade_forecasts(decisions.filter(pl.col("date").dt.year() == 2021), Terms("m", from_cash, spec, COSTS))
    both = alone.daily.head(20).join(one.daily, on="date")
    assert (both["net_return"] - both["net_return_right"]).abs().max() > 1e-5  # type: ignore[operator]


def test_a_crash_over_new_years_night_is_in_the_book() -> None:
    """Five of thirty tickers open 80 % lower on the first session of the year; an equal-weight book holds them."""
    dates = weekdays(330, start="2019-09-02")
    crash = next(k for k, day in enumerate(dates) if day >= dt.date(2020, 1, 1))
    quotes: dict[str, list[Quote]] = {}
    for number in range(30):
        level = [2.0 if number < 5 and k >= crash else 10.0 for k in range(len(dates))]
        quotes[f"T{number:02}"] = list(zip(level, level, strict=True))
    panel = calendar_panel(dates, quotes)
    decided = {}
    for year, start in ((2019, dt.date(2019, 10, 15)), (2020, dt.date(2020, 1, 1))):
        own = panel.filter(pl.col("date") <= dt.date(year, 12, 31), pl.col("date") >= start - dt.timedelta(days=40))
        forecasts = forecasts_on(own, 0.0, first_test=start, horizon=20)
        decided[year] = forecast_decisions(forecasts, horizon_sessions=20, no_skill=NO_SKILL)
    spec = BacktestSpec()
    joined = join_decisions(decided)
    book = equal_weight(joined, Terms("e", market_of(joined, panel, spec=spec), spec, Costs(0.0)))
    last = book.daily.filter(pl.col("year") == 2019).row(-1, named=True)
    assert last["gross_return"] == pytest.approx(-0.8 * 5 / 30, rel=1e-12)
    assert (1 + book.daily["net_return"]).product() == pytest.approx(1 - 0.8 * 5 / 30)
    alone = panel.filter(pl.col("date") <= dt.date(2019, 12, 31))
    shown = equal_weight(decided[2019], Terms("e", market_of(decided[2019], alone, spec=spec), spec, Costs(0.0)))
    assert shown.daily["gross_return"].abs().max() == 0.0  # a year for itself ends with its last close


def test_the_second_year_opens_with_the_decisions_of_december() -> None:
    """A view that turns on the first session of January moves one tranche in twenty a day."""
    panel = noisy_panel(tickers=12)
    spec = BacktestSpec(horizon_sessions=20, smoothing=0.0, cost_bps=0.0)
    side = pl.when(pl.col("ticker").str.slice(1).cast(pl.Int32) % 2 == 0).then(0.01).otherwise(-0.01)
    turned = pl.when(pl.col("date") >= dt.date(2021, 1, 1)).then(-side).otherwise(side)
    decisions = years_of(panel, turned, first=2020, last=2021, horizon=20)
    book = trade_forecasts(decisions, Terms("m", market_of(decisions, panel, spec=spec), spec, COSTS))
    own = book.positions.filter(pl.col("ticker") == "T0")
    before = own.filter(pl.col("date").dt.year() == 2020)["weight"][-1]
    january = own.filter(pl.col("date").dt.year() == 2021)["weight"].head(22).to_numpy()
    assert before > 0.01
    np.testing.assert_allclose(january[[6, 11, 20]] / before, [0.4, -0.1, -1.0], atol=0.35)
    assert january[2] > 0.5 * before  # not turned at once


def test_only_the_first_years_validation_rows_are_kept() -> None:
    rows = {
        year: pl.DataFrame({"date": [dt.date(year - 1, 11, 2), dt.date(year, 1, 2)], "split": ["validation", "test"]})
        for year in (2021, 2020)
    }
    assert join_decisions(rows)["date"].to_list() == [dt.date(2019, 11, 2), dt.date(2020, 1, 2), dt.date(2021, 1, 2)]


def test_a_missing_year_begins_a_new_book() -> None:
    assert consecutive([2021, 2019, 2022, 2024]) == [[2019], [2021, 2022], [2024]]
    assert consecutive([]) == []
