"""Rivals' scores against a loop over the rows that all models share."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.rivals.read import NORMAL_FORM, POINT_FORM, ROWS, RivalForecasts
from forecast_assets.core.rivals.score import (
    OF_A_BAND,
    RIVAL_LOSSES,
    loss_pair,
    no_losses,
    rival_losses,
    rival_scores,
    rival_table,
)
from forecast_assets_tests.helpers.scores import mean_pinball, normal_quantiles

TICKERS, DAYS = "WXYZ", 12
RNG = np.random.default_rng(0)
DATES = np.repeat(np.arange(DAYS) + np.datetime64("2021-03-01"), len(TICKERS))
Y = RNG.normal(0, 0.02, (len(DATES), 3))
Y[-len(TICKERS) :] = np.nan  # the last day has not matured
SPLIT = np.where(np.datetime64("2021-03-03") > DATES, "validation", "test")
OURS, THEIRS = (normal_quantiles(RNG.normal(0, 0.01, Y.shape), np.full(Y.shape, sigma)) for sigma in (0.02, 0.03))
THEIRS[3::4, 0], THEIRS[:, 2] = np.nan, np.nan  # no Z at one session, nothing at twenty
ORIGINS = pl.DataFrame({"date": DATES, "ticker": list(TICKERS * DAYS), "split": SPLIT}).with_columns(
    pl.col("date").cast(pl.Date)
)


def a_rival(form: str) -> RivalForecasts:
    return RivalForecasts("friend", "friend.csv", form, "log", pl.DataFrame(schema=ROWS))


def table(quantiles: np.ndarray, *, form: str = NORMAL_FORM) -> pl.DataFrame:
    return rival_table(quantiles, origins=ORIGINS, y=Y, rival=a_rival(form), mean=quantiles[..., 3] + 0.001)


def ours(model: str = "ensemble") -> pl.DataFrame:
    return forecast_table(date=DATES, ticker=list(TICKERS * DAYS), quantiles=OURS, y=Y, split=SPLIT, model=model)


def common(column: int) -> Iterator[int]:
    for row in range(len(DATES)):
        if SPLIT[row] == "test" and np.isfinite(Y[row, column]) and np.isfinite(THEIRS[row, column, 0]):
            yield row


@pytest.fixture(scope="module")
def losses() -> pl.DataFrame:
    return rival_losses(table(THEIRS), table(THEIRS), [ours()], rival=a_rival(NORMAL_FORM))


def test_a_table_holds_the_forecasts_that_there_are(losses: pl.DataFrame) -> None:
    found = table(THEIRS)
    assert found.group_by("horizon").len().sort("horizon").rows() == [(1, 36), (5, 48)]
    assert found["model"].unique().to_list() == ["rival_friend"]
    assert found.filter(pl.col("split") == "validation")["date"].max() == dt.date(2021, 3, 2)
    row = found.row(
        by_predicate=(pl.col("ticker") == "X") & (pl.col("horizon") == 5) & pl.col("y").is_null(), named=True
    )
    assert row["q975"] == THEIRS[-3, 1, 6]


@pytest.mark.parametrize(("column", "horizon"), [(0, 1), (1, 5)])
@pytest.mark.parametrize("model", ["ensemble", "rival_friend"])
def test_both_are_scored_on_the_rows_that_both_have(
    losses: pl.DataFrame, model: str, column: int, horizon: int
) -> None:
    rows = list(common(column))
    quantiles = (OURS if model == "ensemble" else THEIRS)[rows, column]
    y, mean = Y[rows, column], quantiles[:, 3]
    (found,) = rival_scores(losses).filter((pl.col("model") == model) & (pl.col("horizon") == horizon)).to_dicts()
    assert found["n"] == len(rows) > 20
    assert found["days"] == DAYS - 3
    assert found["rmse"] == pytest.approx(np.sqrt(((y - mean) ** 2).mean()))
    assert found["mae"] == pytest.approx(np.abs(y - mean).mean())
    assert found["direction"] == pytest.approx(((y > 0) == (mean > 0)).mean())
    assert found["pinball"] == pytest.approx(
        mean_pinball(y, quantiles, levels=(0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975))
    )
    assert found["coverage_95"] == pytest.approx(((y >= quantiles[:, 0]) & (y <= quantiles[:, 6])).mean())
    by_day = [spearmanr(mean[DATES[rows] == day], y[DATES[rows] == day])[0] for day in np.unique(DATES[rows])]
    assert found["rank_ic"] == pytest.approx(np.mean(by_day))


def test_no_score_is_of_a_horizon_that_the_rival_does_not_forecast(losses: pl.DataFrame) -> None:
    assert losses["horizon"].unique().sort().to_list() == [1, 5]
    assert dict(losses.schema) == RIVAL_LOSSES == dict(no_losses().schema)
    assert set(losses["model"]) == {"ensemble", "rival_friend", "rival_friend_raw"}


def test_a_point_forecast_is_its_mean_and_is_not_scored_on_a_band() -> None:
    point = table(THEIRS, form=POINT_FORM)
    np.testing.assert_allclose(point["mean"], point["q50"] + 0.001)
    found = rival_losses(point, point, [ours()], rival=a_rival(POINT_FORM))
    own, other = (found.filter(pl.col("model") == name) for name in ("rival_friend", "ensemble"))
    assert found["model"].n_unique() == 2
    assert own.select(OF_A_BAND).null_count().row(0) == (own.height,) * len(OF_A_BAND)
    assert other.select(OF_A_BAND).null_count().row(0) == (0,) * len(OF_A_BAND)
    scores = rival_scores(found).filter(pl.col("model") == "rival_friend")
    assert scores["rmse"].null_count() == 0
    assert scores["crps"].null_count() == scores.height == 2


def test_a_pair_holds_the_sums_of_both(losses: pl.DataFrame) -> None:
    pair = loss_pair(losses, "ensemble", "rival_friend", loss="squared_error")
    day = pair.filter((pl.col("horizon") == 1) & (pl.col("date") == dt.date(2021, 3, 3)))
    rows = [row for row in common(0) if DATES[row] == np.datetime64("2021-03-03")]
    assert day["reference"].item() == pytest.approx(((Y[rows, 0] - THEIRS[rows, 0, 3]) ** 2).sum())
    assert day["loss"].item() == pytest.approx(((Y[rows, 0] - OURS[rows, 0, 3]) ** 2).sum())
    with pytest.raises(ValueError, match="no loss rmse; there are"):
        loss_pair(losses, "ensemble", "rival_friend", loss="rmse")


def test_a_rival_without_a_matured_forecast_has_no_losses() -> None:
    nothing = table(np.full_like(THEIRS, np.nan))
    assert nothing.is_empty()
    assert rival_losses(nothing, nothing, [ours()], rival=a_rival(NORMAL_FORM)).is_empty()
    assert rival_scores(no_losses()).is_empty()
