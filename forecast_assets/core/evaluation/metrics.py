"""The two score tables of the report: one row per model, horizon and year; one per strategy and year.

``year`` is null in the rows over all years. A figure that the data leave undefined is null.
"""

import polars as pl

from forecast_assets.core.evaluation.chain import beta_hedge
from forecast_assets.core.evaluation.significance import Interval, sharpe_interval
from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import crps_from_quantiles, pinball
from forecast_assets.core.scores.rank import rank_ic
from forecast_assets.core.scores.trading import (
    annual_return,
    annual_volatility,
    break_even_cost_bps,
    hit_ratio,
    max_drawdown,
    sessions_per_year,
    sharpe,
)


def forecast_losses(table: pl.DataFrame) -> pl.DataFrame:
    """Per matured test forecast: model, horizon, date, ticker, year, and its losses.

    Columns added: pinball (mean over levels), crps, inside_95, inside_90 (between the .025-.975 and .05-.95 quantiles),
    squared_error (of the mean), absolute_error (of the median). Log-return units.
    """
    matured = table.filter((pl.col("split") == "test") & pl.col("y").is_not_null())
    y, quantiles = matured["y"].to_numpy(), matured.select(QUANTILE_COLUMNS).to_numpy()
    return matured.select(
        "model",
        "horizon",
        "date",
        "ticker",
        pl.col("date").dt.year().alias("year"),
        "mean",
        "y",
        pinball=pl.Series(pinball(y, quantiles, levels=QUANTILES).mean(axis=-1), dtype=pl.Float64),
        crps=pl.Series(crps_from_quantiles(y, quantiles, levels=QUANTILES), dtype=pl.Float64),
        inside_95=pl.col("y").is_between("q025", "q975"),
        inside_90=pl.col("y").is_between("q05", "q95"),
        squared_error=(pl.col("y") - pl.col("mean")) ** 2,
        absolute_error=(pl.col("y") - pl.col("q50")).abs(),
    )


def forecast_metrics(table: pl.DataFrame, *, baseline: str) -> pl.DataFrame:
    """Scores of the matured test forecasts, per model x horizon x year and over all years.

    ``table``: forecast tables of several models, among them ``baseline``. Columns: model, horizon, year, n, days,
    pinball, pinball_ratio (to the baseline on the decisions both made), coverage_95, coverage_90, crps, rmse, mae,
    rank_ic (mean over days of the cross-sectional Spearman correlation of mean and y). Raises ValueError without the
    baseline.
    """
    return metrics_of_losses(forecast_losses(table), baseline=baseline)


def metrics_of_losses(losses: pl.DataFrame, *, baseline: str) -> pl.DataFrame:
    """``forecast_metrics`` for who has the losses (from ``forecast_losses``) at hand already."""
    reference = losses.filter(pl.col("model") == baseline).select("date", "ticker", "horizon", reference="pinball")
    if reference.is_empty():
        raise ValueError(
            f"forecast_metrics: no matured test forecast of the baseline '{baseline}'; "
            f"have {sorted(losses['model'].unique())}"
        )
    losses = losses.join(reference, on=["date", "ticker", "horizon"], how="left", maintain_order="left")
    correlation = _daily_rank_ic(losses)
    shared = pl.col("reference").is_not_null()
    scores = {
        "n": pl.len(),
        "days": pl.col("date").n_unique(),
        "pinball": pl.col("pinball").mean(),
        "pinball_ratio": pl.col("pinball").filter(shared).sum() / pl.col("reference").sum(),
        "coverage_95": pl.col("inside_95").mean(),
        "coverage_90": pl.col("inside_90").mean(),
        "crps": pl.col("crps").mean(),
        "rmse": pl.col("squared_error").mean().sqrt(),
        "mae": pl.col("absolute_error").mean(),
    }
    parts = []
    for keys in (["model", "horizon", "year"], ["model", "horizon"]):
        part = losses.group_by(keys).agg(**scores)
        ic = correlation.group_by(keys).agg(pl.col("rank_ic").mean())
        parts.append(part.join(ic, on=keys, how="left"))
    columns = ["model", "horizon", "year", *scores, "rank_ic"]
    merged = pl.concat(parts, how="diagonal").select(columns)
    return merged.with_columns(pl.col(pl.Float64).fill_nan(None)).sort("model", "horizon", "year", nulls_last=True)


