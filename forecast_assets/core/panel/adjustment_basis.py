"""Recognise a file whose prices stand on another adjustment basis, after a split or a dividend, and take it back.

A provider that adjusts history divides all prices before an ex-date by one number. Two downloads then differ by a constant
factor over the *first* rows they share; from an ex-date inside the shared rows on, the factor is another one. Prices are
rounded, so a pair of prices, old and new, says only between which two numbers the factor lies.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel.rows import KEY, PRICES

NOISE = 2e-5  # relative error of a price beside its rounding: single precision, adjusted by a rounded factor
DECIMALS = 6  # most decimals of a price that are distinguished from full precision
CLEAR = 3.0  # least distance of the factor from 1, in logarithms, by half the width of what it may be
LEAST_SIZE = 1e-4  # and by itself: no dividend is smaller
LEAST_ROWS = 2  # shared rows that show any factor; one row of four prices shows a plain ratio of at least ...
LEAST_RATIO = 1.25  # ... this size,
ONE_ROW_SPREAD = 0.05  # from which no price of the row is farther, in logarithms
SAME_VOLUME = 0.02  # largest median distance, in logarithms, of volumes that follow the number of shares

WHOLE = (2, 3, 4, 5, 7, 8, 10, 15, 20, 25, 50)
UPWARD = (*((shares, 1) for shares in WHOLE), (3, 2), (4, 3), (5, 4), (5, 2), (6, 5))
PLAIN = (*UPWARD, *((before, shares) for shares, before in UPWARD))  # new shares for old ones, of ordinary splits

CLOSE = PRICES.index("close")
Floats = NDArray[np.float64]

RESCALED = {
    "ticker": pl.String,
    "file_no": pl.UInt32,
    "factor": pl.Float64,  # new prices / old ones
    "volume_factor": pl.Float64,  # what its volume was divided by
    "rows": pl.UInt32,  # shared rows that show the factor
    "later_files": pl.UInt32,  # files after it that were divided by the same
    "cause": pl.String,
}


@dataclass(frozen=True)
class Factor:
    """By what the prices of a file differ from those before it, and what shows it."""

    value: float
    split: tuple[int, int] | None  # new shares for old ones
    rows: slice  # of the shared ones
    shares: float = 1.0  # by what the volumes differ

    def found(self) -> dict[str, Any]:
        """Return its part of a row of ``RESCALED``."""
        rows = self.rows.stop - self.rows.start
        of = {"factor": self.value, "volume_factor": self.shares, "cause": self._cause()}
        return {**of, "rows": rows, "later_files": 0}

    def _cause(self) -> str:
        if self.split is not None:
            return f"a {self.split[0]}:{self.split[1]} {'split' if self.value < 1 else 'reverse split'}"
        if 1 / LEAST_RATIO < self.value < 1:
            return f"a dividend of {100 * (1 - self.value):.2f} %"
        return f"a factor of {self.value:.6g}"


@dataclass(frozen=True)
class Quotes:
    """Rows of one ticker by date. ``prices`` (n, 4), NaN where missing; ``error`` (n, 4): by how much each may be off."""

    prices: Floats
    error: Floats
    volume: Floats


def rescale_rebased(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide each file and ticker on another basis than the files before it by the factor; what was there keeps its bits.

    ``rows`` are sorted by ticker, date and file_no, one per file. Returns them with ``rebased`` (whether the row was), with
    ``half_unit``, half of the last decimal of its prices on the basis they now have, and ``half_lot``, the same of its
    volume (0 for a ticker of which no file was rescaled); and a table by ``RESCALED``.
    """
    rows = rows.with_columns(rebased=pl.lit(False), half_unit=pl.lit(0.0), half_lot=pl.lit(0.0))
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in KEY)
    moved = (pl.col("close") / pl.col("close").shift(1) - 1).abs() > NOISE
    suspects = rows.filter(again & moved)["ticker"].unique().implode()
    parts, found = [rows.filter(~pl.col("ticker").is_in(suspects))], []
    for own in rows.filter(pl.col("ticker").is_in(suspects)).partition_by("ticker", maintain_order=True):
        part, factors = _rescale_ticker(own)
        parts.append(part)
        found += factors
    return pl.concat(parts).sort(*KEY, "file_no"), pl.DataFrame(found, schema=RESCALED, orient="row")


