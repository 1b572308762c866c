"""Read a user's file of one number per ticker, strictly: weights, shares, lots, prices."""

import math
from collections.abc import Callable, Collection
from pathlib import Path

from forecast_assets.core.errors import BadInput
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.strict_table import LINE, as_number, as_text, open_table


def read_numbers(
    path: Path,
    *,
    column: str,
    holds: str,
    known: Collection[str],
    lacks: str,
    allowed: Callable[[float], bool] = math.isfinite,
) -> dict[str, float]:
    """Return ticker -> ``column`` of a CSV or Parquet file with these two columns.

    ``holds`` says what such a file has; ``lacks`` what a ticker that is not ``known`` lacks, such as "has no forecast".
    Raises BadInput, one sentence, for other columns, what is no number or not ``allowed``, a ticker that is there twice or
    is not known.
    """
    raw = open_table(path, holds=holds)
    if set(raw.columns) - {LINE} != {"ticker", column}:
        have = [name for name in raw.columns if name != LINE]
        raise BadInput(f"{path.name}: columns {have}; {holds}")
    table = raw.select(LINE, ticker=as_text("ticker"), number=as_number(raw, column))
    found: dict[str, float] = {}
    for line, ticker, number in table.iter_rows():
        if ticker is None:
            raise BadInput(f"{path.name}: line {line} has no ticker; {holds}")
        if number is None or not math.isfinite(number):
            raise BadInput(f"{path.name}: line {line}: the {column} of {ticker} is no number; {holds}")
        if not allowed(number):
            raise BadInput(f"{path.name}: line {line}: the {column} of {ticker} is {number:g}; {holds}")
        if ticker in found:
            raise BadInput(f"{path.name}: line {line}: {ticker} is there twice; keep one {column} of it")
        if ticker not in known:
            near = nearest_names(ticker, known)
            advice = f"did you mean {', '.join(near)}" if near else "leave it out"
            raise BadInput(f"{path.name}: line {line}: {ticker} {lacks}; {advice}")
        found[ticker] = number
    return found
