"""Known-future columns and targets, on literal calendars."""

import datetime as dt
import math

import polars as pl
import pytest

from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.known_future import KNOWN_FUTURE, add_known_future
from forecast_assets.core.panel.sessions import planned_sessions, sessions
from forecast_assets.core.panel.targets import add_targets
from forecast_assets_tests.helpers.builders import panel, panel_spec, raw


def with_targets(panel: pl.DataFrame) -> pl.DataFrame:
    return add_targets(panel, quoted=panel.filter(~pl.col("is_missing")).select("exchange", "date").unique())


def known_on(day: dt.date, exchange: str = "XNYS") -> dict[str, int]:
    frame = add_known_future(pl.DataFrame({"exchange": [exchange], "date": [day]}))
    return {name: frame[name][0] for name in KNOWN_FUTURE}


def test_known_future_columns_describe_the_sessions_ahead() -> None:
    # From Wednesday 2024-03-27: t+1 is Thursday 03-28, the quarter's last session (Good Friday follows); t+5 is Thursday
    # 04-04, t+20 Thursday 04-25.
    assert known_on(dt.date(2024, 3, 27)) == {
        "day_of_week_1d": 3,
        "month_1d": 3,
        "quarter_end_1d": 1,
        "day_of_week_5d": 3,
        "month_5d": 4,
        "quarter_end_5d": 0,
        "day_of_week_20d": 3,
        "month_20d": 4,
        "quarter_end_20d": 0,
    }


def test_a_day_that_is_no_session_counts_from_the_session_before() -> None:
    assert known_on(dt.date(2024, 7, 4)) == known_on(dt.date(2024, 7, 3))
    assert known_on(dt.date(2024, 7, 4), "XETR") != known_on(dt.date(2024, 7, 3), "XETR")


def test_what_is_known_ahead_goes_on_beyond_a_calendars_end() -> None:
    assert known_on(dt.date(2026, 11, 16), "XBOM")["month_20d"] == 12
    # Projected: 2026-12-20 is a Sunday; the 20th session after it, without the holidays of 12-25 and 01-26, is 01-18.
    ahead = known_on(dt.date(2026, 12, 20), "XBOM")
    assert (ahead["month_20d"], ahead["day_of_week_20d"], ahead["month_5d"]) == (1, 0, 12)


@pytest.mark.parametrize(
    ("exchange", "before", "closed", "reopened"),
    [
        ("XNYS", "2001-09-10", "2001-09-11", "2001-09-17"),
        ("XNYS", "2012-10-26", "2012-10-29", "2012-10-31"),
        ("XNYS", "2025-01-08", "2025-01-09", "2025-01-10"),
        ("XTKS", "2020-09-30", "2020-10-01", "2020-10-02"),
        ("XHKG", "2023-07-14", "2023-07-17", "2023-07-18"),
        ("XIST", "2023-02-07", "2023-02-08", "2023-02-15"),
    ],
)
def test_a_closure_that_nobody_foresaw_is_still_a_session_the_day_before(
    exchange: str, before: str, closed: str, reopened: str
) -> None:
    day, shut, after = (dt.date.fromisoformat(text) for text in (before, closed, reopened))
    assert sessions(exchange, day, after).to_list() == [day, after]
    assert planned_sessions(exchange, day, after)[1] == shut
    assert known_on(day, exchange)["day_of_week_1d"] == shut.weekday()


def test_planned_holidays_are_known_ahead_though_calendars_list_them_ad_hoc() -> None:
    wedding, new_year = dt.date(2011, 4, 29), dt.date(2024, 2, 12)
    assert wedding not in planned_sessions("XLON", dt.date(2011, 4, 26), dt.date(2011, 5, 4)).to_list()
    assert new_year not in planned_sessions("XSHG", dt.date(2024, 2, 1), dt.date(2024, 2, 29)).to_list()


def test_targets_are_log_returns_over_own_sessions() -> None:
    closes = [float(100 + k) for k in range(25)]
    out = with_targets(reindex(raw("AAPL", closes), spec=panel_spec()))
    for horizon in (1, 5, 20):
        expected = [math.log(b / a) for a, b in zip(closes, closes[horizon:], strict=False)]
        assert out[f"target_{horizon}d"][: 25 - horizon].to_list() == pytest.approx(expected)
        assert out[f"target_{horizon}d"][25 - horizon :].null_count() == horizon
    days = out["date"].to_list()
    # The furthest horizon that fits: 20 sessions for the first five rows, then 5, then 1, then none.
    reach = [20] * 5 + [5] * 15 + [1] * 4
    assert out["label_end"].to_list() == [*(days[k + h] for k, h in enumerate(reach)), None]


def test_no_target_begins_or_ends_on_a_filled_row() -> None:
    out = with_targets(reindex(raw("AAPL", [10.0, None, None, 13.0, 14.0, 15.0, 16.0]), spec=panel_spec()))
    assert out["target_1d"].is_not_null().to_list() == [False, False, False, True, True, True, False]
    assert out["target_5d"].is_not_null().to_list() == [True, False, False, False, False, False, False]
    assert out["target_5d"][0] == pytest.approx(math.log(1.5))
    assert out["label_end"].is_null().to_list() == [False, True, True, False, False, False, True]


def test_no_target_crosses_a_border_of_segments_or_tickers() -> None:
    both = panel(raw("AAA", [1.0, 2.0, *[None] * 6, 3.0, 4.0]), raw("BBB", [5.0, 6.0]))
    out = with_targets(reindex(both, spec=panel_spec()))
    assert out["target_1d"].to_list() == pytest.approx(
        [math.log(2), None, math.log(4 / 3), None, math.log(6 / 5), None], nan_ok=True
    )


def test_on_a_union_calendar_horizons_still_count_own_sessions() -> None:
    start = dt.date(2024, 4, 29)  # Frankfurt is closed on 05-01, New York on 05-27
    both = panel(
        raw("AAPL", [10.0 + k for k in range(30)], start=start),
        raw("SAP.DE", [50.0 + k for k in range(30)], start=start, exchange="XETR"),
    )
    own = with_targets(reindex(both, spec=panel_spec()))
    union = with_targets(reindex(both, spec=panel_spec(calendar="union")))
    columns = ["date", "ticker", "target_1d", "target_5d", "target_20d", "label_end"]
    assert union.filter("is_missing").height > 0
    assert union.filter(~pl.col("is_missing")).select(columns).equals(own.select(columns))
