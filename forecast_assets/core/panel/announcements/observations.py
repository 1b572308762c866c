"""The quoted rows of some tickers as arrays, and the grid of weekdays and tickers that recursions run over."""

from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel import indicators as ind
from forecast_assets.core.panel.announcements.sums import Floats, Ints
from forecast_assets.core.panel.announcements.weekdays import Days
from forecast_assets.core.panel.features import observed_rows

Bools = NDArray[np.bool_]
NO_SECTOR = -1


@dataclass(frozen=True)
class Observations:
    """N quoted rows sorted by ticker and date; floats are NaN where a value is not known."""

    tickers: tuple[str, ...]
    ticker: Ints  # (N,) index into ``tickers``
    position: Ints  # (N,) number of the row in its segment
    weekday: Ints  # (N,) of the panel's days, UNKNOWN outside the week
    closing: Ints  # (N,)
    sector: Ints  # (N,) closing and sector as one number, NO_SECTOR without a sector
    ahead: Ints  # (N, H) weekdays to each horizon's session
    counts: Bools  # (N,) a company may report on this exchange
    member: Bools  # (N,) of the universe
    log_return: Floats  # (N,)
    gap: Floats  # (N,) log(open / previous close)
    intraday: Floats  # (N,) log(close / open)
    range: Floats  # (N,) log(high / low)
    variance: Floats  # (N,) squared gap + Garman-Klass
    log_volume: Floats  # (N,)

    def __len__(self) -> int:
        return len(self.ticker)

    def take(self, chosen: Bools) -> "Observations":
        """Return the rows that are ``chosen``; tickers keep their numbers."""
        rows = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "tickers"}
        return replace(self, **rows)

    def since(self, begin: int) -> Bools:
        """Return which rows lie on or after weekday ``begin``; one outside the week belongs to the weekday before it."""
        apart = self.ticker << 32  # one running maximum serves all tickers
        last = np.maximum.accumulate(apart + np.maximum(self.weekday, 0)) - apart
        return last >= begin


def observe(part: pl.DataFrame, *, days: Days, sectors: tuple[str, ...]) -> Observations:
    """Return the quoted rows of a calendar panel's ``part`` (whole tickers, or their last rows) as arrays.

    ``sectors``: all of the panel, sorted.
    """
    rows = observed_rows(part).with_columns(log_open=pl.col("open").log(), log_close=pl.col("close").log())
    at = days.of(rows)
    high, low = pl.max_horizontal("high", "open", "close"), pl.min_horizontal("low", "open", "close")
    ranged = pl.col("high").is_not_null() & pl.col("low").is_not_null() & ~ind.is_misprinted()
    values = rows.select(
        log_return=ind.log_return(1),
        gap=ind.overnight_gap(),
        intraday=ind.intraday_return(),
        range=pl.when(ranged).then((high / low).log()),
        variance=ind.variance_proxy(),
        log_volume=pl.when(pl.col("volume") > 0).then(pl.col("volume").log()),
    )
    tickers = tuple(rows["ticker"].unique(maintain_order=True))
    code = rows["sector"].replace_strict(list(sectors), range(len(sectors)), default=NO_SECTOR, return_dtype=pl.Int64)
    sector = np.array(code.fill_null(NO_SECTOR))
    closing = at["closing"].to_numpy()
    return Observations(
        tickers=tickers,
        ticker=rows["ticker"].rle_id().cast(pl.Int64).to_numpy(),
        position=rows["position"].cast(pl.Int64).to_numpy(),
        weekday=at["weekday"].to_numpy(),
        closing=closing,
        sector=np.where(sector == NO_SECTOR, NO_SECTOR, closing * len(sectors) + sector),
        ahead=at.select(pl.col("^ahead_.*$")).to_numpy(),
        counts=at["counts"].to_numpy(),
        member=rows["is_member"].to_numpy(),
        **{name: values[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in values.columns},
    )


@dataclass(frozen=True)
class Grid:
    """Weekdays ``begin`` to ``end`` (exclusive) by tickers: arrays of (D, T), where rows outside the week have no place."""

    begin: int
    end: int
    tickers: int
    place: Bools  # (N,) the row is on the grid
    at: tuple[Ints, Ints]  # weekday from ``begin``, ticker of those

    @classmethod
    def of(cls, rows: Observations, *, begin: int, end: int) -> "Grid":
        """Return the grid of weekdays ``begin`` to ``end`` for ``rows``."""
        place = (rows.weekday >= begin) & (rows.weekday < end)
        return cls(begin, end, len(rows.tickers), place, (rows.weekday[place] - begin, rows.ticker[place]))

    def spread(self, values: NDArray[np.generic], *, empty: float = np.nan) -> Floats:
        """Return the values of rows (N,) on the grid, ``empty`` where there is no row, (D, T)."""
        grid = np.full((self.end - self.begin, self.tickers), empty)
        grid[self.at] = values[self.place]
        return grid

    def gather(self, grid: NDArray[np.generic]) -> Floats:
        """Return the values of a grid (D, T) at the rows, (N,); NaN off the grid."""
        values = np.full(len(self.place), np.nan)
        values[self.place] = grid[self.at]
        return values
