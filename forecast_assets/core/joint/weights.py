"""Read the weights of a portfolio from a file, strictly."""

from collections.abc import Collection
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.ticker_numbers import read_numbers

HOLDS = "a file of weights has ticker and weight, a fraction of equity (0.05 is 5 %, below 0: sold short)"


def read_weights(path: Path, *, tickers: Collection[str]) -> dict[str, float]:
    """Return ticker -> weight of a CSV or Parquet file; zeros are left out.

    Raises BadInput, one sentence, for other columns, a weight that is no number, a ticker that is there twice or is none of
    ``tickers``, and where nothing is held.
    """
    held = read_numbers(path, column="weight", holds=HOLDS, known=tickers, lacks="has no forecast")
    held = {ticker: weight for ticker, weight in held.items() if weight}
    if not held:
        raise BadInput(f"{path.name}: every weight is 0, so nothing is at risk")
    return held


def book_weights(positions: pl.DataFrame, *, tickers: Collection[str]) -> tuple[dict[str, float], list[str]]:
    """Return ticker -> target weight of a book (ticker, weight_target), and what it holds that is none of ``tickers``."""
    held = {ticker: weight for ticker, weight in positions.select("ticker", "weight_target").iter_rows() if weight}
    known = {ticker: weight for ticker, weight in held.items() if ticker in tickers}
    return known, sorted(set(held) - set(known))
