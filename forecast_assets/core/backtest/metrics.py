"""The score table of strategies: one row per strategy and year; undefined figures are null."""

from typing import Any

import polars as pl

from forecast_assets.core.backtest.comparison import beta_hedge
from forecast_assets.core.evaluation.significance import sharpe_interval
from forecast_assets.core.scores import trading
from forecast_assets.core.specs import BacktestSpec


def strategy_metrics(daily: pl.DataFrame, *, market: pl.DataFrame | None, spec: BacktestSpec) -> pl.DataFrame:
    """Return the scores of joined daily tables, per strategy x year and over all years (``year`` null).

    ``market``: daily table of the equal-weight book, for the past-only beta hedge (None: hedged_sharpe is null), whose
    changes pay ``spec.cost_bps``. ``hedged_sharpe`` is measured from ``hedged_from`` on, the first session that the hedge
    covers. Columns: strategy, year, sessions, annual_return (net, compound),
    annual_volatility, sharpe (net) with its bootstrap interval sharpe_low, sharpe_high, gross_sharpe, hedged_sharpe,
    hedged_from, max_drawdown, hit_ratio, turnover, gross_exposure, net_exposure (daily means), break_even_cost_bps, beta
    (of the net returns to the equal-weight book's gross ones, within the rows).
    """
    rows = []
    for (strategy,), series in daily.sort("strategy", "date").group_by("strategy", maintain_order=True):
        per_year = trading.sessions_per_year(series["date"].to_numpy())
        series = _beside(series, market)
        if market is None:
            series = series.with_columns(hedged=pl.lit(None, dtype=pl.Float64))
        else:
            hedged = beta_hedge(series, market, cost_bps=spec.cost_bps).select("date", hedged="net_return")
            series = series.join(hedged, on="date", how="left", maintain_order="left")
        years = [(int(key[0]), part) for key, part in series.group_by("year", maintain_order=True)]
        for year, part in [*years, (None, series)]:
            scores = _scores(part, per_year=per_year, spec=spec)
            rows.append({"strategy": strategy, "year": year, **scores})
    table = pl.DataFrame(rows, schema_overrides={"year": pl.Int32, "hedged_from": pl.Date}, infer_schema_length=None)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _scores(part: pl.DataFrame, *, per_year: float, spec: BacktestSpec) -> dict[str, Any]:
    net, gross, turnover = (part[name].to_numpy() for name in ("net_return", "gross_return", "turnover"))
    interval = sharpe_interval(net, sessions_per_year=per_year, samples=spec.bootstrap_samples, seed=spec.seed)
    hedged = part.drop_nulls("hedged")
    return {
        "sessions": len(part),
        "annual_return": trading.annual_return(net, sessions_per_year=per_year),
        "annual_volatility": trading.annual_volatility(net, sessions_per_year=per_year),
        **dict(zip(("sharpe", "sharpe_low", "sharpe_high"), interval, strict=True)),
        "gross_sharpe": trading.sharpe(gross, sessions_per_year=per_year),
        "hedged_sharpe": trading.sharpe(hedged["hedged"].to_numpy(), sessions_per_year=per_year),
        "hedged_from": hedged["date"].min(),
        "max_drawdown": trading.max_drawdown(net),
        "hit_ratio": trading.hit_ratio(net),
        **{name: float(part[name].to_numpy().mean()) for name in ("turnover", "gross_exposure", "net_exposure")},
        "break_even_cost_bps": trading.break_even_cost_bps(gross, turnover),
        "beta": trading.beta(net, part["market"].to_numpy()) if part["market"].null_count() == 0 else float("nan"),
    }


def _beside(series: pl.DataFrame, market: pl.DataFrame | None) -> pl.DataFrame:
    """Return the rows with the market's gross return, null without a market."""
    if market is None:
        return series.with_columns(market=pl.lit(None, dtype=pl.Float64))
    gross = market.select("date", market="gross_return")
    return series.join(gross, on="date", how="left", maintain_order="left")
