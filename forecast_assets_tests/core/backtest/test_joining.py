"""Joining the years."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.joining import join_years
from forecast_assets.core.backtest.simulate import simulate
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.core.backtest.tiny_markets import Quote, calendar_panel, forecasts_on, weekdays

SPEC = BacktestSpec(
    horizon_sessions=1, smoothing=0.0, book="directional", name_cap=0.1, kelly_fraction=1.0, cost_bps=10.0
)
DATES = weekdays(24)


def two_years(
    *, second_previous: dict[str, float] | None = None, years: tuple[int, int] = (2024, 2025)
) -> list[Simulation]:
    """A is held through; B is long in the first year and short in the second; C only in the first, D in the second."""
    flat: list[Quote] = [(10.0, 10.0)] * 24
    shut = flat.copy()
    shut[12] = None  # A's exchange is shut on the second year's first session
    panel = calendar_panel(DATES, {"A": shut, "B": flat, "C": flat, "D": flat})
    zero = -(0.02**2) / 2
    views = ({"A": 0.05, "B": 0.05, "C": 0.05, "D": zero}, {"A": 0.05, "B": -0.05, "C": zero, "D": 0.05})
    books = []
    for number, (view, year) in enumerate(zip(views, years, strict=True)):
        mean = pl.col("ticker").replace_strict(view, return_dtype=pl.Float64)
        start = DATES[6 + 6 * number]
        own = panel.filter(pl.col("date").is_between(DATES[6 * number], DATES[11 + 6 * number]))
        forecasts = forecasts_on(own, mean, first_test=start)
        previous = second_previous if number else None
        books.append(simulate(forecasts, panel, year=year, spec=SPEC, unconditional_mean=0.0, previous_book=previous))
    return books


def joined(books: list[Simulation]) -> pl.DataFrame:
    tables = (pl.concat(getattr(book, name) for book in books) for name in ("daily", "positions", "trades"))
    return join_years(*tables, costs=Costs(10.0), max_wait_sessions=SPEC.max_wait_sessions)


def test_the_change_of_year_is_charged_on_the_distance_between_the_books() -> None:
    series = joined(two_years())
    assert series["date"].to_list() == DATES[6:18]
    switch = series.filter(pl.col("year") == 2025).head(2)
    # B 0.1 -> -0.1, C 0.1 -> 0 and D 0 -> 0.1 at once; A, shut on the day, is found in place when it opens
    np.testing.assert_allclose(switch["turnover"], [0.4, 0.0], atol=1e-3)
    np.testing.assert_allclose(series["cost"], series["turnover"] * 10e-4, atol=1e-15)
    np.testing.assert_allclose(series["net_return"], series["gross_return"] - series["cost"], atol=1e-15)


def test_joining_equals_simulating_with_the_previous_book() -> None:
    apart = two_years()
    together = two_years(second_previous=apart[0].ending)
    a, b = joined(apart), joined(together)
    assert a["turnover"].sum() == pytest.approx(b["turnover"].sum(), abs=2e-3)
    assert b.equals(pl.concat([together[0].daily, together[1].daily]))  # already paid for: left as it is


def test_a_year_after_a_missing_one_pays_for_its_whole_entry() -> None:
    series = joined(two_years(years=(2024, 2026)))
    assert series.filter(pl.col("year") == 2026)["turnover"].head(2).sum() == pytest.approx(0.3, abs=1e-3)
