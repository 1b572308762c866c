"""The calibrated tables of the materialised graph."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX
from forecast_assets.core.evaluation.year_losses import SPLIT
from forecast_assets.core.models.baselines import BASELINES
from forecast_assets.core.models.catalogue import CANDIDATES, MLP_BASELINE
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import CALIBRATION_STATE, DAILY_LOSSES, FITS, RAW_FORECASTS
from forecast_assets_tests.helpers.graph import Graph

KEYS = ["date", "ticker", "horizon", "split", "y", "model"]


@pytest.mark.parametrize("asset", ["b0_mlp", "b2_tft_ticker", "ensemble"])
def test_raw_and_calibrated_forecasts_are_both_published_and_differ(smoke_graph: Graph, asset: str) -> None:
    version = smoke_graph.version(asset, "2019")
    calibrated, raw = smoke_graph.table(asset, "2019"), pl.read_parquet(version.path(RAW_FORECASTS))
    assert raw.schema == calibrated.schema
    assert raw.select(KEYS).equals(calibrated.select(KEYS))
    assert raw["q50"].equals(calibrated["q50"])  # the median is not calibrated
    assert not raw["q975"].equals(calibrated["q975"])
    # Before the first label has matured there is nothing to calibrate with.
    first = raw["date"] == raw["date"].min()
    assert raw.filter(first)["q975"].equals(calibrated.filter(first)["q975"])
    assert np.abs(CalibrationState.from_json(version.json(CALIBRATION_STATE)).log_factor).max() > 0


def test_every_baseline_is_published_raw_and_calibrated(smoke_graph: Graph) -> None:
    calibrated = smoke_graph.table("baselines", "2019")
    raw = pl.read_parquet(smoke_graph.version("baselines", "2019").path(RAW_FORECASTS))
    assert raw.schema == calibrated.schema
    assert raw.select(KEYS).equals(calibrated.select(KEYS))
    assert set(raw["model"]) == {*BASELINES, "harx", "harx_plain"}
    for name in set(raw["model"]):
        mine = pl.col("model") == name
        assert raw.filter(mine)["q50"].equals(calibrated.filter(mine)["q50"]), name
        assert not raw.filter(mine)["q975"].equals(calibrated.filter(mine)["q975"]), name


def test_every_model_of_the_reports_is_scored_calibrated_and_not(smoke_graph: Graph) -> None:
    scores = pl.read_parquet(smoke_graph.version("backtest", "2019").path(DAILY_LOSSES["scores"]))
    models = {name for name in scores["model"] if not name.endswith(RAW_SUFFIX)} - {SPLIT}
    assert set(scores["model"]) == {*models, *(name + RAW_SUFFIX for name in models), SPLIT}
    rows = smoke_graph.version("backtest_report").json("metrics.json")["forecasts"]
    assert {row["model"] for row in rows} == models
    assert all(row["pinball_ratio_raw"] > 0 for row in rows)
    assert {row["pinball_ratio_raw"] for row in rows if row["model"] == "ewma"} == {1.0}


@pytest.mark.parametrize("profile", ["full", "demo", "smoke"])
def test_the_mlp_baseline_has_as_many_fits_as_the_tfts(profile: str) -> None:
    settings = compose_settings(profile, [])
    assert settings.network(MLP_BASELINE).fits == settings.network("b2_tft_ticker").fits


def test_the_raw_ensemble_lies_between_its_members(smoke_graph: Graph) -> None:
    fits = pl.concat(pl.read_parquet(smoke_graph.version(name, "2019").path(FITS)) for name in CANDIDATES)
    keys = ["date", "ticker", "horizon"]
    members = fits.group_by(keys).agg(low=pl.min("q975"), high=pl.max("q975"))
    raw = pl.read_parquet(smoke_graph.version("ensemble", "2019").path(RAW_FORECASTS)).join(members, on=keys)
    assert (
        raw.select((pl.col("q975") >= pl.col("low") - 1e-12) & (pl.col("q975") <= pl.col("high") + 1e-12))
        .to_series()
        .all()
    )
