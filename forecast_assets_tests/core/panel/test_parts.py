"""A panel read in parts equals the panel read whole."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forecast_assets.assets.framework.output import write_table
from forecast_assets.core.panel import cross_sections
from forecast_assets.core.panel import parts as module
from forecast_assets.core.panel.build import feature_panel, feature_parts
from forecast_assets.core.panel.calendar import reindex, reindex_parts
from forecast_assets.core.panel.digests import YearDigests
from forecast_assets.core.panel.parts import part_sizes, ticker_parts
from forecast_assets.core.specs import Correction, FeatureSpec
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk, year_digests


@pytest.fixture(scope="module")
def raw_panel() -> pl.DataFrame:
    rows = panel(
        walk("AAPL", 60, seed=1),
        walk("MSFT", 50, seed=2),
        walk("SAP.DE", 60, seed=3, exchange="XETR"),
        walk("SIE.DE", 30, seed=4, exchange="XETR"),
    ).sort("ticker", "date")
    hole = rows.filter(pl.col("ticker") == "MSFT")["date"][20:23]
    return rows.filter((pl.col("ticker") != "MSFT") | ~pl.col("date").is_in(hole.implode()))


def test_parts_hold_whole_tickers_and_add_up_to_the_table(raw_panel: pl.DataFrame) -> None:
    parts = list(ticker_parts(raw_panel.lazy(), rows_per_part=50))
    assert [part["ticker"].unique().sort().to_list() for part in parts] == [["AAPL"], ["MSFT", "SAP.DE"], ["SIE.DE"]]
    assert pl.concat(parts).equals(raw_panel)
    assert part_sizes(raw_panel.lazy(), rows_per_part=10_000) == [raw_panel.height]
    assert part_sizes(raw_panel.head(0).lazy()) == []


def test_a_ticker_is_found_whole_where_the_scan_is_cut(
    raw_panel: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = part_sizes(raw_panel.lazy(), rows_per_part=1)
    monkeypatch.setattr(module, "SCAN_ROWS", 7)
    assert part_sizes(raw_panel.lazy(), rows_per_part=1) == whole == [60, 47, 60, 30]


def test_a_table_in_another_order_is_rejected(raw_panel: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="not sorted by ticker"):
        part_sizes(raw_panel.sort("date", "ticker").lazy())


@pytest.mark.parametrize("calendar", ["exchange", "union"])
def test_reindexing_in_parts_equals_reindexing_the_whole(raw_panel: pl.DataFrame, calendar: str) -> None:
    # A special session of one ticker is a row of the exchange's other ticker, which comes in another part.
    special = raw_panel.filter(pl.col("ticker") == "SAP.DE").head(1).with_columns(date=pl.lit(dt.date(2024, 1, 6)))
    rows = pl.concat([raw_panel, special]).unique(["ticker", "date"]).sort("ticker", "date")
    spec = panel_spec(calendar=calendar)
    pieces = [part for part, _ in reindex_parts(lambda: ticker_parts(rows.lazy(), rows_per_part=50), spec=spec)]
    assert len(pieces) == 3
    assert_frame_equal(pl.concat(pieces), reindex(rows, spec=spec), check_exact=True)
    assert pl.concat(pieces)["is_missing"].any()


@pytest.mark.parametrize("calendar", ["exchange", "union"])
@pytest.mark.parametrize("rows_together", [100, 4_000_000])
def test_features_of_a_panel_in_parts_equal_those_of_the_whole(
    raw_panel: pl.DataFrame, calendar: str, rows_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_sections, "ROWS_TOGETHER", rows_together)
    special = raw_panel.filter(pl.col("ticker") == "SAP.DE").head(1).with_columns(date=pl.lit(dt.date(2024, 1, 6)))
    rows = pl.concat([raw_panel, special]).unique(["ticker", "date"]).sort("ticker", "date")
    calendar_panel = reindex(rows, spec=panel_spec(calendar=calendar))
    spec = FeatureSpec(moment_window=20)
    whole = feature_panel(calendar_panel, features=spec)
    pieces = list(feature_parts(lambda: ticker_parts(calendar_panel.lazy(), rows_per_part=1), features=spec))
    assert len(pieces) == 4
    assert_frame_equal(pl.concat(pieces), whole, check_exact=True)
    assert whole["rank_volatility"].n_unique() > 2


def test_corrections_reach_their_ticker_in_whichever_part_it_comes(raw_panel: pl.DataFrame) -> None:
    day = raw_panel.filter(pl.col("ticker") == "SIE.DE")["date"][10]
    size = raw_panel.filter(pl.col("ticker") == "SIE.DE")["close"].log().diff()[10]
    correction = Correction(ticker="SIE.DE", kind="neutralise_return", date=day, log_return=size, reason="test")
    spec = panel_spec().model_copy(update={"corrections": (correction,)})
    found = list(reindex_parts(lambda: ticker_parts(raw_panel.lazy(), rows_per_part=50), spec=spec))
    assert [report["ticker"].to_list() for _, report in found] == [[], [], ["SIE.DE"]]
    closes = found[-1][0].filter(pl.col("date") <= day)["close"]
    assert closes[-1] == pytest.approx(closes[-2])


def test_year_digests_do_not_depend_on_the_parts(raw_panel: pl.DataFrame) -> None:
    digests = YearDigests()
    for _ in digests.watch(ticker_parts(raw_panel.lazy(), rows_per_part=1)):
        pass
    assert digests.digests() == year_digests(raw_panel)


def test_a_table_written_in_parts_reads_as_the_whole(raw_panel: pl.DataFrame, tmp_path: Path) -> None:
    write_table(ticker_parts(raw_panel.lazy(), rows_per_part=1), tmp_path / "table.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "table.parquet"), raw_panel, check_exact=True)
