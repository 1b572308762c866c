"""Contribution of each member to an ensemble."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.scores.quantile import pinball
from forecast_assets.core.training.ensemble import median_of_means

ENSEMBLE = "ensemble"
SPLITS = ("validation", "test")


def contributions(
    forecasts: NDArray[np.float64], members: Sequence[str], *, table: pl.DataFrame, groups: int
) -> pl.DataFrame:
    """Return member, split, alone, without: each member's raw pinball, and the ensemble's without that member.

    ``forecasts`` (K, decisions, 3, 7), best first, in the order of ``table``'s rows (date, ticker, horizon), which
    gives outcomes and splits. Pinball is averaged over levels, decisions and horizons in log-return units. The row
    named ``ensemble`` has all members; a single member has no ensemble without it (null).
    """
    y = table["y"].fill_null(float("nan")).to_numpy()
    rows = []

    def losses(quantiles: NDArray[np.float64]) -> dict[str, float]:
        mean = pinball(y, quantiles.reshape(len(y), -1), levels=QUANTILES).mean(axis=-1)
        scored = pl.DataFrame({"split": table["split"], "loss": mean}).filter(pl.col("loss").is_not_nan())
        # In order: otherwise threads add up in any order, and the last digit changes from run to run.
        return dict(scored.group_by("split", maintain_order=True).agg(pl.col("loss").mean()).rows())

    for k, member in enumerate(members):
        alone = losses(forecasts[k])
        rest = np.delete(forecasts, k, axis=0)
        without = losses(median_of_means(rest, groups=groups)) if len(rest) else {}
        rows += [(member, split, alone.get(split), without.get(split)) for split in SPLITS]
    together = losses(median_of_means(forecasts, groups=groups))
    rows += [(ENSEMBLE, split, together.get(split), None) for split in SPLITS]
    schema = {"member": pl.String, "split": pl.String, "alone": pl.Float64, "without": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
