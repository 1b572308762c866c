"""Trading costs: one rate for all tickers, or rates by region and by ticker; every cost is charged here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import polars as pl

from forecast_assets.core.errors import BadSetting
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import CostBps

Traded = TypeVar("Traded", Floats, pl.Expr)

BASIS_POINT = 1e-4


@dataclass(frozen=True)
class Costs:
    """Cost of a trade per ticker, in basis points of the traded value, each side."""

    default_bps: float
    ticker_bps: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, cost_bps: CostBps, calendar_panel: pl.DataFrame | pl.LazyFrame) -> "Costs":
        """Return the setting for a panel's tickers: a ticker's own rate, else its latest region's, else the default.

        >>> panel = pl.DataFrame({"ticker": ["AAPL", "BMW.DE", "SAP.DE"], "region": ["Americas", "Europe", "Europe"]})
        >>> Costs.of({"default": 5, "Europe": 8, "BMW.DE": 3}, panel).bps(["AAPL", "BMW.DE", "SAP.DE"])
        array([5., 3., 8.])
        """
        if not isinstance(cost_bps, Mapping):
            return cls(cost_bps)
        default = cost_bps["default"]
        by_region = {ticker: cost_bps.get(region, default) for ticker, region in _regions(calendar_panel).items()}
        return cls(default, {ticker: cost_bps.get(ticker, bps) for ticker, bps in by_region.items()})

    def bps(self, tickers: Iterable[str]) -> Floats:
        """Return the rate of each ticker (N,) in basis points."""
        return np.array([self.ticker_bps.get(ticker, self.default_bps) for ticker in tickers], dtype=np.float64)

    def rates(self, tickers: Iterable[str]) -> Floats:
        """Return the rate of each ticker (N,) as a fraction of the traded value."""
        return self.bps(tickers) * BASIS_POINT


def session_cost(rates: Floats, change: Floats) -> float:
    """Return the cost of one session's traded weights (N,): with one rate for all, rounded like a plain product."""
    return float(sum(rate * np.abs(change[rates == rate]).sum() for rate in np.unique(rates)))


def charge(turnover: Traded, bps: Traded | float) -> Traded:
    """Return the cost of ``turnover`` (sums of |weight changes|) at ``bps`` a side."""
    return turnover * bps * BASIS_POINT


def average_bps(cost_bps: CostBps, book: pl.DataFrame) -> float:
    """Return the one rate there is, or what the trades of a daily table (turnover, cost) paid on average."""
    if not isinstance(cost_bps, Mapping):
        return cost_bps
    turnover, cost = (float(book[name].sum()) for name in ("turnover", "cost"))
    return cost / turnover / BASIS_POINT if turnover > 0 else cost_bps["default"]


def require_known(cost_bps: CostBps, calendar_panel: pl.DataFrame | pl.LazyFrame) -> None:
    """Raise BadSetting for a rate of what is neither a region nor a ticker of the panel."""
    if not isinstance(cost_bps, Mapping):
        return
    regions = _regions(calendar_panel)
    known = {"default", *regions.values(), *regions}
    for name in cost_bps.keys() - known:
        near = nearest_names(name, known)
        raise BadSetting(
            f"backtest.cost_bps: {name!r} is neither a region ({', '.join(sorted(set(regions.values())))}) nor a ticker "
            f"of the panel{'; the nearest is ' + near[0] if near else ''}."
        )


def cost_in_words(cost_bps: CostBps) -> str:
    """Return "5 bp", or "5 bp (Europe 8 bp, BMW.DE 3 bp)"."""
    if not isinstance(cost_bps, Mapping):
        return f"{cost_bps:g} bp"
    others = ", ".join(f"{name} {bps:g} bp" for name, bps in cost_bps.items() if name != "default")
    return f"{cost_bps['default']:g} bp" + (f" ({others})" if others else "")


def _regions(calendar_panel: pl.DataFrame | pl.LazyFrame) -> dict[str, str]:
    """Region of each ticker, the latest where it has moved."""
    last = calendar_panel.lazy().group_by("ticker").agg(pl.col("region").drop_nulls().last().fill_null(""))
    return dict(last.sort("ticker").collect().iter_rows())
