"""What a member adds, against the ensemble put together by hand."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.evaluation.members import contributions
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.report.diagnostic_figures import contribution_bars
from forecast_assets.core.training.ensemble import median_of_means
from forecast_assets_tests.helpers.scores import mean_pinball, normal_quantiles

DAYS = np.arange(40) + np.datetime64("2020-01-01")
Y = np.random.default_rng(0).normal(0, 0.02, (40, 3))
Y[-5:] = np.nan
SIGMAS = (0.02, 0.03, 0.1)
FORECASTS = np.stack([normal_quantiles(np.zeros((40, 3)), np.full((40, 3), sigma)) for sigma in SIGMAS])
TABLE = forecast_table(
    date=DAYS,
    ticker=["A"] * 40,
    quantiles=FORECASTS[0],
    y=Y,
    split=["validation"] * 20 + ["test"] * 20,
    model="ensemble",
)


def test_each_member_alone_and_the_ensemble_without_it() -> None:
    added = contributions(FORECASTS, ["good", "fair", "bad"], table=TABLE, groups=2)
    test = {row["member"]: row for row in added.filter(pl.col("split") == "test").iter_rows(named=True)}
    for k, member in enumerate(("good", "fair", "bad")):
        assert test[member]["alone"] == pytest.approx(mean_pinball(Y[20:], FORECASTS[k, 20:], levels=QUANTILES))
    without = median_of_means(FORECASTS[:2], groups=2)[20:]
    assert test["bad"]["without"] == pytest.approx(mean_pinball(Y[20:], without, levels=QUANTILES))
    assert test["bad"]["without"] < test["ensemble"]["alone"] < test["good"]["without"]
    assert test["ensemble"]["without"] is None


def test_the_bars_are_named_best_first() -> None:
    added = contributions(FORECASTS, ["good", "fair", "bad"], table=TABLE, groups=2)
    plots = contribution_bars(added).axes
    assert [label.get_text() for label in plots[0].get_yticklabels()] == ["good", "fair", "bad"]
    assert plots[0].yaxis_inverted()


def test_a_single_member_has_no_ensemble_without_it() -> None:
    added = contributions(FORECASTS[:1], ["only"], table=TABLE, groups=2)
    assert added["without"].is_null().all()
    contribution_bars(added)


def test_the_same_forecasts_give_the_same_digits_with_any_number_of_threads() -> None:
    """Adding up in any order changes the last digit, and with it the version of all that follows."""
    generator = np.random.default_rng(0)
    y = generator.normal(0, 0.02, (20_000, 3))
    forecasts = normal_quantiles(np.zeros_like(y), np.full_like(y, 0.02))[None]
    table = forecast_table(
        date=np.arange(20_000) + np.datetime64("1970-01-01"),
        ticker=["A"] * 20_000,
        quantiles=forecasts[0],
        y=y,
        split=["validation", "test"] * 10_000,
        model="ensemble",
    )
    found = {contributions(forecasts, ["one"], table=table, groups=1).write_json() for _ in range(12)}
    assert len(found) == 1
