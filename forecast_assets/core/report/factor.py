"""The factor view: how the medians of models rank tickers by what they return, by horizon, sector and exchange."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.factor import (
    QUANTILE_COUNT,
    FactorStatistics,
    factor_statistics,
    forecast_factor,
    statistics_by_group,
)
from forecast_assets.core.report.figure_style import MUTED, PALETTE, SMALL, canvas
from forecast_assets.core.report.formats import session_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = ("sector", "exchange")
FEWEST_TICKERS = QUANTILE_COUNT  # of a group that is shown: one per quantile
TWO_SIDED = 1.96


def factor_view(
    model: str, table: pl.DataFrame, others: Iterable[tuple[str, pl.DataFrame]], *, groups: pl.DataFrame, horizon: int
) -> dict[str, Any]:
    """Return the statistics of the median over ``horizon`` sessions of a model, of its groups and of other models.

    Tables: date, ticker, horizon, q50, y of each model's test forecasts; one without that horizon is left out. ``groups``:
    date, ticker and ``GROUPS``. Quantiles of a group are cut within it; one of few tickers is left out.
    """
    rows, horizons = forecast_factor(table, horizon=horizon)
    grouped = rows.join(groups, on=["date", "ticker"], how="left")
    whole = factor_statistics(rows, horizons=horizons)
    lines = [
        _line(name, found, horizon, heading=group)
        for group in GROUPS
        for name, found in statistics_by_group(grouped, group=group, horizons=horizons).items()
        if found.tickers >= FEWEST_TICKERS
    ]
    beside = []
    for name, other in others:
        if horizon in other["horizon"]:
            found, of = forecast_factor(other, horizon=horizon)
            beside.append(_line(name, factor_statistics(found, horizons=of), horizon))
    return {
        "model": model,
        "horizon": horizon,
        "tickers": whole.tickers,
        "dates": whole.dates,
        "dates_with_quantiles": whole.dates_with_quantiles,
        "horizons": [vars(each) | {"quantile_returns": list(each.quantile_returns)} for each in whole.horizons],
        "bottom_turnover": whole.bottom_turnover,
        "top_turnover": whole.top_turnover,
        "rank_autocorrelation": whole.rank_autocorrelation,
        "groups": lines,
        "models": beside,
    }


def _line(name: str, found: FactorStatistics, horizon: int, *, heading: str = "") -> dict[str, Any]:
    """Return a line of a table: the rank IC of every horizon, and the rest of the factor's own."""
    own = next(each for each in found.horizons if each.horizon == horizon)
    return {
        "heading": heading,
        "name": name,
        "tickers": found.tickers,
        "rank_ic": {str(each.horizon): each.rank_ic for each in found.horizons},
        "rank_ic_t": own.rank_ic_t,
        "spread": own.spread,
        "spread_t": own.spread_t,
        "bottom_turnover": found.bottom_turnover,
        "top_turnover": found.top_turnover,
    }


def factor_figures(view: Mapping[str, Any]) -> "dict[str, Figure]":
    """Return the figures of ``factor_view``: rank IC by horizon, and the return of each quantile."""
    horizons = view["horizons"]
    figures = {"factor:rank_ic": rank_ic_by_horizon(horizons)}
    if any(value is not None for each in horizons for value in each["quantile_returns"]):
        figures["factor:quantiles"] = returns_by_quantile(horizons)
    return figures


def rank_ic_by_horizon(horizons: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw the mean daily rank IC over each horizon with its 95 % interval."""
    figure, (plot,) = canvas("Rank IC by horizon, with 95 % interval", height=2.8, panels=1)
    for place, each in enumerate(horizons):
        mean, t = each["rank_ic"], each["rank_ic_t"]
        if mean is None:
            continue
        reach = TWO_SIDED * abs(mean / t) if t else 0.0
        plot.errorbar(place, mean, yerr=reach, fmt="o", color=PALETTE[0], markersize=6, linewidth=1.6, capsize=4)
    plot.axhline(0.0, color=MUTED, linewidth=0.8)
    plot.set_xticks(range(len(horizons)), [session_count(each["horizon"]) for each in horizons], fontsize=SMALL)
    plot.set_xlim(-0.5, len(horizons) - 0.5)
    return figure


def returns_by_quantile(horizons: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw the mean return of each quantile over each horizon, a panel per horizon with a scale of its own."""
    figure, plots = canvas(
        "Return by quantile of the median, basis points", height=2.8, panels=len(horizons), shared_scale=False
    )
    for plot, each in zip(plots, horizons, strict=True):
        returns = [np.nan if value is None else 1e4 * value for value in each["quantile_returns"]]
        places = range(1, len(returns) + 1)
        plot.bar(places, returns, color=[PALETTE[1] if value < 0 else PALETTE[0] for value in returns], width=0.7)
        plot.axhline(0.0, color=MUTED, linewidth=0.8)
        plot.set_xticks(places, [f"Q{place}" for place in places], fontsize=SMALL)
        plot.set_title(session_count(each["horizon"]), fontsize=SMALL, color=MUTED)
    return figure