def daily_loss_difference(table: pl.DataFrame, *, model: str, rival: str) -> pl.DataFrame:
    """date, horizon, difference: per day the mean pinball loss of ``model`` less ``rival``'s on the decisions both
    made.
    """
    losses = forecast_losses(table.filter(pl.col("model").is_in([model, rival])))
    mine, theirs = (losses.filter(pl.col("model") == name) for name in (model, rival))
    both = mine.join(theirs.select("date", "ticker", "horizon", rival="pinball"), on=["date", "ticker", "horizon"])
    daily = both.group_by("horizon", "date").agg(difference=(pl.col("pinball") - pl.col("rival")).mean())
    return daily.select("date", "horizon", "difference").sort("horizon", "date")


def strategy_metrics(
    daily: pl.DataFrame, *, market: pl.DataFrame | None, cost_bps: float, samples: int, seed: int
) -> pl.DataFrame:
    """Scores of chained daily tables, per strategy x year and over all years.

    ``market``: daily table of the equal-weight book, for the past-only beta hedge (None: hedged_sharpe is null).
    ``cost_bps`` is what changing the hedge costs. Columns: strategy, year, sessions, annual_return (net, compound),
    annual_volatility, sharpe (net) with its bootstrap interval sharpe_low, sharpe_high, gross_sharpe, hedged_sharpe,
    max_drawdown, hit_ratio, turnover, gross_exposure, net_exposure (daily means), break_even_cost_bps.
    """
    rows = []
    for (strategy,), series in daily.sort("strategy", "date").group_by("strategy", maintain_order=True):
        per_year = sessions_per_year(series["date"].to_numpy())
        hedged = None if market is None else beta_hedge(series, market, cost_bps=cost_bps)["net_return"]
        series = series.with_columns(hedged=pl.lit(None, dtype=pl.Float64) if hedged is None else hedged)
        years = [(int(key[0]), part) for key, part in series.group_by("year", maintain_order=True)]
        for year, part in [*years, (None, series)]:
            rows.append(
                {"strategy": strategy, "year": year, **_scores(part, per_year=per_year, samples=samples, seed=seed)}
            )
    table = pl.DataFrame(rows, schema_overrides={"year": pl.Int32}, infer_schema_length=None)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _scores(part: pl.DataFrame, *, per_year: float, samples: int, seed: int) -> dict[str, float]:
    net, gross, turnover = (part[name].to_numpy() for name in ("net_return", "gross_return", "turnover"))
    interval: Interval = sharpe_interval(net, sessions_per_year=per_year, samples=samples, seed=seed)
    known = part["hedged"].null_count() == 0
    hedged = sharpe(part["hedged"].to_numpy(), sessions_per_year=per_year) if known else float("nan")
    return {
        "sessions": len(part),
        "annual_return": annual_return(net, sessions_per_year=per_year),
        "annual_volatility": annual_volatility(net, sessions_per_year=per_year),
        "sharpe": interval.estimate,
        "sharpe_low": interval.low,
        "sharpe_high": interval.high,
        "gross_sharpe": sharpe(gross, sessions_per_year=per_year),
        "hedged_sharpe": hedged,
        "max_drawdown": max_drawdown(net),
        "hit_ratio": hit_ratio(net),
        "turnover": float(turnover.mean()),
        "gross_exposure": float(part["gross_exposure"].to_numpy().mean()),
        "net_exposure": float(part["net_exposure"].to_numpy().mean()),
        "break_even_cost_bps": break_even_cost_bps(gross, turnover),
    }


def _daily_rank_ic(losses: pl.DataFrame) -> pl.DataFrame:
    """model, horizon, year, date, rank_ic: one row per day."""
    keys = ["model", "horizon", "year", "date"]
    days = losses.select(keys).unique().sort(keys).with_row_index("day")
    day = losses.join(days, on=keys, how="left", maintain_order="left")["day"].to_numpy()
    values = rank_ic(losses["mean"].to_numpy(), losses["y"].to_numpy(), day=day)
    return days.with_columns(rank_ic=pl.Series(values, dtype=pl.Float64).fill_nan(None)) if len(days) else days
