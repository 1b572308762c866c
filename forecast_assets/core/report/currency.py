"""The report's section on currency: what the books count in, and what exchange rates did to them."""

from typing import Any

import polars as pl

from forecast_assets.core.backtest.currency import Conversion, currency_exposures
from forecast_assets.core.scores import trading


def currency_section(
    conversion: Conversion, *, daily: pl.DataFrame, local: pl.DataFrame, positions: pl.DataFrame, model: str
) -> dict[str, Any]:
    """Return base, strategies (each in the base currency and in its tickers' own) and exposures of ``model`` by currency.

    ``daily``: joined daily tables in the base currency; ``local``: of some strategies with each return in its own; both
    with date, strategy, net_return; ``positions``: of ``model`` in the base currency. Undefined numbers are NaN.
    """
    strategies = []
    for name in local["strategy"].unique(maintain_order=True):
        rows = [table.filter(pl.col("strategy") == name).sort("date") for table in (daily, local)]
        converted, own = (_scores(table) for table in rows)
        strategies.append({"strategy": name, **converted, **{f"{key}_local": value for key, value in own.items()}})
    sessions = daily.filter(pl.col("strategy") == model).height
    own_positions = positions.filter(pl.col("strategy") == model)
    return {
        "base": conversion.base,
        "strategies": strategies,
        "exposures": currency_exposures(own_positions, sessions, conversion.currency).to_dicts(),
    }


def _scores(book: pl.DataFrame) -> dict[str, float]:
    net = book["net_return"].to_numpy()
    per_year = trading.sessions_per_year(book["date"].to_numpy())
    return {
        "annual_return": trading.annual_return(net, sessions_per_year=per_year),
        "annual_volatility": trading.annual_volatility(net, sessions_per_year=per_year),
        "sharpe": trading.sharpe(net, sessions_per_year=per_year),
    }
