"""Effect of calibration: coverage and pinball loss of the same forecasts before and after."""

import polars as pl

from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import pinball

VARIANTS = ("raw", "calibrated")


def calibration_effect(raw: pl.DataFrame, calibrated: pl.DataFrame) -> pl.DataFrame:
    """Return outcomes, coverage_95, coverage_90 and mean pinball per variant, split, horizon and year.

    ``raw``, ``calibrated``: forecast tables of the same model and dates; what has not matured is left out.
    """
    return (
        scored_variants(raw, calibrated)
        .group_by("variant", "split", "horizon", year=pl.col("date").dt.year(), maintain_order=True)
        .agg(pl.len().alias("outcomes"), pl.col("coverage_95", "coverage_90", "pinball").mean())
        .sort("variant", "split", "horizon", "year", descending=[True, False, False, False])
    )


def scored_variants(raw: pl.DataFrame, calibrated: pl.DataFrame) -> pl.DataFrame:
    """Return both tables, one below the other, with variant, coverage_95, coverage_90 and pinball of each matured row."""
    parts = []
    for variant, table in zip(VARIANTS, (raw, calibrated), strict=True):
        matured = table.filter(pl.col("y").is_not_null())
        losses = pinball(matured["y"].to_numpy(), matured.select(QUANTILE_COLUMNS).to_numpy(), levels=QUANTILES)
        parts.append(
            matured.select(
                *("date", "split", "horizon"),
                variant=pl.lit(variant),
                coverage_95=pl.col("y").is_between("q025", "q975").cast(pl.Float64),
                coverage_90=pl.col("y").is_between("q05", "q95").cast(pl.Float64),
                pinball=pl.Series(losses.mean(axis=-1), dtype=pl.Float64),
            )
        )
    return pl.concat(parts)
