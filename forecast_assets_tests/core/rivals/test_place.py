"""Rivals' forecasts at a fold's origins: what is placed where, what is counted and left out, what is refused."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.sessions import next_opens
from forecast_assets.core.rivals.place import Counts, place, with_band
from forecast_assets.core.rivals.read import NORMAL_FORM, POINT_FORM, ROWS, RivalForecasts
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.scores import normal_quantiles
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 20
PANEL = random_panel(tickers=3, sessions=600)
FOLD = make_fold(
    PANEL,
    year=2018,
    spec=FoldSpec(first_test_year=2018, validation_sessions=60, min_history_sessions=100),
    lookback=LOOKBACK,
)
DAY = dt.date(2018, 1, 3)


def rival(rows: Sequence[tuple[object, ...]], *, form: str = POINT_FORM, times: Sequence[str] = ()) -> RivalForecasts:
    """A rival of rows date, ticker, horizon, forecast; with a band, sigma is as large as the forecast."""
    table = pl.DataFrame(rows, schema=["date", "ticker", "horizon", "mean"], orient="row").with_columns(
        pl.col("mean").cast(pl.Float64)
    )
    blank = {name: pl.lit(None, dtype=dtype) for name, dtype in ROWS.items() if name not in table.columns}
    table = table.with_columns(**blank)
    if form == NORMAL_FORM:
        band = normal_quantiles(np.zeros(table.height), table["mean"].to_numpy())
        names = [name for name in ROWS if name.startswith("q")]
        table = table.with_columns(pl.Series(n, band[:, k]) for k, n in enumerate(names)).with_columns(mean=None)
    if times:
        table = table.with_columns(available_at=pl.Series(times).str.to_datetime(time_zone="UTC"))
    return RivalForecasts("friend", "friend.csv", form, "log", table.select(pl.col(n).cast(d) for n, d in ROWS.items()))


def row_of(panel: PanelTensors, fold: Fold, ticker: str, day: dt.date) -> int:
    """The position among the fold's origins, found by looking at each."""
    number = (day - dt.date(1970, 1, 1)).days
    (at,) = [
        k
        for k, row in enumerate(fold.origins.tolist())
        if panel.tickers[panel.ticker[row]] == ticker and int(panel.date[row]) == number
    ]
    return at


def test_a_forecast_stands_at_its_own_origin_and_horizon_and_nowhere_else() -> None:
    found = place(rival([(DAY, "T01", 5, 0.003), (DAY, "T02", 1, -0.001)]), panel=PANEL, fold=FOLD)
    expected = np.full((len(FOLD.origins), 3), np.nan)
    expected[row_of(PANEL, FOLD, "T01", DAY), 1] = 0.003
    expected[row_of(PANEL, FOLD, "T02", DAY), 0] = -0.001
    np.testing.assert_array_equal(found.mean, expected)
    assert np.isnan(found.quantiles).all()
    assert found.counts == Counts(2, 2, 0, 0, 0, 0, origins=2 * len(FOLD.test))


def test_rows_that_are_not_scored_are_counted_by_what_is_wrong() -> None:
    rows = [
        (DAY, "T00", 1, 0.001),
        (DAY, "TXX", 1, 0.001),  # no ticker of ours
        (DAY, "T00", 3, 0.001),  # no horizon of ours
        (dt.date(2018, 1, 6), "T00", 1, 0.001),  # a Saturday
        (dt.date(2019, 5, 6), "T00", 1, 0.001),  # another fold's
        (dt.date(2017, 12, 1), "T00", 1, 0.001),  # in the purge, or validation: no test origin
    ]
    found = place(rival(rows), panel=PANEL, fold=FOLD)
    assert found.counts == Counts(
        rows=4, placed=1, elsewhere=1, late=0, unknown_ticker=1, unknown_horizon=1, origins=len(FOLD.test)
    )
    assert found.unknown_tickers == ("TXX",)


def test_validation_forecasts_are_placed_before_the_test_ones() -> None:
    day = dt.date.fromordinal(dt.date(1970, 1, 1).toordinal() + int(PANEL.date[FOLD.validation[0]]))
    found = place(rival([(day, "T00", 1, 0.002)]), panel=PANEL, fold=FOLD)
    assert found.mean[0, 0] == 0.002
    assert found.counts.rows == found.counts.placed == 0


