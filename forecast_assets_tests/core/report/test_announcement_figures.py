"""What the figures of the announcements show."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.report.announcement_figures import (
    announcement_figures,
    distance_to_last_year,
    forecast_origin,
    most_traded,
    variance_ahead,
)
from forecast_assets.core.report.figure_style import to_png


def events(*dates: str, ticker: str = "A", posterior: float = 1.0) -> pl.DataFrame:
    days = pl.Series("date", dates, dtype=pl.String).str.to_date()
    return pl.DataFrame([days]).with_columns(ticker=pl.lit(ticker), posterior=pl.lit(posterior))


def rows(*, announced: int, length: int = 100) -> pl.DataFrame:
    """Rows of a ticker up to 30 November 2018, with an announcement expected at row ``announced`` alone."""
    days = pl.date_range(dt.date(2018, 1, 1), dt.date(2018, 11, 30), "1d", eager=True)
    days = days.filter(days.dt.weekday() < 6).tail(length)
    expected = np.full(length, 1e-6)
    expected[announced] = 0.8
    ahead = {h: [float(expected[k + 1 : k + 1 + h].sum()) for k in range(length)] for h in (1, 5, 20)}
    return pl.DataFrame(
        {
            "date": days,
            "expected": expected,
            **{f"announcement_{h}d": values for h, values in ahead.items()},
            "announcement_jump": [np.log(3.0)] * length,
            "quiet_variance_22": [np.log(0.01**2)] * length,
        }
    )


def test_the_distance_to_last_years_date_is_counted_in_weekdays() -> None:
    tuesdays, wednesday = ("2016-02-02", "2017-01-31"), "2018-01-31"
    found = distance_to_last_year(events("2015-01-05", *tuesdays, wednesday, "2018-05-01"))
    assert found[0] == pytest.approx(1 / 4)  # of the four that have more than a year behind them
    assert found[1] == pytest.approx(1 / 4)
    assert sum(found.values()) == pytest.approx(1 / 2)


def test_an_origin_lies_some_days_before_the_surest_announcement_and_in_one_year() -> None:
    origin = forecast_origin(rows(announced=70))
    assert origin is not None
    assert 50 <= origin <= 64
    assert forecast_origin(rows(announced=10, length=15)) is None


def test_the_expected_announcement_is_a_step_of_its_usual_size() -> None:
    table = rows(announced=70)
    figure = variance_ahead("A", table, origin=60)
    heights = [patch.get_height() for patch in figure.axes[1].patches][:20]
    assert heights[9] == pytest.approx(np.sqrt(1 + 0.8 * (1.3 * 9 - 1)), rel=1e-3)  # in % of a session of 1 %
    assert max(heights[:9] + heights[10:]) == pytest.approx(1.0, rel=1e-3)


def test_the_most_traded_ticker_is_of_the_exchange_with_most_tickers() -> None:
    table = pl.DataFrame(
        {
            "ticker": ["A", "B", "C"],
            "exchange": ["XNYS", "XNYS", "XTKS"],
            "close": [10.0, 20.0, 9_000.0],
            "volume": [5.0, 4.0, 100.0],
        }
    )
    assert most_traded(table) == "B"


def test_a_panel_without_announcements_has_no_figure_of_them() -> None:
    none = events()
    prices = pl.DataFrame(schema={"date": pl.Date, "close": pl.Float64})
    assert dict(announcement_figures("A", prices=prices, rows=rows(announced=5, length=10), events=none)) == {}


def test_all_figures_can_be_drawn() -> None:
    table = rows(announced=70)
    prices = table.select("date", close=pl.int_range(pl.len()) + 20.0)
    inferred = events("2017-10-31", str(table["date"][30]), str(table["date"][70]), posterior=0.7)
    found = dict(announcement_figures("A", prices=prices, rows=table, events=inferred))
    assert list(found) == ["dates_on_price", "variance_ahead", "regularity"]
    assert all(to_png(figure).startswith(b"\x89PNG") for figure in found.values())
