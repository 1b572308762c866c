"""How well a book sized by forecast risk is held at its target volatility, with intervals, beside equal weight."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.significance import bootstrap_intervals
from forecast_assets.core.scores import trading
from forecast_assets.core.scores.trading import TARGET_VOLATILITY, Floats
from forecast_assets.core.specs import ResamplingSpec

ROLLING_SESSIONS = 63
SCORES = ("annual_volatility", "target_gap", "max_drawdown", "sharpe", "net_annual_mean", "cost_annual_mean")


def risk_scores(daily: pl.DataFrame, strategies: Sequence[str], *, spec: ResamplingSpec) -> list[dict[str, Any]]:
    """Return strategy and each of ``SCORES`` with its 95 % interval (``..._low``, ``..._high``), in the given order.

    ``daily``: joined daily table. ``target_gap``: mean distance of the volatility over ``ROLLING_SESSIONS`` from
    ``TARGET_VOLATILITY``, as a fraction of it. Returns and costs are arithmetic annual means. Sessions are resampled in
    blocks, net return and cost together. A strategy that is not in the table is left out.
    """
    rows = []
    for strategy in strategies:
        book = daily.filter(pl.col("strategy") == strategy).sort("date")
        if book.is_empty():
            continue
        per_year = trading.sessions_per_year(book["date"].to_numpy())

        def scores(table: Floats, per_year: float = per_year) -> Floats:
            return _scores(table[:, 0], table[:, 1], per_year=per_year)

        series = book.select("net_return", "cost").to_numpy()
        found = bootstrap_intervals(series, scores, samples=spec.bootstrap_samples, seed=spec.seed)
        row: dict[str, Any] = {"strategy": strategy}
        for name, (estimate, low, high) in zip(SCORES, found, strict=True):
            row |= {name: estimate, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows


def _scores(net: Floats, cost: Floats, *, per_year: float) -> Floats:
    return np.array(
        [
            trading.annual_volatility(net, sessions_per_year=per_year),
            _target_gap(net, per_year=per_year),
            trading.max_drawdown(net),
            trading.sharpe(net, sessions_per_year=per_year),
            trading.annual_mean(net, sessions_per_year=per_year),
            trading.annual_mean(cost, sessions_per_year=per_year),
        ]
    )


def _target_gap(net: Floats, *, per_year: float) -> float:
    if len(net) < ROLLING_SESSIONS:
        return float("nan")
    total = np.cumsum(np.concatenate([np.zeros((1, 2)), np.stack([net, net**2], axis=1)]), axis=0)
    mean, square = ((total[ROLLING_SESSIONS:] - total[:-ROLLING_SESSIONS]) / ROLLING_SESSIONS).T
    volatility = np.sqrt(np.maximum(square - mean**2, 0.0) * ROLLING_SESSIONS / (ROLLING_SESSIONS - 1) * per_year)
    return float(np.abs(volatility / TARGET_VOLATILITY - 1.0).mean())
