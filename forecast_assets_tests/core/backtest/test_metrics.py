"""The report's two score tables."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from forecast_assets.core.backtest.metrics import strategy_metrics
from forecast_assets.core.evaluation.daily_losses import DailyLosses, daily_losses
from forecast_assets.core.evaluation.forecast_metrics import forecast_metrics
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.trading import sessions_per_year, sharpe
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.helpers.scores import mean_pinball, normal_quantiles

RNG = np.random.default_rng(0)
DATES = np.repeat(np.busday_offset("2023-12-01", np.arange(40), roll="forward").astype("datetime64[D]"), 6)
TICKERS = np.tile([f"T{k}" for k in range(6)], 40)
Y = RNG.normal(0, 0.02, size=(240, 3))
Y[-6:, 2] = np.nan
SPLIT = np.where(np.datetime64("2023-12-08") > DATES, "validation", "test")


def table(model: str, *, mean: np.ndarray, sigma: float, rows: slice = slice(None)) -> pl.DataFrame:
    scale = np.full(mean.shape, sigma)
    return forecast_table(
        date=DATES[rows],
        ticker=TICKERS[rows],
        quantiles=normal_quantiles(mean, scale)[rows],
        y=Y[rows],
        split=SPLIT[rows],
        model=model,
    )


SKILLED_MEAN = np.nan_to_num(Y) * 0.5
BASE = table("base", mean=np.zeros((240, 3)), sigma=0.04)
SKILLED = table("skilled", mean=SKILLED_MEAN, sigma=0.02, rows=slice(0, 180))


def losses(*tables: pl.DataFrame) -> DailyLosses:
    return daily_losses(tables, references=["base", "m"])


def test_scores_of_a_model_over_matured_test_forecasts() -> None:
    scores = forecast_metrics(losses(BASE, SKILLED), baseline="base")
    assert len(scores) == 2 * 3 * 3  # models, horizons, (2023, 2024, all)
    row = scores.row(
        by_predicate=(pl.col("model") == "skilled") & (pl.col("horizon") == 5) & pl.col("year").is_null(), named=True
    )
    rows = slice(30, 180)  # the test part of its rows
    y, mean = Y[rows, 1], SKILLED_MEAN[rows, 1]
    quantiles = normal_quantiles(mean, np.full(150, 0.02))
    base = normal_quantiles(np.zeros(150), np.full(150, 0.04))
    assert (row["n"], row["days"]) == (150, 25)
    assert row["pinball"] == pytest.approx(mean_pinball(y, quantiles, levels=QUANTILES))
    assert row["pinball_ratio"] == pytest.approx(row["pinball"] / mean_pinball(y, base, levels=QUANTILES))
    assert row["coverage_95"] == pytest.approx(((y >= quantiles[:, 0]) & (y <= quantiles[:, -1])).mean())
    assert row["coverage_90"] == pytest.approx(((y >= quantiles[:, 1]) & (y <= quantiles[:, -2])).mean())
    assert row["rmse"] == pytest.approx(np.sqrt(((y - mean) ** 2).mean()), rel=1e-6)
    assert row["mae"] == pytest.approx(np.abs(y - mean).mean(), rel=1e-6)
    assert row["rank_ic"] == pytest.approx(1.0)


def test_rank_ic_is_the_mean_of_the_daily_spearman_correlations() -> None:
    noise = RNG.normal(size=(240, 3))
    scores = forecast_metrics(losses(table("m", mean=noise, sigma=0.02)), baseline="m")
    row = scores.row(by_predicate=(pl.col("horizon") == 1) & (pl.col("year") == 2024), named=True)
    days = [day == DATES for day in np.unique(DATES[np.datetime64("2024-01-01") <= DATES])]
    assert row["rank_ic"] == pytest.approx(np.mean([spearmanr(noise[d, 0], Y[d, 0]).statistic for d in days]))
    assert row["pinball_ratio"] == 1.0


def test_a_constant_forecast_has_no_rank_ic() -> None:
    assert forecast_metrics(losses(BASE), baseline="base")["rank_ic"].is_null().all()


def test_what_has_not_matured_is_not_scored() -> None:
    scores = forecast_metrics(losses(BASE), baseline="base").filter(pl.col("year").is_null())
    assert dict(scores.select("horizon", "n").rows()) == {1: 210, 5: 210, 20: 204}


def test_a_missing_baseline_is_named() -> None:
    with pytest.raises(ValueError, match=r"baseline 'ewma'; have \['base'\]"):
        forecast_metrics(losses(BASE), baseline="ewma")


def strategy(name: str, net: np.ndarray, *, turnover: float) -> pl.DataFrame:
    days = np.busday_offset("2023-07-03", np.arange(len(net)), roll="forward").astype("datetime64[D]")
    cost = np.full(len(net), turnover * 5e-4)
    return pl.DataFrame(
        {
            "date": days,
            "strategy": [name] * len(net),
            "year": pl.Series(days.astype("datetime64[Y]").astype(int) + 1970, dtype=pl.Int32),
            "gross_return": net + cost,
            "cost": cost,
            "net_return": net,
            "turnover": np.full(len(net), turnover),
            "gross_exposure": np.full(len(net), 1.0 if turnover else 0.0),
            "net_exposure": np.zeros(len(net)),
        }
    )


def test_scores_of_a_strategy_per_year_and_over_all() -> None:
    market = strategy("market", RNG.normal(0.0005, 0.01, 300), turnover=0.01)
    beta = strategy("beta", 0.5 * market["gross_return"].to_numpy() + RNG.normal(0.001, 0.001, 300), turnover=0.1)
    scores = strategy_metrics(pl.concat([market, beta]), market=market, spec=BacktestSpec(bootstrap_samples=100))
    assert scores.select("strategy", "year").rows() == [
        (name, year) for name in ("beta", "market") for year in (2023, 2024, None)
    ]
    whole = scores.row(2, named=True)
    assert whole["sessions"] == 300
    assert whole["sharpe_low"] < whole["sharpe"] < whole["sharpe_high"]
    assert whole["gross_sharpe"] > whole["sharpe"]
    assert whole["hedged_sharpe"] > 2 * whole["sharpe"]
    assert whole["break_even_cost_bps"] == pytest.approx(beta["gross_return"].mean() / 0.1 * 1e4)  # type: ignore[operator]
    assert (whole["turnover"], whole["gross_exposure"]) == (pytest.approx(0.1), 1.0)


def test_hedged_figures_begin_where_the_hedge_does_in_the_years_too() -> None:
    """A beta of exactly one half, and a rise that no hedge covers in the first 63 sessions of 2023."""
    gross = np.tile([0.01, -0.01], 150)
    market = strategy("market", gross - 5e-6, turnover=0.01)
    own = strategy("own", 0.5 * gross + np.where(np.arange(300) % 4 < 2, 1e-3, -2e-3), turnover=0.0)
    early = own.with_columns(net_return=pl.when(pl.int_range(pl.len()) < 63).then(0.05).otherwise("net_return"))
    spec = BacktestSpec(bootstrap_samples=10)
    plain, rose = (strategy_metrics(book, market=market, spec=spec) for book in (own, early))
    start = own["date"][63]
    assert plain["hedged_from"].to_list() == [start, own.filter(pl.col("year") == 2024)["date"][0], start]
    hedged = 0.5 * gross + np.where(np.arange(300) % 4 < 2, 1e-3, -2e-3) - 0.5 * gross
    assert plain["hedged_sharpe"][2] == pytest.approx(
        sharpe(hedged[63:], sessions_per_year=sessions_per_year(own["date"].to_numpy())), rel=0.02
    )
    assert rose["sharpe"][2] > 1 > 0 > rose["hedged_sharpe"][2]
    short = strategy_metrics(own[:40], market=market, spec=spec)
    assert short["hedged_sharpe"].to_list() == short["hedged_from"].to_list() == [None, None]


def test_a_strategy_that_never_trades_has_no_sharpe_rather_than_zero() -> None:
    idle = strategy("idle", np.zeros(300), turnover=0.0)
    row = strategy_metrics(idle, market=None, spec=BacktestSpec(bootstrap_samples=10)).row(2, named=True)
    undefined = [
        "sharpe",
        "sharpe_low",
        "sharpe_high",
        "gross_sharpe",
        "hedged_sharpe",
        "hit_ratio",
        "break_even_cost_bps",
    ]
    assert [row[name] for name in undefined] == [None] * len(undefined)
    assert (row["annual_return"], row["max_drawdown"]) == (0.0, 0.0)
