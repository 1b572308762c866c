"""Macro series are read strictly, and no forecast uses a value before it was published."""

import datetime as dt
import math
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.panel.leakage_checks import feature_leakage
from forecast_assets.core.panel.macro import MACRO_NAMES, add_macro, no_macro, read_macro
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.core.windows.build import build_tensors
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk

HEADER = "Date,VIX,US10Y,US2Y\n"
DAYS = sessions("XNYS", dt.date(2024, 1, 2), dt.date(2024, 12, 31))


def write(path: Path, *lines: str) -> Path:
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def macro(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """VIX is 10 on the first day and one more on each that follows."""
    lines = [f"{day},{10 + k},4.{k % 10},3.5" for k, day in enumerate(DAYS)]
    return read_macro(write(tmp_path_factory.mktemp("macro") / "macro.csv", *lines))


def seen(macro: pl.DataFrame, exchange: str, day: dt.date) -> float | None:
    row = add_macro(pl.DataFrame({"exchange": [exchange], "date": [day]}), macro)
    return None if row["vix"][0] is None else 100 * row["vix"][0]


def test_a_value_is_known_two_hours_after_the_close_in_new_york(macro: pl.DataFrame) -> None:
    known = dict(macro.select("date", "known_from").iter_rows())
    assert known[dt.date(2024, 1, 3)] == dt.datetime(2024, 1, 3, 23, 0)  # winter: 16:00 is 21:00 UTC
    assert known[dt.date(2024, 7, 2)] == dt.datetime(2024, 7, 2, 22, 0)
    assert known[dt.date(2024, 7, 3)] == dt.datetime(2024, 7, 3, 19, 0)  # a half day


@pytest.mark.parametrize("exchange", ["XNYS", "XETR", "XLON", "XTKS"])
def test_no_forecast_origin_of_a_day_has_that_days_value(macro: pl.DataFrame, exchange: str) -> None:
    for day in (dt.date(2024, 3, 6), dt.date(2024, 7, 10)):
        before = int((day > DAYS).sum()) - 1
        assert seen(macro, exchange, day) == pytest.approx(10 + before)


def test_the_day_after_a_half_day_has_its_value_everywhere(macro: pl.DataFrame) -> None:
    at = DAYS.to_list().index(dt.date(2024, 7, 3))
    assert seen(macro, "XETR", dt.date(2024, 7, 4)) == pytest.approx(10 + at)
    assert seen(macro, "XETR", dt.date(2024, 7, 3)) == pytest.approx(10 + at - 1)


def test_values_of_a_feed_that_stopped_become_missing(macro: pl.DataFrame) -> None:
    assert seen(macro, "XETR", dt.date(2025, 1, 8)) == pytest.approx(10 + len(DAYS) - 1)
    assert seen(macro, "XETR", dt.date(2025, 1, 15)) is None


def test_changes_and_slope_by_hand(macro: pl.DataFrame) -> None:
    row = add_macro(pl.DataFrame({"exchange": ["XETR"], "date": [DAYS[9]]}), macro).row(0, named=True)
    assert row["vix"] == pytest.approx(0.18)
    assert row["vix_change_5"] == pytest.approx(math.log(18 / 13))
    assert row["us10y_change_5"] == pytest.approx(4.8 - 4.3)
    assert row["term_slope"] == pytest.approx(4.8 - 3.5)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("2024-01-02,13,4,4", "02/01/2024,13,4,4"), "line 3: the date is not one like 2024-01-31"),
        (("2024-01-02,x,4,4",), "line 2: VIX is not a number"),
        (("2024-01-02,13,inf,4",), "line 2: US10Y is not finite"),
        (("2024-01-02,0,4,4",), "line 2: VIX is not above zero"),
        (("2024-01-02,13,4,4", "2024-01-02,14,4,4"), "line 2: the date is there twice"),
    ],
)
def test_a_bad_macro_file_is_one_sentence(tmp_path: Path, lines: tuple[str, ...], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        read_macro(write(tmp_path / "macro.csv", *lines))
    (tmp_path / "other.csv").write_text("Date,VIX\n2024-01-02,13\n")
    with pytest.raises(BadInput, match=r"missing columns \['US10Y', 'US2Y'\]"):
        read_macro(tmp_path / "other.csv")


def test_a_missing_value_is_filled_and_nothing_after_the_clock_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "macro.csv", "2024-01-02,13,4,4", "2024-01-03,,4.5,", "2024-01-04,15,4,4")
    table = read_macro(path, until=dt.date(2024, 1, 3))
    assert table["VIX"].to_list() == [13, 13]
    assert table["US10Y"].to_list() == [4, 4.5]
    assert read_macro(path, until=dt.date(2023, 1, 1)).equals(no_macro())


def test_features_with_macro_columns_do_not_depend_on_later_data(macro: pl.DataFrame) -> None:
    start = dt.date(2024, 2, 1)
    raw = panel(walk("AAPL", 150, seed=1, start=start), walk("SAP.DE", 150, seed=2, start=start, exchange="XETR"))
    rows = reindex(raw, spec=panel_spec())
    frame = feature_panel(rows, features=FeatureSpec(), macro=macro)
    assert set(MACRO_NAMES) <= set(feature_names(frame))
    assert frame["vix"].null_count() == 0
    found = feature_leakage(rows.lazy(), features=FeatureSpec(), macro=macro)
    assert {name: dict(check.changed) for name, check in found.items()} == {"truncation": {}, "poison": {}}
    assert feature_panel(rows, features=FeatureSpec(), macro=no_macro()).columns == [
        name for name in frame.columns if name not in MACRO_NAMES
    ]


def test_a_macro_feed_that_stopped_removes_no_forecast_origin(macro: pl.DataFrame) -> None:
    raw = walk("AAPL", 150, seed=1, start=dt.date(2024, 9, 3))
    frame = feature_panel(reindex(raw, spec=panel_spec()), features=FeatureSpec(), macro=macro)
    assert frame["vix"].null_count() > 10
    without = frame.drop(*MACRO_NAMES)
    ours, theirs = (build_tensors(f, feature_names=feature_names(f)) for f in (frame, without))
    assert ours.ends(20).equal(theirs.ends(20))
    assert len(ours.ends(20)) > 50
