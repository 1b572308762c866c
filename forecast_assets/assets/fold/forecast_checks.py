"""Asset checks of forecasts and of the book for the next open."""

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.specs import BacktestSpec

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.windows.tensors import PanelTensors

SOUND = CheckSpec("quantiles_finite_and_ordered", "Every quantile is finite, and none lies below a lower one.")
COMPLETE = CheckSpec("every_origin_forecast", "Every forecast origin of the fold has one forecast at every horizon.")
LIVE = CheckSpec(
    "every_live_ticker_forecast",
    "Every ticker that is quoted, a member, and had a complete window before is forecast, at every horizon.",
    blocking=False,
)
CAPS = CheckSpec(
    "book_within_caps",
    "No weight, and no sum of weights, exceeds its cap by more than prices move what is carried over.",
    blocking=False,
)
RECONCILES = CheckSpec(
    "trades_reconcile", "Every trade leads from the weight now to the target, and costs what the settings say."
)

CARRIED = 0.25  # share of a cap: a smoothed book carries weights that prices have moved, and caps bind its targets
TOLERANCE = 1e-9  # fraction of equity
NAMED = 5  # tickers that a sentence names


def sound_quantiles(table: pl.DataFrame) -> dict[str, Check]:
    """Return the check ``SOUND`` of a forecast table."""
    quantiles = table.select(QUANTILE_COLUMNS).to_numpy()
    not_finite = int((~np.isfinite(quantiles)).any(axis=1).sum())
    crossing = int((quantiles[:, 1:] < quantiles[:, :-1]).any(axis=1).sum())
    sentence = f"of {table.height} forecasts {not_finite} with non-finite and {crossing} with crossing quantiles"
    counts = {"forecasts": table.height, "not_finite": not_finite, "crossing": crossing}
    return {SOUND.name: Check(table.height > 0 and not not_finite and not crossing, sentence, counts)}


def complete_forecasts(table: pl.DataFrame, *, origins: int) -> dict[str, Check]:
    """Return the check ``COMPLETE`` of a fold's forecast table."""
    found = table.select("date", "ticker", "horizon").n_unique()
    expected = origins * len(HORIZONS)
    sentence = f"{table.height} forecasts, {found} of them different, for {origins} origins at {len(HORIZONS)} horizons"
    return {COMPLETE.name: Check(table.height == found == expected, sentence)}


def live_tickers_forecast(
    table: pl.DataFrame, panel: "PanelTensors", *, since: dt.date, until: dt.date, lookback: int
) -> dict[str, Check]:
    """Return the check ``LIVE`` of a night; quoted is what has a quote after ``since`` and up to ``until``.

    A ticker without a complete window yet is too new, and named apart.
    """
    from forecast_assets.core.windows.days import to_day

    def tickers(rows: "Tensor") -> set[str]:
        return {panel.tickers[code] for code in panel.ticker[rows].unique().tolist()}

    first, last = to_day(since), to_day(until)
    quoted = tickers(panel.observed & panel.member & (panel.date > first) & (panel.date <= last))
    ready = tickers((panel.run_length >= lookback) & (panel.date <= last))
    horizons = dict(table.group_by("ticker").agg(pl.col("horizon").n_unique()).iter_rows())
    forecast = {ticker for ticker, count in horizons.items() if count == len(HORIZONS)}
    lacking, new = sorted((quoted & ready) - forecast), sorted(quoted - ready - forecast)
    sentence = f"{len(quoted & forecast)} of {len(quoted)} quoted members are forecast"
    for names, why in ((lacking, "not forecast"), (new, "too new")):
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            sentence += f"; {why}: {', '.join(names[:NAMED])}{more}"
    counts = {"quoted": len(quoted), "lacking": len(lacking), "too_new": len(new)}
    return {LIVE.name: Check(not lacking, sentence, counts, warns=True)}


def book_within_caps(book: pl.DataFrame, *, spec: BacktestSpec) -> dict[str, Check]:
    """Return the check ``CAPS`` of target positions."""
    weights = book["weight_target"].abs()
    largest, gross = float(weights.max() or 0.0), float(weights.sum())  # type: ignore[arg-type]
    within = largest <= spec.name_cap * (1 + CARRIED) and gross <= spec.gross_cap * (1 + CARRIED)
    sentence = (
        f"largest weight {largest:.2%} of equity, cap {spec.name_cap:.2%}; "
        f"sum of weights {gross:.2f}, cap {spec.gross_cap:.2f}"
    )
    return {CAPS.name: Check(within, sentence, {"largest_weight": largest, "gross": gross}, warns=True)}


def trades_reconcile(book: pl.DataFrame, costs: "Costs") -> dict[str, Check]:
    """Return the check ``RECONCILES`` of target positions."""
    now, target, trade, cost = (
        book[name].to_numpy() for name in ("weight_now", "weight_target", "trade", "expected_cost")
    )
    moved = np.abs(now + trade - target)
    charged = np.abs(cost - np.abs(trade) * costs.rates(book["ticker"]))
    off = float(np.max(np.concatenate([moved, charged]), initial=0.0))  # NaN stays NaN, and fails
    sentence = f"{book.height} tickers, at most {off:.1e} of equity off"
    return {RECONCILES.name: Check(off <= TOLERANCE, sentence, {"max_abs_diff": off} if np.isfinite(off) else {})}