def _rescale_ticker(own: pl.DataFrame) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Return the rows of a ticker, and a row of ``RESCALED`` for each file from which on another factor holds."""
    day = (own["date"].rank("dense") - 1).to_numpy().astype(np.int64)
    prices, volume = own.select(PRICES).to_numpy().copy(), own["volume"].to_numpy().copy()
    half_unit, half_lot, rebased = _half_units(own), np.full(own.height, 0.5), np.zeros(own.height, dtype=bool)
    last = np.full(int(day.max()) + 1, -1)  # the row of each day in the latest file so far
    found: list[dict[str, Any]] = []
    factor: Factor | None = None
    for file_no, places in _files(own["file_no"].to_numpy()):
        before = last[day[places]]
        new, old = places[before >= 0], before[before >= 0]
        earlier = last[: day[new[0] if len(new) else places[0]]]
        earlier = earlier[earlier >= 0]
        close_before = prices[earlier[-1], CLOSE] if len(earlier) else None
        usual = factor
        if len(new):
            quotes = [
                Quotes(prices[k], np.maximum(half_unit[k, None], NOISE * prices[k]), volume[k]) for k in (new, old)
            ]
            factor = find_factor(*quotes, close_before=close_before, usual=usual)
        elif usual is not None:
            factor = _carried(
                usual, prices[places[0], CLOSE], close_before, follows=bool((last[day[places[0]] :] < 0).all())
            )
        if factor is not None:
            prices[places] /= factor.value
            half_unit[places] /= factor.value
            volume[places] /= factor.shares
            half_lot[places] /= factor.shares
            rebased[places] = True
            if usual is not None and usual.value == factor.value:
                found[-1]["later_files"] += 1
            else:
                found.append({"ticker": own["ticker"][0], "file_no": file_no, **factor.found()})
        last[day[places]] = places
    if not found:
        return own, found
    columns = {name: prices[:, k] for k, name in enumerate(PRICES)}
    columns |= {"volume": volume, "half_unit": half_unit, "half_lot": half_lot, "rebased": rebased}
    return own.with_columns(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()), found


def _files(file_no: NDArray[np.uint32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each file and the places of its rows, by date."""
    order = np.argsort(file_no, kind="stable")
    numbers, starts = np.unique(file_no[order], return_index=True)
    for number, places in zip(numbers, np.split(order, starts[1:]), strict=True):
        yield int(number), places


def _half_units(own: pl.DataFrame) -> Floats:
    """Return half of the last decimal that the ticker's prices have in each row's file, (n,); 0 for full precision."""
    decimals = pl.max_horizontal(_decimals(name) for name in PRICES).max().over("file_no")
    half = pl.when(decimals <= DECIMALS).then(0.5 * pl.lit(10.0).pow(-decimals)).otherwise(0.0)
    return own.select(half).to_series().to_numpy().copy()


def _decimals(name: str) -> pl.Expr:
    """Return the decimals of a price, to single precision; ``DECIMALS`` + 1 for full precision."""
    found = pl.lit(DECIMALS + 1)
    for decimals in reversed(range(DECIMALS + 1)):
        scaled = pl.col(name) * 10**decimals
        found = pl.when((scaled - scaled.round()).abs() <= 1.2e-7 * scaled).then(decimals).otherwise(found)
    return pl.when(pl.col(name).is_not_null()).then(found)


