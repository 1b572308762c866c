"""A year's losses: the other calibrations beside the ensemble, and new listings, against the rows themselves."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forecast_assets.core.evaluation.daily_losses import forecast_losses
from forecast_assets.core.evaluation.forecast_table import YARDSTICK, forecast_table
from forecast_assets.core.evaluation.year_losses import (
    RAW,
    SPLIT,
    calibrated_only,
    new_listing_origins,
    split_conformal,
    year_losses,
)
from forecast_assets_tests.helpers.scores import normal_quantiles

NAMES, DAYS = "XYZ", 90
DATES = np.repeat(np.arange(DAYS) + np.datetime64("2021-01-01"), len(NAMES))
Y = np.random.default_rng(0).normal(0, 0.02, (len(DATES), 3))
SPLITS = np.where(np.datetime64("2021-02-15") > DATES, "validation", "test")


def table(model: str, sigma: float) -> pl.DataFrame:
    quantiles = normal_quantiles(np.zeros(Y.shape), np.full(Y.shape, sigma))
    return forecast_table(date=DATES, ticker=list(NAMES * DAYS), quantiles=quantiles, y=Y, split=SPLITS, model=model)


DECISIONS = pl.DataFrame({"date": DATES, "ticker": list(NAMES * DAYS)}).with_columns(pl.col("date").cast(pl.Date))
NEW_LISTINGS = new_listing_origins(
    DECISIONS.filter((pl.col("ticker") != "Z") | (pl.col("date") >= dt.date(2021, 3, 1)))
)
RAW_TABLE = table("ensemble", 0.01)


def test_the_other_calibrations_are_scored_as_models_of_their_own() -> None:
    found = year_losses(
        [table("ensemble", 0.02), table("ewma", 0.03)],
        uncalibrated=[RAW_TABLE, table("ewma", 0.04)],
        new_listings=NEW_LISTINGS,
    )
    assert found.daily.models == ["ensemble", RAW, SPLIT, "ewma", YARDSTICK]
    assert found.daily.references == ["ensemble", RAW, SPLIT, "ewma", YARDSTICK]
    raw = forecast_losses(RAW_TABLE)["pinball"].sum()
    assert found.daily.pair("ewma", RAW)["reference"].sum() == pytest.approx(raw)
    conformal = split_conformal(RAW_TABLE)
    inside = conformal.filter(pl.col("split") == "validation").select(pl.col("y").is_between("q025", "q975").mean())
    assert inside.item() == pytest.approx(0.95, abs=0.02)  # the band was half as wide as it should be
    without = year_losses([table("ensemble", 0.02)], uncalibrated=[], new_listings=NEW_LISTINGS)
    assert without.daily.models == ["ensemble"]


def test_uncalibrated_models_are_paired_with_the_yardstick_alone() -> None:
    found = year_losses(
        [table("ensemble", 0.02), table("harx", 0.03), table("ewma", 0.03)],
        uncalibrated=[table("harx", 0.05), table("ewma", 0.04), RAW_TABLE],
        new_listings=NEW_LISTINGS,
    ).daily
    paired = dict(found.pairs.group_by("model").agg(pl.col("other").unique().sort()).rows())
    every = ["ensemble", RAW, SPLIT, "ewma", YARDSTICK, "harx"]
    assert paired == dict.fromkeys(every, every) | {"harx_raw": [YARDSTICK], YARDSTICK: [YARDSTICK]}
    assert found.pair("harx_raw", YARDSTICK)["loss"].sum() == pytest.approx(
        forecast_losses(table("harx", 0.05))["pinball"].sum()
    )
    assert calibrated_only(found).models == ["ensemble", "ewma", "harx"]
    assert calibrated_only(found, also=[RAW]).models == ["ensemble", RAW, "ewma", "harx"]


def test_new_listings_are_kept_row_by_row_with_their_age() -> None:
    found = year_losses(
        [table("ensemble", 0.02), table("ewma", 0.03)], uncalibrated=[], new_listings=NEW_LISTINGS
    ).new_listings
    rows = forecast_losses(table("ewma", 0.03)).join(NEW_LISTINGS, on=["ticker", "date"])
    keys = ["ticker", "date", "horizon"]
    assert_frame_equal(found.filter(pl.col("model") == "ewma").sort(keys), rows.select(found.columns).sort(keys))
    last = found.group_by("ticker").agg(pl.col("age").max(), pl.col("listed").first(), pl.col("date").max())
    assert last.sort("ticker").rows() == [
        ("X", 60, dt.date(2021, 1, 1), dt.date(2021, 3, 1)),
        ("Y", 60, dt.date(2021, 1, 1), dt.date(2021, 3, 1)),
        ("Z", 31, dt.date(2021, 3, 1), dt.date(2021, 3, 31)),
    ]
