"""Prices, quotes and tradability of a panel as matrices over (session of the union grid, ticker)."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.backtest.currency import Conversion
from forecast_assets.core.errors import BadInput
from forecast_assets.core.scores.trading import EPS, Floats

Bools = NDArray[np.bool_]
Cells = tuple[NDArray[np.intp], NDArray[np.intp]]  # row and column of each of some values in a matrix

BETA_SESSIONS, BETA_MIN_SESSIONS = 252, 63
BETA_SHRINKAGE = 1 / 3  # towards one (Blume 1971)
BETA_MAX_RETURN = 0.25  # a jump counts as this: one error in the data is no beta
MEMORY_SESSIONS = BETA_SESSIONS + 1  # read before the first session: for betas, and the last close of a shut ticker


@dataclass(frozen=True)
class Market:
    """What can be traded when, at what price, and what a position earns until the next session (T sessions, N tickers)."""

    dates: NDArray[np.datetime64]  # (T,) sessions on which some member of the universe has a quote
    tickers: tuple[str, ...]  # (N,)
    region: NDArray[np.intp]  # (N,) code of the ticker's region
    price: Floats  # (T, N) execution price: open or close of the session, the last close where there is no quote
    growth: Floats  # (T, N) value of the next session over this one's; the last session runs to its own close
    quoted: Bools  # (T, N)
    tradable: Bools  # (T, N) quoted, and an order from before a hole has not been cancelled
    ended: Bools  # (T, N) the ticker is no longer listed: what is left is sold at the last price
    left: Bools  # (T, N) it was not in the universe when the session's orders were decided: what is held is sold
    close: Floats  # (T, N) last close, NaN before the first
    rate: Floats  # (T, N) base currency for one unit of the ticker's own, as known at the close; 1 without a conversion
    segment: NDArray[np.int64]  # (T, N) of the calendar panel, -1 where it has no row
    beta: Floats  # (T, N) to the ticker's region, from sessions before this one alone; see ``past_betas``

    def rows(self, first: int | None, end: int | None) -> "Market":
        """Return the sessions from row ``first`` up to, not including, row ``end``."""
        matrices = (
            "dates",
            "price",
            "growth",
            "quoted",
            "tradable",
            "ended",
            "left",
            "close",
            "rate",
            "segment",
            "beta",
        )
        return replace(self, **{name: getattr(self, name)[first:end] for name in matrices})

    def columns_of(self, tickers: Sequence[str]) -> NDArray[np.intp]:
        """Return the column of each ticker; raises ValueError for one that the panel lacks."""
        if missing := sorted(set(tickers) - set(self.tickers)):
            raise ValueError(f"calendar_panel: {len(missing)} tickers have no row: {missing[:5]}")
        return np.searchsorted(np.array(self.tickers), np.asarray(tickers, dtype=np.str_))

    def cells(self, decisions: pl.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return row and column of each decision (date, ticker), all of which lie on the grid's sessions."""
        dates = decisions["date"].to_numpy().astype("datetime64[D]")
        return np.searchsorted(self.dates, dates), self.columns_of(decisions["ticker"].to_list())


