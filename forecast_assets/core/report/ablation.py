"""The content of ablation.json: what each step from the MLP baseline to the ensemble is worth, with its interval."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from forecast_assets.core.evaluation.daily_losses import DailyLosses
from forecast_assets.core.evaluation.forecast_metrics import beside_uncalibrated, forecast_metrics
from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX
from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.evaluation.year_losses import AGES, RAW, SPLIT, calibrated_only
from forecast_assets.core.models.catalogue import CATALOGUE
from forecast_assets.core.report.evidence import comparisons
from forecast_assets.core.report.summary import plain
from forecast_assets.core.report.verdicts import pinball_verdict
from forecast_assets.core.specs import AblationSpec

STEPS: tuple[tuple[str, str, str], ...] = (
    *((model.key, model.step.against, model.step.adds) for model in CATALOGUE if model.step),
    ("ensemble", "best_member", "The chosen fits combined, in place of the first one chosen"),
    ("ensemble", "harx", "Networks on top of the volatility regression they start from"),
    ("ensemble", RAW, "Online calibration, in place of none"),
    ("ensemble", SPLIT, "Online calibration, in place of split conformal"),
)
"""Model, the model it is compared with, and what differs between the two. Fixed in advance."""


def ablation(
    losses: DailyLosses,
    new_listings: Sequence[Mapping[str, Any]],
    *,
    models: Sequence[str],
    baseline: str,
    spec: AblationSpec,
    facts: Mapping[str, Any],
    years: Sequence[int],
    missing_years: Sequence[int],
    rivals: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the content of the ablation report, JSON-safe.

    ``losses``: of all models, each of them a reference; ``new_listings``: from ``new_listing_scores``; ``models``: in the
    report's order; ``baseline``: the model that pinball ratios refer to; ``rivals``: cards of ``report.rivals``. A
    step whose model is absent is left out.
    """
    have = losses.models
    horizons = losses.scores["horizon"].unique().sort().to_list()
    shown = [name for name in models if name in have]

    noise = TrainingNoise.of(losses.fits)

    def against(model: str, other: str) -> dict[str, Any]:
        pair = Pair(model, other, losses.pair(model, other))
        interval = ratio_interval(pair, horizons=horizons, noise=noise, spec=spec)
        return {"model": model, "rival": other, **dict(zip(("ratio", "low", "high"), interval, strict=True))}

    steps = [
        pinball_verdict(
            Pair(model, other, losses.pair(model, other)),
            horizons=horizons,
            noise=noise,
            spec=spec,
            smallest=spec.smallest_difference,
        )
        | {"model": model, "claim": what}
        for model, other, what in STEPS
        if model in have and other in have
    ]
    metrics = beside_uncalibrated(forecast_metrics(losses, baseline=baseline))
    order = {name: k for k, name in enumerate(shown)}
    rows = metrics.filter(pl.col("model").is_in(shown)).sort(
        pl.col("model").replace_strict(order, default=len(order)), "horizon", "year", nulls_last=True
    )
    summary = {
        "facts": dict(facts),
        "baseline": baseline,
        "years": list(years),
        "missing_years": sorted(missing_years),
        "partial": bool(missing_years),
        "models": shown,
        "smallest_difference": spec.smallest_difference,
        "verdicts": steps,
        "scores": rows.filter(pl.col("year").is_null()).drop("year").to_dicts(),
        "scores_by_year": rows.filter(pl.col("year").is_not_null()).to_dicts(),
        "against_each_other": [against(model, other) for model in shown for other in shown if model != other],
        "comparisons": comparisons(
            calibrated_only(losses, also=[RAW, SPLIT]),
            model="ensemble",
            baseline=baseline.removesuffix(RAW_SUFFIX),  # the tests compare calibrated with calibrated
            spec=spec,
        ),
        "new_listings": list(new_listings),
        "rivals": [dict(card) for card in rivals],
    }
    found: dict[str, Any] = plain(summary)
    return found


def new_listing_scores(rows: pl.DataFrame, *, since: dt.date, baseline: str) -> list[dict[str, Any]]:
    """Return model, sessions, horizon, tickers, n, pinball_ratio (to the baseline's), coverage_95, coverage_90.

    ``rows``: losses (``daily_losses.forecast_losses``) of new listings' forecasts with ``age`` and ``listed`` as from
    ``new_listing_origins``. Scored are those listed on or after ``since``, the first test day: no fold has trained on
    them. ``sessions``: forecasts up to that age are counted. Too few tickers for an interval.
    """
    rows = rows.filter(pl.col("listed") >= since)
    if rows.is_empty():
        return []
    keys = ["horizon", "date", "ticker"]
    reference = rows.filter(pl.col("model") == baseline).select(*keys, reference="pinball")
    aged = rows.join(reference, on=keys)
    parts = [
        aged.filter(pl.col("age") <= age)
        .group_by("model", "horizon", maintain_order=True)
        .agg(
            tickers=pl.col("ticker").n_unique(),
            n=pl.len(),
            pinball_ratio=pl.col("pinball").sum() / pl.col("reference").sum(),
            coverage_95=pl.col("inside_95").mean(),
            coverage_90=pl.col("inside_90").mean(),
        )
        .with_columns(sessions=age)
        for age in AGES
    ]
    return pl.concat(parts).sort("model", "sessions", "horizon").to_dicts()
