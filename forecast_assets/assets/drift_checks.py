"""What is watched every night."""

import datetime as dt

import dagster as dg
import polars as pl

from forecast_assets.assets.partitions import days
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import DriftSpec
from forecast_assets.store.versions import Version


@stage(
    group="monitoring",
    kinds={"polars"},
    partitions=days,
    mappings={"ensemble": dg.AllPartitionMapping()},
)
def drift_checks(feature_panel: pl.LazyFrame, ensemble: dict[str, Version], drift: DriftSpec, day: str) -> Product:
    """Feature drift against a block-bootstrap null, and coverage of matured forecasts, as of a day."""
    from forecast_assets.core.monitoring.coverage import (
        calibrate_limits,
        coverage_alarm,
        coverage_by_day,
        coverage_rule,
    )
    from forecast_assets.core.monitoring.drift import feature_drift, split_periods
    from forecast_assets.core.monitoring.verdict import drift_verdict
    from forecast_assets.core.panel.features import feature_names

    as_of = dt.date.fromisoformat(day)
    panel = feature_panel.collect()
    periods = split_periods(panel, spec=drift, as_of=as_of)
    moved = feature_drift(periods.reference, periods.recent, features=feature_names(panel), spec=drift)
    forecasts = pl.concat([pl.read_parquet(version.path(TABLE)) for version in ensemble.values()])
    coverage = coverage_by_day(forecasts, model="ensemble", horizon=1).filter(pl.col("date") <= as_of)
    # A fold or two of a young panel is too little history to say what a false alert would be.
    enough = coverage.height >= 5 * drift.alarm_block_sessions
    limits = calibrate_limits(coverage, spec=drift) if enough else None
    verdict = drift_verdict(
        as_of=as_of,
        features=moved,
        rule=coverage_rule(coverage, drift),
        alarm=coverage_alarm(coverage, limits=limits) if limits else None,
        limits=limits,
    )
    return Product(
        files={TABLE: moved, "coverage.parquet": coverage, "verdict.json": verdict},
        facts={"level": verdict["level"], "verdict": " ".join(verdict["sentences"])},
    )
