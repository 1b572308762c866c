"""The score table of forecasts: one row per model, horizon and year."""

import polars as pl

from forecast_assets.core.evaluation.daily_losses import DAY, DailyLosses
from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX

KEYS = ["model", "horizon", "year"]
BESIDE = ("pinball_ratio", "coverage_95", "coverage_90")  # scores that tables show before and after calibration


def forecast_metrics(losses: DailyLosses, *, baseline: str) -> pl.DataFrame:
    """Return the scores of the matured test forecasts, per model x horizon x year and over all years.

    ``baseline`` is one of the references of ``losses``. Columns: model, horizon, year, n, days, pinball, pinball_ratio
    (to the baseline on the forecasts both made), coverage_95, coverage_90, crps, rmse, mae, rank_ic (mean over days of
    the cross-sectional Spearman correlation of mean and y). Raises ValueError without the baseline.
    """
    pairs = losses.pairs.filter(pl.col("other") == baseline)
    if pairs.is_empty():
        raise ValueError(
            f"forecast_metrics: no matured test forecast of the baseline '{baseline}'; have {losses.models}"
        )
    year = pl.col("date").dt.year()
    daily = losses.scores.join(pairs.drop("other"), on=["model", *DAY], how="left").with_columns(year=year)
    scores = {
        "n": pl.col("n").sum(),
        "days": pl.len(),
        "pinball": _mean("pinball"),
        "pinball_ratio": pl.col("loss").sum() / pl.col("reference").sum(),
        "coverage_95": _mean("inside_95"),
        "coverage_90": _mean("inside_90"),
        "crps": _mean("crps"),
        "rmse": _mean("squared_error").sqrt(),
        "mae": _mean("absolute_error"),
        "rank_ic": pl.col("rank_ic").mean(),
    }
    parts = [daily.group_by(by, maintain_order=True).agg(**scores) for by in (KEYS, KEYS[:2])]
    merged = pl.concat(parts, how="diagonal").select(*KEYS, *scores)
    return merged.with_columns(pl.col(pl.Float64).fill_nan(None)).sort(KEYS, nulls_last=True)


def beside_uncalibrated(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of calibrated forecasts with ``BESIDE`` of the same model before calibration, in <score>_raw.

    Null where a model has no uncalibrated forecasts of its own: it is published as it is.
    """
    uncalibrated = pl.col("model").str.ends_with(RAW_SUFFIX)
    raw = metrics.filter(uncalibrated).select(
        pl.col("model").str.strip_suffix(RAW_SUFFIX),
        *KEYS[1:],
        *(pl.col(score).alias(score + RAW_SUFFIX) for score in BESIDE),
    )
    return metrics.filter(~uncalibrated).join(raw, on=KEYS, how="left", nulls_equal=True, maintain_order="left")


def _mean(sums: str) -> pl.Expr:
    return pl.col(sums).sum() / pl.col("n").sum()
