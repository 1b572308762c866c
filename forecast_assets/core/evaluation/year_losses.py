"""Daily losses of a year's forecasts, computed once for all reports."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import polars as pl

from forecast_assets.core.evaluation.daily_losses import DailyLosses, daily_losses, forecast_losses
from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX, YARDSTICK, forecast_table, quantile_array
from forecast_assets.core.models.catalogue import NETWORKS
from forecast_assets.core.training.calibrate import calibrate_split

# The ensemble without calibration, and with split conformal factors from the fold's validation forecasts.
RAW, SPLIT = "ensemble" + RAW_SUFFIX, "ensemble_split"

SHOWN = ("ensemble", "best_member", *reversed(NETWORKS), "harx", "harx_plain", "har", "garch", "ewma")
"""Models in the reports' order, calibrated; each has its uncalibrated forecasts beside it."""

AGES = (5, 20, 60)  # forecasts of a new listing are scored up to each of these, counted from its first


class YearLosses(NamedTuple):
    """Losses of a year's forecasts, for the reports."""

    daily: DailyLosses  # of all models calibrated and not, and of the ensemble's split conformal
    new_listings: pl.DataFrame  # losses of each forecast of new listings (``forecast_losses``), with age and listed


def year_losses(
    tables: Iterable[pl.DataFrame], *, uncalibrated: Iterable[pl.DataFrame], new_listings: pl.DataFrame
) -> YearLosses:
    """Score the forecast ``tables`` of a year, one in memory at a time.

    ``uncalibrated``: forecasts of the same models before calibration, under the same names; scored with ``RAW_SUFFIX``.
    ``new_listings``: from ``new_listing_origins``. Raises as ``daily_losses``.
    """
    rows: list[pl.DataFrame] = []
    listing = new_listings.select("ticker", "date")

    def scored() -> Iterator[pl.DataFrame]:
        for table in chain(tables, _other_calibrations(uncalibrated)):
            rows.append(forecast_losses(table.join(listing, on=listing.columns, how="semi")))
            yield table

    daily = daily_losses(scored(), references=[*SHOWN, RAW, SPLIT, YARDSTICK], paired=_compared)
    aged = pl.concat(rows).join(new_listings, on=listing.columns, how="left", maintain_order="left")
    return YearLosses(daily, aged)


def calibrated_only(losses: DailyLosses, *, also: Sequence[str] = ()) -> DailyLosses:
    """Return the losses of the models as they are published: none of uncalibrated forecasts, nor ``SPLIT``, but ``also``."""
    return losses.without([name for name in losses.models if _is_other(name) and name not in also])


def _is_other(name: str) -> bool:
    return name == SPLIT or name.endswith(RAW_SUFFIX)


def _compared(model: str, reference: str) -> bool:
    """Return whether reports compare the two: an uncalibrated model, but the ensemble, with the yardstick alone."""
    return reference == YARDSTICK or model == RAW or not model.endswith(RAW_SUFFIX)


def new_listing_origins(decisions: pl.DataFrame) -> pl.DataFrame:
    """Return ticker, date, age, listed: the first ``max(AGES)`` forecast origins of each ticker; ``listed`` is the first.

    ``decisions``: date, ticker of all forecast origins of the panel.
    """
    age = pl.col("date").rank("ordinal").over("ticker").cast(pl.Int64)
    aged = decisions.unique().with_columns(age=age, listed=pl.col("date").min().over("ticker"))
    return aged.filter(pl.col("age") <= max(AGES)).sort("ticker", "date")


def split_conformal(raw: pl.DataFrame) -> pl.DataFrame:
    """Return the ensemble's uncalibrated forecasts calibrated by split conformal, under the name ``SPLIT``."""
    arrays = quantile_array(raw)
    split = raw.unique(["date", "ticker"], maintain_order=True)["split"]  # in the arrays' order: date, then ticker
    return forecast_table(
        date=pl.Series(arrays.date),
        ticker=arrays.ticker,
        quantiles=calibrate_split(arrays.quantiles, y=arrays.y, validation=(split == "validation").to_numpy()),
        y=arrays.y,
        split=split,
        model=SPLIT,
    )


def _other_calibrations(uncalibrated: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the uncalibrated forecasts under names of their own, and the ensemble's calibrated by split conformal."""
    for table in uncalibrated:
        yield table.with_columns(model=pl.col("model") + RAW_SUFFIX)
        if RAW.removesuffix(RAW_SUFFIX) in table["model"]:
            yield split_conformal(table)
