"""Read the weights of a portfolio from a file, strictly."""

import math
from collections.abc import Collection
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.strict_table import LINE, as_number, as_text, open_table

COLUMNS = ("ticker", "weight")
HOLDS = "a file of weights has ticker and weight, a fraction of equity (0.05 is 5 %, below 0: sold short)"


def read_weights(path: Path, *, tickers: Collection[str]) -> dict[str, float]:
    """Return ticker -> weight of a CSV or Parquet file; zeros are left out.

    Raises BadInput, one sentence, for other columns, a weight that is no number, a ticker that is there twice or is none of
    ``tickers``, and where nothing is held.
    """
    raw = open_table(path, holds=HOLDS)
    if set(raw.columns) - {LINE} != set(COLUMNS):
        have = [name for name in raw.columns if name != LINE]
        raise BadInput(f"{path.name}: columns {have}; {HOLDS}")
    table = raw.select(LINE, ticker=as_text("ticker"), weight=as_number(raw, "weight"))
    held: dict[str, float] = {}
    for line, ticker, weight in table.iter_rows():
        if ticker is None:
            raise BadInput(f"{path.name}: line {line} has no ticker; {HOLDS}")
        if weight is None or not math.isfinite(weight):
            raise BadInput(f"{path.name}: line {line}: the weight of {ticker} is no number; {HOLDS}")
        if ticker in held:
            raise BadInput(f"{path.name}: line {line}: {ticker} is there twice; keep one weight of it")
        if ticker not in tickers:
            near = nearest_names(ticker, tickers)
            advice = f"did you mean {', '.join(near)}" if near else "leave it out"
            raise BadInput(f"{path.name}: line {line}: {ticker} has no forecast; {advice}")
        held[ticker] = weight
    held = {ticker: weight for ticker, weight in held.items() if weight}
    if not held:
        raise BadInput(f"{path.name}: every weight is 0, so nothing is at risk")
    return held


def book_weights(positions: pl.DataFrame, *, tickers: Collection[str]) -> tuple[dict[str, float], list[str]]:
    """Return ticker -> target weight of a book (ticker, weight_target), and what it holds that is none of ``tickers``."""
    held = {ticker: weight for ticker, weight in positions.select("ticker", "weight_target").iter_rows() if weight}
    known = {ticker: weight for ticker, weight in held.items() if ticker in tickers}
    return known, sorted(set(held) - set(known))
