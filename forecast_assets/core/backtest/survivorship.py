"""What delistings would have done to a book: the tickers that go take their return and leave cash."""

from collections.abc import Sequence

import numpy as np
import polars as pl

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
    end = _close_over_price(view)
    key = ["date", "ticker"]
    held = book.positions.select(*key, "weight", "pnl").join(
        book.trades.select(*key, "cost"), key, "full", coalesce=True
    )
    rows = held.with_columns(pl.col("weight", "pnl", "cost").fill_null(0.0)).sort("ticker", "date")
    for (ticker,), own in rows.group_by("ticker", maintain_order=True):
        if ticker not in delistings.tickers:
            continue
        day = own["date"].to_numpy().astype("datetime64[D]")
        row = np.searchsorted(dates, day)
        weight, pnl, cost = (own[name].to_numpy() for name in ("weight", "pnl", "cost"))
        worth = weight * end[np.searchsorted(view.dates, day), view.tickers.index(str(ticker))]
        last = delistings.of(str(ticker))
        following = np.searchsorted(day, last, side="right")  # of NaT, which sorts last: none
        for k in np.flatnonzero(following < len(day)):
            after = following[k]
            fixed[k, row[after:]] -= pnl[after:] - cost[after:]
        for k in np.flatnonzero((following > 0) & (day[following - 1] == last)):
            at = following[k] - 1
            fixed[k, row[at]] -= weight[at] + pnl[at]
            per_unit[k, row[at]] += worth[at]
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
    """Return what one unit bought on a row is worth at that session's close, (T, N); NaN where there is no price.

    Where the book is in a base currency, the exchange rate moves as it does over the whole row.
    """
    moved = np.ones_like(view.price)
    if not (view.rate == 1.0).all():
        moved[:-1] = view.growth[:-1] * view.price[:-1] / view.price[1:]
    return view.close / view.price * moved
