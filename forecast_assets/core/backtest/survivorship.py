"""What delistings would have done to a book: the tickers that go take their return and leave cash."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.market import Market
from forecast_assets.core.evaluation.delistings import Delistings
from forecast_assets.core.evaluation.significance import sharpes
from forecast_assets.core.scores.trading import Floats, sessions_per_year


def delisted_returns(book: Simulation, view: Market, delistings: Delistings) -> Floats:
    """Return the net returns of a book with each planting's delistings, (R, P, C, T), over the book's T sessions.

    A ticker is held as it was up to its last session, whose row earns the recovery times the last close over the price that
    it was held at, less one; a short position earns the negative of it. After that it neither earns nor costs anything: its
    share of equity is cash. What is held of all others stays the same fraction of equity, and forecasts stay as they were.
    ``view``: the market that the book was traded on.
    """
    dates = book.daily["date"].to_numpy().astype("datetime64[D]")
    shape = delistings.last.shape[:2]
    fixed, per_unit = (np.zeros((shape[0] * shape[1], len(dates))) for _ in range(2))  # of the recovery
    weight, pnl = (_matrix(book.positions, name, dates, view.tickers) for name in ("weight", "pnl"))
    earned = pnl - _matrix(book.trades, "cost", dates, view.tickers)
    worth = weight * _close_over_price(view)[np.searchsorted(view.dates, dates)]
    for column, ticker in enumerate(view.tickers):
        if ticker not in delistings.tickers:
            continue
        last = delistings.of(ticker)
        after = np.searchsorted(dates, last, side="right")  # of NaT, which sorts last: none
        for k in np.flatnonzero(after < len(dates)):
            fixed[k, after[k] :] -= earned[after[k] :, column]
        at = np.searchsorted(dates, last)
        hit = np.flatnonzero(after > at)
        fixed[hit, at[hit]] -= weight[at[hit], column] + pnl[at[hit], column]
        per_unit[hit, at[hit]] += worth[at[hit], column]
    recovered = np.array(delistings.recoveries)[:, None]  # (C, 1)
    net = book.daily["net_return"].to_numpy() + fixed[:, None, :] + recovered * per_unit[:, None, :]
    return net.reshape(*shape, len(recovered), len(dates))


def delisted_sharpes(stretches: Sequence[tuple[pl.Series, Floats]]) -> Floats:
    """Return the annual Sharpe ratios (R, P, C) over stretches of dates (T,) with net returns (R, P, C, T)."""
    dates = pl.concat([days for days, _ in stretches]).to_numpy()
    joined = np.concatenate([returns for _, returns in stretches], axis=-1)
    table = joined.reshape(-1, joined.shape[-1]).T
    return sharpes(table, sessions_per_year(dates)).reshape(joined.shape[:-1])


def _close_over_price(view: Market) -> Floats:
    """Return what one unit bought on a row is worth at that session's close, (T, N).

    Where the book is in a base currency, the exchange rate moves as it does over the whole row.
    """
    moved = np.ones_like(view.price)
    if not (view.rate == 1.0).all():
        moved[:-1] = view.growth[:-1] * view.price[:-1] / view.price[1:]
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(view.close / view.price * moved)  # no price yet: nothing is held


def _matrix(table: pl.DataFrame, column: str, dates: NDArray[np.datetime64], tickers: Sequence[str]) -> Floats:
    """Return one column of rows of date and ticker as a matrix (T, N), 0 where there is none."""
    made = np.zeros((len(dates), len(tickers)))
    row = np.searchsorted(dates, table["date"].to_numpy().astype("datetime64[D]"))
    made[row, table["ticker"].cast(pl.Enum(tickers)).to_physical().to_numpy()] = table[column].to_numpy()
    return made
