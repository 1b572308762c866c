"""Daily losses of a year's forecasts, computed once for all reports."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import polars as pl

from forecast_assets.core.evaluation.daily_losses import DailyLosses, daily_losses, forecast_losses
from forecast_assets.core.evaluation.forecast_table import forecast_table, quantile_array
from forecast_assets.core.models.catalogue import NETWORKS
from forecast_assets.core.training.calibrate import calibrate_split

# The ensemble without calibration, and with split conformal factors from the fold's validation forecasts.
RAW, SPLIT = "ensemble_raw", "ensemble_split"

SHOWN = ("ensemble", "best_member", *reversed(NETWORKS), "harx", "har", "garch", "ewma")
"""Models in the reports' order; the ensemble's other calibrations occur in steps only."""

AGES = (5, 20, 60)  # forecasts of a new listing are scored up to each of these, counted from its first


class YearLosses(NamedTuple):
    """Losses of a year's forecasts, for the reports."""

    daily: DailyLosses  # of all models, and of the ensemble's other calibrations
    new_listings: pl.DataFrame  # losses of each forecast of new listings (``forecast_losses``), with age and listed


def year_losses(tables: Iterable[pl.DataFrame], *, raw: pl.DataFrame | None, new_listings: pl.DataFrame) -> YearLosses:
    """Score the forecast ``tables`` of a year, one in memory at a time.

    ``raw``: the ensemble's forecasts before calibration, or None where it has none; ``new_listings``: from
    ``new_listing_origins``. Raises as ``daily_losses``.
    """
    rows: list[pl.DataFrame] = []
    listing = new_listings.select("ticker", "date")

    def scored() -> Iterator[pl.DataFrame]:
        for table in chain(tables, other_calibrations(raw) if raw is not None else ()):
            rows.append(forecast_losses(table.join(listing, on=listing.columns, how="semi")))
            yield table

    daily = daily_losses(scored(), references=[*SHOWN, RAW, SPLIT])
    aged = pl.concat(rows).join(new_listings, on=listing.columns, how="left", maintain_order="left")
    return YearLosses(daily, aged)


def new_listing_origins(decisions: pl.DataFrame) -> pl.DataFrame:
    """Return ticker, date, age, listed: the first ``max(AGES)`` forecast origins of each ticker; ``listed`` is the first.

    ``decisions``: date, ticker of all forecast origins of the panel.
    """
    age = pl.col("date").rank("ordinal").over("ticker").cast(pl.Int64)
    aged = decisions.unique().with_columns(age=age, listed=pl.col("date").min().over("ticker"))
    return aged.filter(pl.col("age") <= max(AGES)).sort("ticker", "date")


def other_calibrations(raw: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the ensemble's uncalibrated forecasts, and those calibrated by split conformal."""
    yield raw.with_columns(model=pl.lit(RAW))
    arrays = quantile_array(raw)
    split = raw.unique(["date", "ticker"], maintain_order=True)["split"]  # in the arrays' order: date, then ticker
    yield forecast_table(
        date=pl.Series(arrays.date),
        ticker=arrays.ticker,
        quantiles=calibrate_split(arrays.quantiles, y=arrays.y, validation=(split == "validation").to_numpy()),
        y=arrays.y,
        split=split,
        model=SPLIT,
    )
