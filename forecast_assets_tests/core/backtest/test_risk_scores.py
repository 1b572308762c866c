"""How near its target a book of forecast risk stays, on literal series."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.risk_scores import SCORES, risk_scores
from forecast_assets.core.scores.trading import sessions_per_year
from forecast_assets.core.specs import ResamplingSpec

SPEC = ResamplingSpec(bootstrap_samples=200)
DAYS = np.busday_offset("2020-01-01", np.arange(1000), roll="forward").astype("datetime64[D]")
PER_YEAR = sessions_per_year(DAYS)


def book(strategy: str, net: np.ndarray, *, cost: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame({"date": DAYS, "strategy": strategy, "net_return": net, "cost": np.full(len(net), cost)})


def test_a_book_at_its_target_is_not_off_it_and_one_at_twice_is_off_by_all() -> None:
    swing = np.tile([1.0, -1.0], 500)
    daily = 0.1 / PER_YEAR**0.5
    exact = daily * (62 / 63) ** 0.5  # the sample deviation of 63 alternating returns, of which one is left over
    at, twice = risk_scores(
        pl.concat([book("at", exact * swing), book("twice", 2 * exact * swing)]), ["at", "twice"], spec=SPEC
    )
    assert at["target_gap"] == pytest.approx(0.0, abs=1e-3)
    assert twice["target_gap"] == pytest.approx(1.0, abs=2e-3)
    assert at["annual_volatility"] == pytest.approx(0.1, rel=0.01)


def test_every_score_has_an_interval_around_it_and_costs_are_annual() -> None:
    net = np.random.default_rng(0).normal(0.0004, 0.006, 1000)
    (row,) = risk_scores(book("b", net, cost=1e-5), ["b", "absent"], spec=SPEC)
    assert row["strategy"] == "b"
    assert row["cost_annual_mean"] == pytest.approx(1e-5 * PER_YEAR)
    assert row["net_annual_mean"] == pytest.approx(net.mean() * PER_YEAR)
    for name in SCORES:
        assert row[f"{name}_low"] <= row[name] + 1e-12, name
        assert row[f"{name}_high"] >= row[name] - 1e-12, name
    assert row["sharpe_low"] < row["sharpe"] < row["sharpe_high"]


def test_a_book_that_holds_nothing_has_no_sharpe_and_no_interval_of_it() -> None:
    (row,) = risk_scores(book("idle", np.zeros(1000)), ["idle"], spec=SPEC)
    assert np.isnan(row["sharpe"])
    assert np.isnan(row["sharpe_low"])
    assert row["target_gap"] == 1.0
    assert row["max_drawdown"] == 0.0
