"""The synthetic rows show every kind of look-ahead, cuts lie where they show, and changes after a cut stay there."""

import datetime as dt

import polars as pl
import pytest

from forecast_assets.core.audit.rows import cut_days, jitter, shuffle, synthetic_rows, with_known_at
from forecast_assets.core.panel.leakage_checks import poison
from forecast_assets_tests.helpers.builders import MONDAY, panel, raw

CUT = dt.date(2019, 7, 4)
LATER = pl.col("date") > CUT


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return with_known_at(synthetic_rows())


def test_the_synthetic_rows_have_all_kinds_of_gaps_and_are_always_the_same(rows: pl.DataFrame) -> None:
    assert rows.equals(with_known_at(synthetic_rows()))
    spans = rows.group_by("ticker").agg(first=pl.min("date"), last=pl.max("date"))
    assert rows["exchange"].unique().sort().to_list() == ["XETR", "XNYS", "XTKS"]
    assert (spans["first"] > dt.date(2019, 1, 1)).sum() == 1
    assert (spans["last"] < dt.date(2020, 12, 1)).sum() == 1
    assert rows["volume"].null_count() == 104
    assert rows.filter(pl.col("sector").is_null())["ticker"].n_unique() == 1


def test_a_row_is_known_at_its_own_exchanges_close(rows: pl.DataFrame) -> None:
    day = rows.filter(pl.col("date") == dt.date(2019, 7, 2)).group_by("exchange").agg(pl.first("known_at"))
    assert dict(day.sort("exchange").iter_rows()) == {
        "XETR": dt.datetime(2019, 7, 2, 15, 30),
        "XNYS": dt.datetime(2019, 7, 2, 20, 0),
        "XTKS": dt.datetime(2019, 7, 2, 6, 0),
    }


def test_cuts_lie_where_look_ahead_shows() -> None:
    days = raw("AAA", [100.0 + k for k in range(60)])["date"]
    halted = days[30]
    closes = [10.0 if day != halted else None for day in days]
    late, ended = raw("CCC", [5.0] * 20, start=days[40]), raw("DDD", [5.0] * 40)
    rows = panel(raw("AAA", [100.0] * 60), raw("BBB", closes), late, ended)
    cuts = cut_days(rows, count=16)
    assert cuts == sorted(set(cuts))
    assert {days[12], halted, days[42], days[35]} <= set(cuts)
    assert max(cuts) < days[-1]
    assert min(cut_days(rows, count=16, after=days[40])) > days[40]
    assert len(cut_days(rows, count=4)) == 4


def test_no_day_of_a_panel_of_one_session_can_be_a_cut() -> None:
    assert cut_days(raw("AAA", [1.0]), count=8) == []


@pytest.mark.parametrize("change", [poison, shuffle])
def test_what_is_up_to_the_cut_stays_as_it_was(rows: pl.DataFrame, change: object) -> None:
    changed = change(rows, later=LATER)  # type: ignore[operator]
    assert changed.filter(~LATER).equals(rows.filter(~LATER))
    assert changed.select("ticker", "date", "known_at").equals(rows.select("ticker", "date", "known_at"))
    moved = (changed["close"] != rows["close"]).filter(rows["date"] > CUT)
    assert moved.sum() > 0.9 * len(moved)


def test_shuffling_exchanges_whole_rows_of_a_ticker(rows: pl.DataFrame) -> None:
    changed = shuffle(rows, later=LATER)
    values = ["ticker", "open", "high", "low", "close", "volume"]
    assert changed.select(values).sort(values).equals(rows.select(values).sort(values))


def test_poison_changes_which_of_two_tickers_is_larger() -> None:
    rows = panel(*(raw(f"T{k}", [100.0 * 2**k] * 200, start=MONDAY) for k in range(6)))
    garbage = poison(rows, later=pl.lit(True)).group_by("ticker").agg(pl.median("close")).sort("close")["ticker"]
    assert garbage.to_list() != sorted(garbage)


def test_jitter_changes_the_last_digits_alone(rows: pl.DataFrame) -> None:
    changed = jitter(rows, size=1e-13)["close"] / rows["close"] - 1
    assert 0 < changed.abs().max() < 2e-13  # type: ignore[operator]
