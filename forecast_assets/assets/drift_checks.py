"""The nightly drift checks: features, coverage, PIT."""

import datetime as dt

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.column_lineage import drift_columns
from forecast_assets.assets.framework.inputs import Day, EarlierNights, IssuedNights, Renames
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.specs import DriftSpec
from forecast_assets.store.artefact_files import COVERAGE_BY_DAY, DRIFT_VERDICT, LOSS_BY_DAY, TABLE
from forecast_assets.store.panel_in_use import untrained_sentence
from forecast_assets.store.versions import Version

YEAR_TRAINED = "year_is_trained"


@stage(
    group="monitoring",
    kinds={"polars"},
    partitions=days,
    mappings={"ensemble": dg.AllPartitionMapping()},
    follows=("nightly_forecast",),
    checks=[
        CheckSpec(
            "features_like_the_reference", "No feature has moved away from its reference period.", blocking=False
        ),
        CheckSpec("coverage_within_limits", "The calibrated coverage alarm is quiet.", blocking=False),
        CheckSpec(
            "estimated_loss_as_usual",
            "Forecasts that have not matured yet are estimated to lose about as much as others did.",
            blocking=False,
        ),
        CheckSpec(YEAR_TRAINED, "A fold of the night's own year is trained.", blocking=False),
    ],
)
def drift_checks(
    feature_panel: pl.LazyFrame,
    ensemble: dict[str, Version],
    issued: IssuedNights,
    earlier: EarlierNights,
    renames: Renames,
    drift: DriftSpec,
    day: Day,
) -> StageOutput:
    """Feature drift against a block-bootstrap null, coverage and PIT of matured forecasts, and the estimated loss of the
    others, as of a day.
    """
    from forecast_assets.champion.issued import issued_table
    from forecast_assets.core.monitoring.coverage import (
        calibrate_limits,
        coverage_alarm,
        coverage_by_day,
        coverage_rule,
    )
    from forecast_assets.core.monitoring.drift import feature_drift, split_periods
    from forecast_assets.core.monitoring.early_warning import loss_monitor
    from forecast_assets.core.monitoring.matured import known_outcomes
    from forecast_assets.core.monitoring.plots import drift_plots
    from forecast_assets.core.monitoring.verdict import drift_verdict
    from forecast_assets.core.panel.features import feature_names

    as_of = dt.date.fromisoformat(day)
    members = feature_panel.filter("is_member")
    panel = members.filter(pl.col("date").is_between(first_session(members, drift, as_of), as_of)).collect()
    periods = split_periods(panel, spec=drift, as_of=as_of)
    moved = feature_drift(periods.reference, periods.recent, features=feature_names(panel), spec=drift)
    issued_by_now = known_outcomes(
        pl.concat(issued_table(version, renames).filter(pl.col("split") == "test") for version in ensemble.values()),
        [issued_table(issued[night], renames) for night in sorted(issued)],
        feature_panel=feature_panel.select("date", "ticker", *TARGETS).collect(),
        as_of=as_of,
    )
    forecasts = issued_by_now.filter(pl.col("y").is_not_null())
    losses = losses_by_day(feature_panel, issued_by_now)
    coverage = coverage_by_day(forecasts, model="ensemble", horizon=1)
    # The limits are set without the days that are tested. A short panel has too little history for any.
    past = coverage.head(max(0, coverage.height - drift.recent_sessions))
    limits = calibrate_limits(past, spec=drift) if past.height >= 5 * drift.alarm_block_sessions else None
    verdict = drift_verdict(
        as_of=as_of,
        features=moved,
        rule=coverage_rule(coverage, drift),
        alarm=coverage_alarm(coverage, limits=limits) if limits else None,
        limits=limits,
        loss=loss_monitor(losses, limit=drift.loss_limit),
    )
    nights = {dt.date.fromisoformat(night): pl.read_parquet(earlier[night].path(TABLE)) for night in sorted(earlier)}
    nights[as_of] = moved
    recent = forecasts.filter(pl.col("date") >= periods.recent["date"].min())
    features, alarm, loss = (verdict["monitors"][name] for name in ("features", "coverage_alarm", "estimated_loss"))
    return StageOutput(
        files={TABLE: moved, COVERAGE_BY_DAY: coverage, LOSS_BY_DAY: losses, DRIFT_VERDICT: verdict},
        columns=drift_columns(moved["feature"].to_list()),
        facts={
            "level": verdict["level"],
            "verdict": " ".join(verdict["sentences"]),
            "nights_issued": len(issued),
            "largest_ks_distance": float(moved["ks_distance"].max() or 0.0),  # type: ignore[arg-type]
            "features_moved": int(moved["alert"].sum()),
            "coverage_95_last_day": float(coverage["coverage_95"][-1]) if coverage.height else "none matured",
        },
        plots=drift_plots(nights, coverage, limits, losses, recent, spec=drift),
        checks={
            "features_like_the_reference": Check(features["state"] == "ok", features["sentence"], warns=True),
            "coverage_within_limits": Check(alarm["state"] != "warning", alarm["sentence"], warns=True),
            "estimated_loss_as_usual": Check(loss["state"] != "information", loss["sentence"], warns=True),
            YEAR_TRAINED: year_trained(as_of, newest=max(ensemble)),
        },
    )


def losses_by_day(feature_panel: pl.LazyFrame, forecasts: pl.DataFrame) -> pl.DataFrame:
    """Return estimated and matured losses of the ensemble's forecasts, see ``early_warning.loss_by_day``."""
    from forecast_assets.core.monitoring.early_warning import INPUTS, loss_by_day

    there = feature_panel.collect_schema().names()
    inputs = [name for name in INPUTS if name in there]
    features = feature_panel.select("date", "ticker", *inputs).filter(pl.col("date") >= forecasts["date"].min())
    return loss_by_day(forecasts, features.collect())


def year_trained(day: dt.date, *, newest: str) -> Check:
    """Return whether the newest year with an ensemble is that of a night, and if not what to click."""
    year = str(day.year)
    if newest >= year:
        return Check(True, f"the newest fold is that of {newest}")
    return Check(False, untrained_sentence([year]), warns=True)


def first_session(feature_panel: pl.LazyFrame, drift: DriftSpec, as_of: dt.date) -> dt.date:
    """Return the first session that drift is tested on; earlier ones are not read."""
    sessions = feature_panel.filter(pl.col("date") <= as_of).select(pl.col("date").unique().sort()).collect()["date"]
    return sessions[-min(len(sessions), drift.recent_sessions + drift.reference_sessions)] if len(sessions) else as_of
