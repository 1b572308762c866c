"""Reindexing: fills, breaks, special sessions, unions."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.sessions import sessions
from forecast_assets_tests.helpers.builders import panel, panel_spec, raw


def test_a_hole_of_five_sessions_is_filled_and_flagged() -> None:
    out = reindex(raw("AAPL", [10, 11, *[None] * 5, 12]), spec=panel_spec())
    assert out["close"].to_list() == [10, 11, 11, 11, 11, 11, 11, 12]
    assert out["is_missing"].to_list() == [False, False, *[True] * 5, False]
    assert out["segment"].to_list() == [0] * 8
    filled = out.filter("is_missing")
    assert filled.select("open", "high", "low", "volume").null_count().row(0) == (5, 5, 5, 5)
    assert filled["sector"].to_list() == ["Technology"] * 5


def test_a_hole_of_six_sessions_breaks_the_segment() -> None:
    out = reindex(raw("AAPL", [10, *[None] * 6, 12, 13]), spec=panel_spec())
    assert out["close"].to_list() == [10, 12, 13]
    assert out["segment"].to_list() == [0, 1, 1]
    assert not out["is_missing"].any()


def test_holidays_of_the_own_exchange_are_no_rows_and_other_exchanges_holidays_are() -> None:
    # 2024-05-01 is closed in Frankfurt and open in New York; 2024-05-27 the other way round.
    start = dt.date(2024, 4, 29)
    both = panel(raw("AAPL", [1.0] * 21, start=start), raw("SAP.DE", [2.0] * 21, start=start, exchange="XETR"))
    own = reindex(both, spec=panel_spec())
    assert own.height == both.height
    union = reindex(both, spec=panel_spec(calendar="union"))
    filled = union.filter("is_missing").select("ticker", pl.col("date").cast(pl.String)).rows()
    assert filled == [("AAPL", "2024-05-27"), ("SAP.DE", "2024-05-01")]


def test_a_special_session_is_a_row_for_its_exchange_only() -> None:
    start = dt.date(2024, 7, 3)
    special = raw("AAPL", [1.0], start=start).with_columns(date=pl.date(2024, 7, 4))
    both = panel(raw("AAPL", [1.0, 1.1], start=start), special, raw("MSFT", [5.0, 6.0], start=start))
    out = reindex(panel(both, raw("RY.TO", [3.0] * 3, start=start, exchange="XTSE")), spec=panel_spec())
    assert out.filter(pl.col("date") == dt.date(2024, 7, 4)).select("ticker", "is_missing").rows() == [
        ("AAPL", False),
        ("MSFT", True),
        ("RY.TO", False),
    ]


def test_adjacent_tickers_do_not_fill_each_other() -> None:
    out = reindex(panel(raw("AAA", [1.0, 2.0]), raw("BBB", [None, None, 7.0, None, 8.0])), spec=panel_spec())
    assert out.group_by("ticker", maintain_order=True).agg("close").rows() == [
        ("AAA", [1.0, 2.0]),
        ("BBB", [7.0, 7.0, 8.0]),
    ]


def test_a_filled_row_has_the_sector_of_the_quote_before_it_even_where_that_has_none() -> None:
    other = raw("A", [10.0, 11.0]).with_columns(sector=pl.lit("Energy"))
    sectorless = raw("B", [20.0, None, 21.0]).with_columns(sector=pl.lit(None, dtype=pl.String))
    dropped = raw("C", [30.0, 31.0, None, 32.0]).with_columns(
        sector=pl.when(pl.col("close") == 30.0).then(pl.lit("Utilities"))
    )
    filled = reindex(panel(other, sectorless, dropped), spec=panel_spec()).filter("is_missing")
    assert filled.select("ticker", "close", "sector").rows() == [("B", 20.0, None), ("C", 31.0, None)]


def test_an_exchange_that_joins_later_changes_no_earlier_row_of_a_union() -> None:
    # New York is closed on 2024-02-19, when Tokyo, not yet in the panel, trades.
    early = raw("AAPL", [1.0] * 30, start=dt.date(2024, 2, 12))
    late = raw("7203.T", [2.0] * 5, start=dt.date(2024, 3, 11), exchange="XTKS")
    alone = reindex(early, spec=panel_spec(calendar="union"))
    joined = reindex(panel(early, late), spec=panel_spec(calendar="union"))
    before = pl.col("date") < dt.date(2024, 3, 11)
    assert joined.filter(before).equals(alone.filter(before))


def test_an_exchange_without_a_calendar_or_region_is_bad_input() -> None:
    with pytest.raises(BadInput, match="XXXX: no trading calendar of that name"):
        sessions("XXXX", dt.date(2024, 1, 1), dt.date(2024, 2, 1))
    with pytest.raises(BadInput, match=r"no region for the exchanges \['XNYS'\]"):
        reindex(raw("AAPL", [1.0, 2.0]), spec=panel_spec(regions={"XETR": "Europe"}))
    with pytest.raises(BadInput, match=r"raw_panel: missing columns \['volume'\]; have"):
        reindex(raw("AAPL", [1.0, 2.0]).drop("volume"), spec=panel_spec())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(quoted=st.lists(st.booleans(), min_size=1, max_size=40), max_fill=st.integers(0, 6))
def test_reindexing_equals_a_loop_over_the_sessions(quoted: list[bool], max_fill: int) -> None:
    closes = [float(k + 1) if there else None for k, there in enumerate(quoted)]
    if not any(quoted):
        return
    expected: list[tuple[float, bool, int]] = []
    segment, hole, last = 0, 0, None
    for close in closes:
        if close is None:
            hole += 1
            continue
        if last is not None and hole > max_fill:
            segment += 1
        elif last is not None:
            expected += [(last, True, segment)] * hole
        expected.append((close, False, segment))
        hole, last = 0, close
    out = reindex(raw("AAPL", closes), spec=panel_spec(max_fill_sessions=max_fill))
    assert out.select("close", "is_missing", "segment").rows() == expected
