"""Losses added up per day, against the same sums taken from the rows themselves."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forecast_assets.core.evaluation.daily_losses import DAY, LOSSES, daily_losses, forecast_losses, join_losses
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets_tests.helpers.scores import normal_quantiles

KEYS = [*DAY, "ticker"]


def table(model: str, *, year: int, names: str, sigma: float) -> pl.DataFrame:
    """20 days of a ticker per letter; outcomes depend on the decision alone, the last day's have not matured."""
    days = np.repeat(np.arange(20), len(names)) + np.datetime64(f"{year}-03-01")
    shape = (len(days), 3)
    y = np.stack([np.random.default_rng(ord(n) + 31 * int(d.astype(int))).normal(0, 0.02, 3)
                  for d, n in zip(days, names * 20, strict=True)])  # fmt: skip
    y[days == days[-1]] = np.nan
    mean = y.round(2)
    quantiles = normal_quantiles(np.nan_to_num(mean), np.full(shape, sigma))
    return forecast_table(date=days, ticker=list(names * 20), quantiles=quantiles, y=y, split="test", model=model)


SPANS = [
    [table("a", year=2020, names="XYZ", sigma=0.01), table("b", year=2020, names="XZ", sigma=0.03)],
    [pl.concat([table("a", year=2021, names="XY", sigma=0.01), table("b", year=2021, names="YW", sigma=0.03)])],
]
FOUND = join_losses(daily_losses(tables, references=["a", "nobody"]) for tables in SPANS)
ROWS = forecast_losses(pl.concat([table for span in SPANS for table in span]))


def test_the_sums_of_a_day_are_those_of_its_rows() -> None:
    expected = ROWS.group_by("model", *DAY).agg(pl.len().alias("n"), pl.col(LOSSES).cast(pl.Float64).sum())
    assert_frame_equal(FOUND.scores.drop("rank_ic"), expected.sort("model", *DAY), check_dtypes=False)
    assert FOUND.models == ["a", "b"]
    assert FOUND.scores["date"].max() == dt.date(2021, 3, 19)


def test_pairs_count_the_decisions_that_both_made() -> None:
    mine, theirs = (ROWS.filter(pl.col("model") == name) for name in "ba")
    joined = mine.join(theirs.select(*KEYS, reference="pinball"), on=KEYS)
    expected = joined.group_by(DAY).agg(loss=pl.col("pinball").sum(), reference=pl.col("reference").sum()).sort(DAY)
    assert_frame_equal(FOUND.pair("b", "a"), expected)
    assert joined["ticker"].unique().sort().to_list() == ["X", "Y", "Z"]
    with pytest.raises(ValueError, match=r"nothing was paired with b; have \['a'\]"):
        FOUND.pair("a", "b")
    own = FOUND.pair("a", "a")
    assert own["loss"].equals(own["reference"])


def test_shared_losses_are_of_the_decisions_that_every_model_made() -> None:
    wide = ROWS.pivot(on="model", index=KEYS, values="pinball").drop_nulls()
    expected = wide.group_by(DAY).agg(pl.col("a", "b").mean()).sort(DAY)
    assert_frame_equal(FOUND.shared, expected)


def test_a_model_without_forecasts_in_a_year_leaves_that_year_out_of_what_all_share() -> None:
    alone = [table("a", year=2021, names="XY", sigma=0.01)]
    found = join_losses(daily_losses(tables, references=["a"]) for tables in (SPANS[0], alone))
    assert found.shared["date"].dt.year().unique().to_list() == [2020]
    assert set(found.scores.filter(pl.col("model") == "a")["date"].dt.year()) == {2020, 2021}


def test_a_year_of_which_nothing_has_matured_adds_nothing() -> None:
    tables = [table("a", year=2022, names="X", sigma=0.01).with_columns(y=pl.lit(None, dtype=pl.Float64))]
    nothing = daily_losses(tables, references=["a"])
    assert [part.height for part in nothing] == [0, 0, 0, 0]
    whole = join_losses([daily_losses(SPANS[0], references=["a"]), nothing])
    for found, expected in zip(whole, daily_losses(SPANS[0], references=["a"]), strict=True):
        assert_frame_equal(found, expected)


def test_without_a_model_the_losses_of_the_others_stay_as_they_are() -> None:
    found = daily_losses(SPANS[0], references=["a", "b"])
    rest = found.without(["a", "unknown"])
    assert (rest.models, rest.references, rest.shared.columns) == (["b"], ["b"], [*DAY, "b"])
    assert rest.pair("b", "b").equals(found.pair("b", "b"))
    assert rest.shared["b"].equals(found.shared["b"])


def test_a_model_in_two_tables_of_a_period_is_an_error() -> None:
    with pytest.raises(ValueError, match="two tables of one period hold a"):
        daily_losses([SPANS[0][0], SPANS[0][0]], references=["a"])


def test_losses_of_one_forecast() -> None:
    one = pl.DataFrame({"model": ["a"], "ticker": ["X"], "y": [1.0]}).with_columns(
        date=dt.date(2022, 1, 3), horizon=1, split=pl.lit("test"), mean=0.0, **dict.fromkeys(QUANTILE_COLUMNS, 0.0)
    )
    found = forecast_losses(one).row(0, named=True)
    # seven quantiles at 0, outcome y > 0: the mean level is one half
    assert (found["pinball"], found["squared_error"], found["absolute_error"]) == pytest.approx((0.5, 1.0, 1.0))
    assert not found["inside_95"]
