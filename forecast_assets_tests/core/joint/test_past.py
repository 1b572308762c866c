"""Past scores: which outcome was known when, and that none of a later one shows."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.past import LARGEST_SCORE, label_ends, past_scores, usable_days
from forecast_assets_tests.helpers.joint_panel import SIGMA, joint_panel


def test_a_label_ends_on_the_row_that_many_quoted_rows_later() -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=k) for k in range(8)]
    rows = pl.DataFrame(
        {"date": days, "ticker": "A", "is_missing": [False, False, True, False, False, False, False, False]}
    )
    found = label_ends(pl.concat([rows, rows.head(2).with_columns(ticker=pl.lit("B"))]))
    ends = {(row["date"].day, row["horizon"]): row["label_end"].day for row in found.to_dicts() if row["ticker"] == "A"}
    assert [ends.get((day, 1)) for day in range(1, 9)] == [2, 4, None, 5, 6, 7, 8, None]
    assert [ends.get((day, 5)) for day in range(1, 4)] == [7, 8, None]
    assert found.filter(ticker="B").rows() == [("B", dt.date(2020, 1, 1), 1, dt.date(2020, 1, 2))]


def test_a_score_is_the_outcome_in_units_of_its_own_forecast() -> None:
    panel = joint_panel(tickers=3, sessions=30)
    past = past_scores(panel.forecasts, tickers=("T02", "T00"))
    expected = panel.forecasts.filter(ticker="T02", horizon=5)["y"].to_numpy() / (SIGMA * np.sqrt(5))
    assert past.scores.shape == (30, 2, len(HORIZONS))
    assert past.scores[:, 0, 1] == pytest.approx(expected, rel=1e-5)


def test_an_outcome_is_known_the_day_after_it_ended_and_not_before() -> None:
    past = past_scores(joint_panel(sessions=40).forecasts, tickers=("T00",))
    known = np.isfinite(past.known_before(past.days[30]).scores[:, 0])  # (30, H)
    assert known.sum(axis=0).tolist() == [29, 25, 10]  # of days 0 .. 29, those with day + h < 30
    assert known[:10].all()


def test_what_comes_on_a_day_or_later_changes_nothing_that_was_known_before_it() -> None:
    panel = joint_panel(sessions=60)
    cut = panel.days[40]
    later = pl.col("label_end") >= pl.lit(cut).cast(pl.Date)
    poisoned = panel.forecasts.with_columns(y=pl.when(later).then(99.0).otherwise("y"))
    dropped = panel.forecasts.filter(~later)
    whole, *others = (
        past_scores(of, tickers=panel.tickers).known_before(cut) for of in (panel.forecasts, poisoned, dropped)
    )
    for other in others:
        stop = len(other.days)
        assert np.array_equal(whole.scores[:stop], other.scores, equal_nan=True)
        assert np.isnan(whole.scores[stop:]).all()
        assert np.array_equal(whole.days[:stop], other.days)


def test_an_error_in_the_data_is_cut_and_no_outcome_has_no_score() -> None:
    panel = joint_panel(sessions=30)
    first = pl.col("date") == panel.days[0].astype(object)
    wrong = panel.forecasts.with_columns(y=pl.when(first).then(50.0).otherwise("y"))
    assert past_scores(wrong, tickers=panel.tickers).scores[0] == pytest.approx(LARGEST_SCORE)
    without = panel.forecasts.filter(~((pl.col("ticker") == "T01") & first))
    assert np.isnan(past_scores(without, tickers=panel.tickers).scores[0, 1]).all()


def test_a_day_on_which_few_exchanges_were_open_is_not_followed() -> None:
    panel = joint_panel(sessions=30)
    holiday = (pl.col("date") == panel.days[7].astype(object)) & (pl.col("ticker") > "T01")
    past = past_scores(panel.forecasts.filter(~holiday), tickers=panel.tickers)
    assert usable_days(past).tolist() == [day for day in range(30) if day != 7]
    assert usable_days(past.known_before(panel.days[0])).tolist() == []


def test_a_label_that_ends_before_its_forecast_is_an_error() -> None:
    early = joint_panel(sessions=30).forecasts.with_columns(label_end=pl.col("date"))
    with pytest.raises(ValueError, match="540 labels end on or before"):
        past_scores(early, tickers=("T00", "T01", "T02", "T03", "T04", "T05"))
