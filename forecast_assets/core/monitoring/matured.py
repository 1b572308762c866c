"""Forecasts and what came of them: those of the walk-forward, and after it those issued night by night."""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA

KEY = ["date", "ticker", "horizon"]


def known_outcomes(
    walk_forward: pl.DataFrame, nights: Iterable[pl.DataFrame], *, feature_panel: pl.DataFrame, as_of: dt.date
) -> pl.DataFrame:
    """Return the test forecasts up to a day, each once, in the forecast schema; ``y`` is null where it was not known then.

    ``nights``: issued forecasts, oldest first; the first forecast of a date, ticker and horizon counts, the walk-forward's
    before all. Their returns are the feature panel's ``target_<h>d``. A forecast has matured where its ticker has h more
    sessions up to ``as_of``, whatever later prices the panel holds.
    """
    tables = [walk_forward.filter(pl.col("split") == "test"), *nights]
    forecasts = (
        pl.concat([table.select(list(FORECAST_SCHEMA)) for table in tables])
        .filter(pl.col("date") <= as_of)
        .unique(KEY, keep="first", maintain_order=True)
    )
    if forecasts.is_empty():
        return forecasts
    past = feature_panel.filter(pl.col("date").is_between(forecasts["date"].min(), as_of)).sort("ticker", "date")
    outcomes = pl.concat(
        [
            past.select(
                "date",
                "ticker",
                pl.lit(h, dtype=pl.Int32).alias("horizon"),
                realised=pl.col(f"target_{h}d").cast(pl.Float64),
                matured=(pl.len().over("ticker") - pl.int_range(pl.len()).over("ticker")) > h,
            )
            for h in forecasts["horizon"].unique().sort().to_list()
        ]
    )
    return (
        forecasts.join(outcomes, on=KEY, how="left", maintain_order="left")
        .with_columns(y=pl.when("matured").then(pl.coalesce("y", "realised")))
        .select(list(FORECAST_SCHEMA))
    )
