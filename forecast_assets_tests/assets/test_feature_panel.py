"""The feature panel reads the previous version by spans of tickers."""

from pathlib import Path

import polars as pl
import pytest

from forecast_assets.assets.feature_panel import stored_rows
from forecast_assets.core.panel.incremental import Span


@pytest.mark.parametrize(
    ("span", "tickers"),
    [
        (Span(None, "B"), ["A", "A", "B"]),
        (Span("B", "D"), ["C"]),
        (Span("B", None), ["C", "E"]),
        (Span("E", None), []),
        (Span(None, None), ["A", "A", "B", "C", "E"]),
    ],
)
def test_a_span_of_tickers_is_read_from_both_tables(span: Span, tickers: list[str], tmp_path: Path) -> None:
    table = pl.DataFrame({"ticker": ["A", "A", "B", "C", "E"], "rsi_14": [1.0, 2.0, 3.0, 4.0, 5.0]})
    table.drop("rsi_14").write_parquet(tmp_path / "sessions.parquet")
    table.write_parquet(tmp_path / "features.parquet")
    found = stored_rows(tmp_path / "sessions.parquet", tmp_path / "features.parquet", span)
    assert found.calendar["ticker"].to_list() == found.features["ticker"].to_list() == tickers
    assert found.features.columns == ["ticker", "rsi_14"]