def find_factor(new: Quotes, old: Quotes, *, close_before: float | None, usual: Factor | None) -> Factor | None:
    """Return the factor between two files' rows of the same days, by date; None where they are on one basis.

    The closes decide: the first rows that leave a common factor possible are the stretch that shows it (where the first
    row stands alone it may be a revision, so the stretch may begin at the second). If 1 is possible there is none. The
    ``usual`` factor, of the file before, is kept where it is possible, so that roundings do not add up from file to file;
    then a plain split ratio is taken exactly; else the ratio of the sums. Most other prices have to move along.
    ``close_before``: the close of the day before the first row, which tells a split from a corrected row.
    """
    low = np.maximum(new.prices - new.error, 0) / (old.prices + old.error)
    above = old.prices - old.error
    high = np.divide(new.prices + new.error, above, out=np.full_like(above, np.inf), where=above > 0)
    low[np.isnan(low)], high[np.isnan(high)] = 0.0, np.inf
    for first in range(min(2, len(low))):
        lowest = np.maximum.accumulate(low[first:, CLOSE])
        highest = np.minimum.accumulate(high[first:, CLOSE])
        rows = slice(first, first + int((lowest <= highest).sum()))
        enough = rows.stop - first >= LEAST_ROWS
        if not enough and first:
            continue
        factor = _factor(new.prices[rows], old.prices[rows], low[rows], high[rows], rows, usual)
        known = factor is not None and usual is not None and factor.value == usual.value
        if factor is not None and (enough or known or _one_row_shows(new, old, factor, close_before)):
            return replace(factor, shares=_share_factor(new, old, factor))
        if enough:
            break
    return None


def _factor(new: Floats, old: Floats, low: Floats, high: Floats, rows: slice, usual: Factor | None) -> Factor | None:
    """Return the factor of a stretch (n, 4) whose closes have a common one; None where it is not clear of 1."""
    whole = low.max() <= high.min()
    used = ~np.isnan(new) & ~np.isnan(old) if whole else np.arange(len(PRICES)) == CLOSE + np.zeros((len(new), 1))
    least, most = (low.max(), high.min()) if whole else (low[:, CLOSE].max(), high[:, CLOSE].min())
    if least <= 1 <= most or least == 0 or math.isinf(most):
        return None
    if usual is not None and least <= usual.value <= most:
        return replace(usual, rows=rows)
    middle = math.sqrt(least * most)
    possible = [split for split in PLAIN if least <= split[1] / split[0] <= most]
    split = min(possible, key=lambda each: abs(math.log(middle * each[0] / each[1])), default=None)
    value = float(np.clip(new[used].sum() / old[used].sum(), least, most)) if split is None else split[1] / split[0]
    size = abs(math.log(value))
    if size < max(LEAST_SIZE, CLEAR * math.log(most / least) / 2):
        return None
    apart = _distance(new, old, value)
    slack = 0.5 * size + 0.5 * np.log(high / np.maximum(low, 1e-9))
    along = (apart <= slack)[~np.isnan(apart)]
    return Factor(value, split, rows) if along.mean() > 0.5 else None


def _carried(usual: Factor, close: float, close_before: float | None, *, follows: bool) -> Factor | None:
    """Return the factor of a file without a shared row: that of the file before, if it goes on from it.

    Its first return decides where the factor is large: a feed may have gone back to the older basis.
    """
    if not follows or close_before is None:
        return None
    moved = abs(math.log(close / usual.value / close_before))
    back = abs(math.log(usual.value)) >= math.log(LEAST_RATIO) and abs(math.log(close / close_before)) < moved
    return None if back else usual


def _distance(new: Floats, old: Floats, factor: float) -> Floats:
    """Return how far each ratio of new to old is from the factor, in logarithms."""
    return np.abs(np.log(new / old) - math.log(factor))


def _one_row_shows(new: Quotes, old: Quotes, factor: Factor, close_before: float | None) -> bool:
    """Return whether the first row alone is enough: all its prices say so, and the older file's row is no misprint."""
    size = abs(math.log(factor.value))
    if factor.split is None or size < math.log(LEAST_RATIO) - 1e-9 or close_before is None:
        return False
    apart = _distance(new.prices[0], old.prices[0], factor.value)  # NaN where a price is missing
    return bool((apart <= ONE_ROW_SPREAD).all()) and abs(math.log(old.prices[0, CLOSE] / close_before)) < size / 2


def _share_factor(new: Quotes, old: Quotes, factor: Factor) -> float:
    """Return what the new volumes are divided by: the ratio of a split that they show too, else 1."""
    if factor.split is None:
        return 1.0
    pairs = new.volume[factor.rows], old.volume[factor.rows]
    traded = (pairs[0] > 0) & (pairs[1] > 0)
    if not traded.any():
        return 1.0
    shares = 1 / factor.value
    apart = np.abs(np.log(pairs[0][traded] / pairs[1][traded] / shares))
    return shares if np.median(apart) <= SAME_VOLUME else 1.0
