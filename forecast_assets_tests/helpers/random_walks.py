"""Build raw panels that are random walks, long enough for every feature."""

import datetime as dt

import numpy as np
import polars as pl

from forecast_assets.core.panel.digests import YearDigests
from forecast_assets_tests.helpers.builders import MONDAY, raw


def walk(ticker: str, length: int, *, seed: int, exchange: str = "XNYS", start: dt.date = MONDAY) -> pl.DataFrame:
    """Return ``length`` sessions of a random walk with overnight gaps, ranges and volumes."""
    rng = np.random.default_rng(seed)
    closes = 50 * np.exp(np.cumsum(rng.normal(0, 0.015, length)))
    opens = closes * np.exp(rng.normal(0, 0.008, length))
    volumes = np.round(np.exp(rng.normal(12, 0.4, length)))
    return raw(
        ticker,
        closes.tolist(),
        start=start,
        exchange=exchange,
        opens=opens.tolist(),
        volumes=volumes.tolist(),
        ranged=True,
    )


def year_digests(panel: pl.DataFrame) -> dict[str, str]:
    total = YearDigests()
    total.add(panel)
    return total.digests()
