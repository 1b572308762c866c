"""The calibrated tables of the materialised graph."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.store.artefact_files import CALIBRATION_STATE, FITS, RAW_FORECASTS
from forecast_assets_tests.helpers.graph import Graph

KEYS = ["date", "ticker", "horizon", "split", "y", "model"]


@pytest.mark.parametrize("asset", ["b2_tft_ticker", "ensemble"])
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
