"""The figures of the two reports, by section."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl

from forecast_assets.core.backtest.risk_scores import ROLLING_SESSIONS
from forecast_assets.core.backtest.strategies import (
    EQUAL_RISK,
    EQUAL_WEIGHT,
    MODEL,
    MOMENTUM,
    VOLATILITY_SORT,
    risk_strategies,
)
from forecast_assets.core.errors import BadInput
from forecast_assets.core.models.catalogue import MLP_BASELINE
from forecast_assets.core.report import figures as draw
from forecast_assets.core.report.coverage import coverage_figures
from forecast_assets.core.report.factor import factor_figures
from forecast_assets.core.report.portfolio_risk import portfolio_risk_figure
from forecast_assets.core.report.survivorship import survivorship_figures
from forecast_assets.core.report.titles import title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FANS = 24  # charts that a report holds: some 10 kB each
PREFERRED_TICKER = "BMW.DE"
DRAWN = (MLP_BASELINE, f"{EQUAL_RISK}_{MODEL}", VOLATILITY_SORT, MOMENTUM, EQUAL_WEIGHT)
"""Strategies that are drawn beside the report's subject; the others stand in its tables."""

ROLLING_YEAR = 252  # sessions of a rolling Sharpe ratio


def backtest_figures(
    *,
    forecasts: pl.DataFrame,
    daily: pl.DataFrame,
    prices: pl.DataFrame,
    curves: pl.DataFrame | None,
    risked: pl.DataFrame,
    summary: dict[str, Any],
) -> "dict[str, Figure]":
    """Return the report's figures under the names that ``render_backtest_report`` places them by.

    ``forecasts`` and ``daily`` as for ``summarise``, whose result ``summary`` is; ``prices``: date, ticker, close of
    the calendar panel; ``curves``: training curves (fit, epoch, train_loss, validation_pinball) or None; ``risked``: from
    ``portfolio_risk.book_outcomes``, may be empty.
    """
    model = summary["model"]
    have = {row["strategy"] for row in summary["strategies"]}
    strategies = [name for name in (model, *DRAWN) if name in have]
    total = pl.DataFrame(summary["forecasts"], infer_schema_length=None).rename(
        {"pinball_ratio": "ratio", "pinball_ratio_low": "low", "pinball_ratio_high": "high"}
    )
    models = [name for name in total["model"].unique(maintain_order=True) if name != summary["baseline"]]
    yearly = pl.DataFrame(summary["forecasts_by_year"], infer_schema_length=None)
    figures = {
        "equity": draw.equity_curves(daily, strategies=strategies),
        "drawdown": draw.drawdown_curves(daily, strategies=strategies),
        "yearly": draw.yearly_returns(daily, strategies=strategies),
        "coverage": draw.coverage_by_year(yearly, model=model),
        "pit": draw.pit_histograms(forecasts, model=model),
    }
    if books := [name for name in (*risk_strategies(), EQUAL_WEIGHT) if name in have]:
        figures["risk"] = draw.rolling_volatility(
            daily, strategies=books, target=summary["target_volatility"], sessions=ROLLING_SESSIONS
        )
    if daily["date"].n_unique() > ROLLING_YEAR:
        figures["rolling"] = draw.rolling_sharpe(daily, strategies=strategies, sessions=ROLLING_YEAR)
    if models:
        figures["pinball"] = draw.pinball_ratios(total, models=models, baseline=summary["baseline"])
    quoted = forecasts.join(prices.select("date", "ticker"), on=["date", "ticker"], how="semi")
    for place, (ticker, date) in enumerate(fan_subjects(quoted, model=model)):
        section = "fans" if place else "fan"
        figures[f"{section}:{ticker}"] = draw.fan_chart(prices, forecasts, ticker=ticker, date=date, model=model)
    if risked.height:
        figures["losses"] = portfolio_risk_figure(risked, model=model)
    if summary.get("factor"):
        figures |= factor_figures(summary["factor"])
    figures |= coverage_figures(summary["coverage_cells"], model=model)
    if summary.get("survivorship"):
        figures |= survivorship_figures(summary["survivorship"])
    for entry in (summary.get("importance") or {"networks": []})["networks"]:
        weights = {variable["name"]: variable["weights"] for variable in entry["variables"]}
        figures[f"importance:{entry['model']}"] = draw.weights_by_year(
            weights, years=entry["years"], model=entry["model"]
        )
    if curves is not None and curves.height:
        figures["training"] = draw.training_curves(curves)
    return figures


def ablation_figures(summary: dict[str, Any]) -> "dict[str, Figure]":
    """Return the figures of ``ablation.ablation``'s summary, under the names of ``render_ablation_report``."""
    figures = {}
    if summary["verdicts"]:
        figures["steps"] = draw.step_ratios(summary["verdicts"])
    if len(summary["models"]) > 1:
        figures["matrix"] = draw.ratio_matrix(summary["against_each_other"], models=summary["models"])
    if summary["scores_by_year"]:
        yearly = pl.DataFrame(summary["scores_by_year"], infer_schema_length=None)
        figures["yearly"] = draw.ratios_by_year(yearly, models=summary["models"], baseline=summary["baseline"])
    return figures


def fan_subjects(forecasts: pl.DataFrame, *, model: str, most: int = FANS) -> list[tuple[str, dt.date]]:
    """Return ticker and day of each fan chart, at most ``most``, chosen whatever the outcome.

    First BMW.DE, else the ticker with the most matured forecasts (ties: alphabetical), then others, evenly spaced in the
    alphabet. The day is that of the last forecast whose every horizon has matured. Raises BadInput where there is none.
    """
    matured = (
        forecasts.filter((pl.col("model") == model) & (pl.col("split") == "test"))
        .group_by("ticker", "date")
        .agg(complete=pl.col("y").is_not_null().all())
        .filter("complete")
    )
    if not matured.height:
        raise BadInput(f"fan chart: no forecast of {title(model)} has matured; forecast an earlier year")
    subjects = matured.group_by("ticker").agg(decisions=pl.len(), last=pl.col("date").max())
    first = subjects.sort(pl.col("ticker") != PREFERRED_TICKER, -pl.col("decisions").cast(pl.Int64), "ticker").head(1)
    others = subjects.join(first, on="ticker", how="anti").sort("ticker")
    shown = min(most - 1, others.height)
    spaced = others[[k * others.height // shown for k in range(shown)]]
    return pl.concat([first, spaced]).select("ticker", "last").rows()
