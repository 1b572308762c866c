"""Score a rival's forecasts beside ours on the very same rows, as daily sums."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.daily_losses import DAY, LOSSES, SCORES, daily_losses
from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA, RAW_SUFFIX, forecast_table
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.rivals.read import RivalForecasts
from forecast_assets.core.scores.quantile import Floats

PREFIX = "rival_"
"""Of the names under which rivals are scored and traded: none of ours begins with it."""

OF_A_BAND = ("pinball", "crps", "inside_95", "inside_90")  # scores that a point forecast does not have
RIVAL_LOSSES = {"rival": pl.String, **SCORES, "signed": pl.UInt32, "hits": pl.UInt32}


def rival_key(name: str) -> str:
    """Return the model name of a rival's forecasts: "friend" -> "rival_friend"."""
    return PREFIX + name


def rival_name_of(key: str) -> str:
    """Return the rival's name of a model name: "rival_friend" -> "friend"."""
    return key.removeprefix(PREFIX)


def no_tables() -> pl.DataFrame:
    """Return the empty forecast table."""
    return pl.DataFrame(schema=FORECAST_SCHEMA)


def no_losses() -> pl.DataFrame:
    """Return the empty table of ``rival_losses``."""
    return pl.DataFrame(schema=RIVAL_LOSSES)


def rival_table(
    quantiles: Floats,
    *,
    origins: pl.DataFrame,
    y: Floats,
    rival: RivalForecasts,
    mean: Floats,
) -> pl.DataFrame:
    """Return the forecast table of a rival, of the origins and horizons that it has a forecast for.

    ``quantiles`` (M, H, 7), NaN where there is none; ``origins``: date, ticker, split of the M; ``y`` (M, H); ``mean``
    (M, H): point forecasts, each of which is its table's mean.
    """
    parts = [no_tables()]
    for column, horizon in enumerate(HORIZONS):
        made = np.isfinite(quantiles[:, column]).all(axis=-1)
        at = origins.filter(pl.Series(made))
        parts.append(
            forecast_table(
                date=at["date"],
                ticker=at["ticker"],
                split=at["split"],
                quantiles=quantiles[made, column : column + 1],
                y=y[made, column : column + 1],
                mean=None if rival.has_band else mean[made, column : column + 1],
                model=rival_key(rival.name),
                horizons=[horizon],
            )
        )
    return pl.concat(parts).sort("date", "ticker", "horizon")


def rival_losses(
    published: pl.DataFrame, raw: pl.DataFrame, ours: Iterable[pl.DataFrame], *, rival: RivalForecasts
) -> pl.DataFrame:
    """Return the daily sums of a rival and of our models over the test forecasts that all of them made and that matured.

    ``published`` and ``raw``: the rival's tables, after and before calibration; ``ours``: tables of one model each. Columns
    ``RIVAL_LOSSES``: what ``daily_losses`` adds up, and ``hits`` of ``signed``: how often median and outcome had the
    same sign, where neither is zero. Of a point forecast, whose band is borrowed, what judges a band is null.
    """
    keys = ["date", "ticker", "horizon"]
    own = [published, *([raw.with_columns(model=pl.col("model") + RAW_SUFFIX)] if rival.has_band else [])]
    tables, common = [*own, *ours], published.select(keys)
    for table in tables:
        matured = table.filter((pl.col("split") == "test") & pl.col("y").is_not_null())
        common = common.join(matured.select(keys), on=keys, how="semi")
    tables = [table.join(common, on=keys, how="semi") for table in tables]
    scores = daily_losses(tables, references=[]).scores.join(
        pl.concat(map(_hits, tables)), on=["model", *DAY], how="left", validate="1:1"
    )
    if not rival.has_band:
        borrowed = pl.col("model") == rival_key(rival.name)
        scores = scores.with_columns(pl.when(~borrowed).then(pl.col(name)).alias(name) for name in OF_A_BAND)
    return scores.with_columns(rival=pl.lit(rival.name)).select(
        pl.col(n).cast(dtype) for n, dtype in RIVAL_LOSSES.items()
    )


def rival_scores(losses: pl.DataFrame) -> pl.DataFrame:
    """Return the scores over all days of ``losses``, a row per rival, model and horizon; of a point forecast none of a band.

    Columns: rival, model, horizon, n, days, rmse, mae, direction (share of ``hits``), rank_ic, pinball, crps, coverage_95,
    coverage_90. Log-return units, shares as fractions.
    """

    def mean(sums: str) -> pl.Expr:
        return pl.when(pl.col(sums).is_not_null().all()).then(pl.col(sums).sum() / pl.col("n").sum())

    return (
        losses.group_by("rival", "model", "horizon")
        .agg(
            n=pl.col("n").sum(),
            days=pl.len(),
            rmse=mean("squared_error").sqrt(),
            mae=mean("absolute_error"),
            direction=pl.col("hits").sum() / pl.col("signed").sum(),
            rank_ic=pl.col("rank_ic").mean(),
            pinball=mean("pinball"),
            crps=mean("crps"),
            coverage_95=mean("inside_95"),
            coverage_90=mean("inside_90"),
        )
        .with_columns(pl.col(pl.Float64).fill_nan(None))
        .sort("rival", "model", "horizon")
    )


def loss_pair(losses: pl.DataFrame, model: str, other: str, *, loss: str) -> pl.DataFrame:
    """Return horizon, date, loss, reference: the daily sums of one of ``LOSSES`` of two models of one rival's ``losses``."""
    if loss not in LOSSES:
        raise ValueError(f"loss_pair: no loss {loss}; there are {list(LOSSES)}")
    first, second = (losses.filter(pl.col("model") == name).select(*DAY, pl.col(loss)) for name in (model, other))
    both = first.rename({loss: "loss"}).join(second.rename({loss: "reference"}), on=list(DAY), validate="1:1")
    return both.sort(DAY)


def _hits(table: pl.DataFrame) -> pl.DataFrame:
    """Return model, horizon, date, signed, hits of a table of matured forecasts."""
    signed = (pl.col("q50") != 0) & (pl.col("y") != 0)
    hit = signed & (pl.col("q50").sign() == pl.col("y").sign())
    return table.group_by("model", *DAY).agg(signed=signed.sum(), hits=hit.sum())