def test_the_next_session_opens_after_weekend_and_holiday_on_the_exchanges_clock() -> None:
    days = pl.Series([dt.date(2018, 1, 12), dt.date(2018, 7, 3)])
    opens = dict(next_opens("XNYS", days).iter_rows())
    assert opens[dt.date(2018, 1, 12)] == dt.datetime(2018, 1, 16, 14, 30)  # after Martin Luther King Day
    assert opens[dt.date(2018, 7, 3)] == dt.datetime(2018, 7, 5, 13, 30)
    tokyo = next_opens("XTKS", pl.Series([dt.date(2018, 1, 12)]))
    assert tokyo["next_open"].to_list() == [dt.datetime(2018, 1, 15, 0, 0)]
    assert next_opens("XNYS", days.clear()).is_empty()


def test_a_forecast_that_was_ready_at_the_next_open_is_late() -> None:
    times = ["2018-01-04T14:29:59", "2018-01-04T14:30:00", "2018-01-08T09:00:00"]
    rows = [(DAY, "T00", 1, 0.001), (DAY, "T01", 1, 0.001), (DAY, "T02", 1, 0.001)]
    found = place(rival(rows, times=times), panel=PANEL, fold=FOLD)
    assert found.counts.placed == 1
    assert found.counts.late == 2
    assert np.flatnonzero(np.isfinite(found.mean[:, 0])).tolist() == [row_of(PANEL, FOLD, "T00", DAY)]


@pytest.mark.parametrize(
    ("rows", "times", "sentence"),
    [
        (
            [(DAY, "t1", 1, 0.0)],
            (),
            r"none of its 1 tickers is in the panel, such as t1 \(the panel has T\d\d\); name them",
        ),
        ([(DAY, "T00", 3, 0.0)], (), "forecasts over 3 sessions; ours are over 1, 5 and 20, of which it needs one"),
        (
            [(dt.date(2018, 1, 6), "T00", 1, 0.0)],
            (),
            "none of its 1 rows of 2018 is at a forecast origin of ours; date is the session",
        ),
        (
            [(DAY, "T00", 1, 0.0)],
            ["2018-01-05T00:00:00"],
            "each of its 1 forecasts of 2018 was available only after the open of its next session",
        ),
    ],
)
def test_a_file_of_which_nothing_can_be_placed_is_refused(
    rows: list[tuple[object, ...]], times: Sequence[str], sentence: str
) -> None:
    with pytest.raises(BadInput, match=f"^friend.csv: {sentence}"):
        place(rival(rows, times=times), panel=PANEL, fold=FOLD)


@pytest.mark.parametrize(("form", "size"), [(POINT_FORM, 5.0), (NORMAL_FORM, 100.0)])
def test_percentages_are_refused_and_fractions_are_not(form: str, size: float) -> None:
    days = pl.Series(PANEL.date[FOLD.test].numpy()).cast(pl.Date).unique().sort()[:30]
    rows = [(day, "T00", 1, size * 0.01) for day in days]
    with pytest.raises(BadInput, match=r"^friend.csv: the .* are \d+ times as large as the returns; write fractions"):
        place(rival(rows, form=form), panel=PANEL, fold=FOLD)
    made_here = replace(rival(rows, form=form), made_here=True)  # what our own model forecasts is scored, however wide
    assert place(made_here, panel=PANEL, fold=FOLD).counts.placed == 30
    fractions = [(*row[:3], row[3] / 100) for row in rows]
    assert place(rival(fractions, form=form), panel=PANEL, fold=FOLD).counts.placed == 30


def test_a_borrowed_band_is_moved_so_that_its_median_is_the_forecast() -> None:
    band = np.array([[[-3.0, -2, -1, 0.5, 1, 2, 4]]])
    moved = with_band(np.array([[10.0]]), band)
    assert moved.tolist() == [[[6.5, 7.5, 8.5, 10.0, 10.5, 11.5, 13.5]]]
    assert np.isnan(with_band(np.array([[np.nan]]), band)).all()