def market(
    calendar_panel: pl.DataFrame,
    *,
    tickers: Sequence[str],
    first: dt.date,
    last: dt.date,
    execution: Literal["next_open", "same_close"],
    max_wait_sessions: int,
    gone: Mapping[str, dt.date] | None = None,
    conversion: Conversion | None = None,
) -> Market:
    """Return the matrices of ``tickers`` over the union sessions ``first`` to ``last``, both included.

    Prices are in local currency; with a ``conversion`` ``growth`` is that of the value in the base currency, else of the
    price alone. One session after ``last`` is read, where the panel has it, to mark the last row. An
    order that waits through more than ``max_wait_sessions`` filled sessions, or through a hole that ends the segment,
    is cancelled: its ticker is not tradable on the session of the return. A ticker whose quotes stop more than
    ``max_wait_sessions`` union sessions before the panel does is ``ended`` once an order for it would be cancelled; one
    of ``gone`` (ticker -> day), that has left the panel's files, is so on the sessions after its day.
    """
    wanted = sorted(set(tickers))
    union, last_quote, region = _whole_panel(calendar_panel, wanted)
    stop = np.searchsorted(union, np.datetime64(last, "D"), side="right")
    start = np.searchsorted(union, np.datetime64(first, "D"))
    begin = max(0, int(start) - MEMORY_SESSIONS)
    grid = union[begin : stop + 1]  # memory, the sessions themselves, and one more to mark the last of them
    rows, cell = _rows_on(calendar_panel, wanted, grid)
    shape = (len(grid), len(wanted))
    price, close, quoted, tradable, segment = _matrices(rows, cell, shape, execution, max_wait_sessions)
    member = _members(rows, cell, shape)
    keep = slice(start - begin, stop - begin)
    at_panel_end = stop == len(union)  # then the last row runs to its own close
    after = np.concatenate([price[1:], close[-1:]]) if at_panel_end else price[1:]
    with np.errstate(invalid="ignore"):
        growth = np.nan_to_num(after[keep] / price[keep], nan=1.0)  # no price yet: nothing is held
    rate, moved = _rates(conversion, wanted, grid[start - begin :], np.isfinite(price[start - begin :]), execution)
    silence_starts = np.searchsorted(union, last_quote, side="right")  # (N,): first union session after the last quote
    silent = len(union) - silence_starts > max_wait_sessions
    ended = silent & (np.arange(start, stop)[:, None] >= silence_starts + max_wait_sessions)
    left = np.array([(gone or {}).get(ticker, dt.date.max) for ticker in wanted], dtype="datetime64[D]")  # (N,)
    ended |= union[start:stop, None] > left
    return Market(
        dates=union[start:stop],
        tickers=tuple(wanted),
        region=region,
        price=price[keep],
        growth=growth * moved[: stop - start],
        quoted=quoted[keep],
        tradable=tradable[keep],
        ended=ended,
        left=_left(member, execution)[keep],
        close=close[keep],
        rate=rate[: stop - start],
        segment=segment[keep],
        beta=past_betas(close, quoted, region, member=member > 0)[keep],
    )


def _rates(
    conversion: Conversion | None,
    tickers: list[str],
    dates: NDArray[np.datetime64],
    priced: Bools,
    execution: Literal["next_open", "same_close"],
) -> tuple[Floats, Floats]:
    """Return the rates at the closes of ``dates``, and how each moves from one execution to the next, (T, N) both.

    An open is before the day's rates are known: it counts at the last rate of the days before. The last row runs to its
    own close.
    """
    if conversion is None:
        return np.ones(priced.shape), np.ones(priced.shape)
    at_close = conversion.at(dates, tickers, known="by", needed=priced)
    traded = conversion.at(dates, tickers, known="before", needed=priced) if execution == "next_open" else at_close
    after = np.concatenate([traded[1:], at_close[-1:]])
    # Before a ticker's first price its rate is 1, and so is its growth.
    return at_close, np.where(priced, after / traded, 1.0)


def past_betas(close: Floats, quoted: Bools, region: NDArray[np.intp], *, member: Bools) -> Floats:
    """Return each ticker's beta to the equal-weight return of its region's members as of the session before, (T, N).

    The slope of its close-to-close returns over the ``BETA_SESSIONS`` sessions before the row, on those it was quoted,
    shrunk towards one; 1 under ``BETA_MIN_SESSIONS`` of them. ``close`` (T, N) carried forward, ``region`` (N,) codes,
    ``member`` (T, N) of the universe.
    """
    counted = quoted.copy()
    counted[1:] &= np.isfinite(close[:-1])
    counted[:1] = False
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.log(close[1:] / close[:-1])
    own = np.zeros_like(close)
    own[1:] = np.clip(np.where(counted[1:], moved, 0.0), -BETA_MAX_RETURN, BETA_MAX_RETURN)
    of_region = np.eye(int(region.max(initial=0)) + 1)[region]  # (N, R)
    averaged = counted & member
    size = averaged @ of_region  # (T, R)
    mean = (np.where(averaged, own, 0.0) @ of_region) / np.maximum(size, 1.0)
    counted &= size[:, region] > 0
    own = np.where(counted, own, 0.0)
    market = np.where(counted, mean[:, region], 0.0)
    count, x, y, xx, xy = (_before(of) for of in (counted.astype(np.float64), market, own, market**2, market * own))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = xx - x * x / count
        slope = (xy - x * y / count) / spread
    known = (count >= BETA_MIN_SESSIONS) & (spread > EPS)
    return np.where(known, BETA_SHRINKAGE + (1.0 - BETA_SHRINKAGE) * np.where(known, slope, 0.0), 1.0)


def _before(values: Floats) -> Floats:
    """Return the sum of the ``BETA_SESSIONS`` rows before each row, (T, N)."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    row = np.arange(len(values))
    return np.asarray(total[row] - total[np.maximum(row - BETA_SESSIONS, 0)])


def _whole_panel(
    calendar_panel: pl.DataFrame, tickers: list[str]
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64], NDArray[np.intp]]:
    """Return the union sessions, on which some member is quoted; last quote and region code of the wanted tickers."""
    real = calendar_panel.lazy().filter(~pl.col("is_missing"))
    union = (
        real.filter("is_member")
        .select(pl.col("date").unique().sort())
        .collect()["date"]
        .to_numpy()
        .astype("datetime64[D]")
    )
    facts = (
        real.filter(pl.col("ticker").is_in(tickers))
        .group_by("ticker")
        .agg(pl.col("date").max(), pl.col("region").last())
        .sort("ticker")
        .collect()
    )
    if missing := sorted(set(tickers) - set(facts["ticker"])):
        raise BadInput(
            f"calendar_panel: {len(missing)} tickers that were forecast have no quote: {missing[:5]}; run the years that "
            "forecast them again on this panel, or declare what they are called now (panel.renames)"
        )
    region = facts["region"].fill_null("").rank("dense").to_numpy().astype(np.intp) - 1
    return union, facts["date"].to_numpy().astype("datetime64[D]"), region


def _matrices(
    rows: pl.DataFrame,
    cell: Cells,
    shape: tuple[int, int],
    execution: Literal["next_open", "same_close"],
    max_wait_sessions: int,
) -> tuple[Floats, Floats, Bools, Bools, NDArray[np.int64]]:
    """Return (price, close carried forward, quoted, tradable, segment), each of ``shape`` (T, N)."""
    raw_open, raw_close = np.full(shape, np.nan), np.full(shape, np.nan)
    filled, segment = np.zeros(shape, dtype=bool), np.full(shape, -1)
    raw_open[cell], raw_close[cell] = rows["open"].to_numpy(), rows["close"].to_numpy()
    filled[cell], segment[cell] = rows["is_missing"].to_numpy(), rows["segment"].to_numpy()
    at_execution = raw_open if execution == "next_open" else raw_close
    quoted = ~filled & np.isfinite(at_execution)
    carried = _forward_fill(np.where(filled, np.nan, raw_close))
    price = np.where(quoted, at_execution, carried)
    return price, carried, quoted, _not_cancelled(quoted, filled, segment, max_wait_sessions), segment


def _rows_on(
    calendar_panel: pl.DataFrame, tickers: list[str], grid: NDArray[np.datetime64]
) -> tuple[pl.DataFrame, Cells]:
    """Return the rows of ``tickers`` on the sessions of ``grid``, and the cell of each in a matrix of both."""
    rows = calendar_panel.filter(
        pl.col("date").is_in(pl.Series(grid).cast(pl.Date).implode()) & pl.col("ticker").is_in(tickers)
    )
    day = np.searchsorted(grid, rows["date"].to_numpy().astype("datetime64[D]"))
    column = pl.Series(tickers)
    place = rows.select(pl.col("ticker").replace_strict(column, pl.int_range(len(column), eager=True))).to_series()
    return rows, (day, place.to_numpy())


def _members(rows: pl.DataFrame, cell: Cells, shape: tuple[int, int]) -> Floats:
    """Return whether each ticker was a member on its last row, (T, N): 1 or 0, NaN before its first one."""
    member = np.full(shape, np.nan)
    member[cell] = rows["is_member"].cast(pl.Float64).to_numpy()
    return _forward_fill(member)


def _left(member: Floats, execution: Literal["next_open", "same_close"]) -> Bools:
    """Return where a ticker was no member at the close that a session's orders were decided at."""
    if execution == "next_open":
        member = np.concatenate([np.full((1, member.shape[1]), np.nan), member[:-1]])
    return np.asarray(member == 0)


def _forward_fill(values: Floats) -> Floats:
    """Carry values down the first axis; leading NaNs stay."""
    row = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    return np.take_along_axis(values, np.maximum.accumulate(row, axis=0), axis=0)


def _not_cancelled(quoted: Bools, filled: Bools, segment: NDArray[np.int64], max_wait_sessions: int) -> Bools:
    """Return where a quote would fill an order that has not been cancelled (see ``market``)."""
    waited = np.zeros(quoted.shape[1], dtype=np.int64)
    last_segment = np.full(quoted.shape[1], -1, dtype=np.int64)
    alive = np.zeros_like(quoted)
    for t in range(len(quoted)):
        waited += filled[t]
        same_segment = (last_segment < 0) | (segment[t] == last_segment)
        alive[t] = quoted[t] & same_segment & (waited <= max_wait_sessions)
        waited[quoted[t]] = 0
        last_segment[quoted[t]] = segment[t][quoted[t]]
    return alive
