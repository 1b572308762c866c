"""The forecast table that all models share: a row per date, ticker and horizon."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles

FORECAST_SCHEMA: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "ticker": pl.String(),
    "horizon": pl.Int32(),
    **dict.fromkeys((*QUANTILE_COLUMNS, "mean", "sigma", "y"), pl.Float64()),
    **dict.fromkeys(("split", "model"), pl.String()),
}
"""Columns of a forecast table. ``y`` is null until matured; nothing else is."""


RAW_SUFFIX = "_raw"
"""Of the names by which forecasts before calibration are scored beside the calibrated ones: ``harx`` and ``harx_raw``."""

YARDSTICK = "ewma" + RAW_SUFFIX
"""EWMA(0.94) without calibration: what every pinball ratio refers to, so that ratios of all publications compare."""


class ForecastArrays(NamedTuple):
    """A forecast table as arrays: M decisions (date and ticker, sorted), H horizons, L levels."""

    date: NDArray[np.datetime64]  # (M,)
    ticker: NDArray[np.str_]  # (M,)
    quantiles: Floats  # (M, H, L)
    mean: Floats  # (M, H)
    sigma: Floats  # (M, H)
    y: Floats  # (M, H), NaN until matured


def forecast_table(
    *,
    date: NDArray[np.datetime64] | pl.Series,
    ticker: Sequence[str] | NDArray[np.str_] | pl.Series,
    quantiles: ArrayLike,
    y: ArrayLike,
    split: str | Sequence[str] | NDArray[np.str_] | pl.Series,
    model: str,
    mean: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    horizons: Sequence[int] = HORIZONS,
) -> pl.DataFrame:
    """Return the long table (M x H rows) of M decisions' arrays, sorted by date, ticker, horizon.

    ``date``, ``ticker`` and (unless one value for all) ``split`` (M,); ``quantiles`` (M, H, 7) log returns,
    non-decreasing; ``y`` (M, H) realised log returns, NaN where not matured; ``mean`` and ``sigma`` (M, H) come from
    the quantiles (Pearson-Tukey) unless given. Raises ValueError, with counts, on shapes that disagree, non-finite or
    crossing quantiles, and on a non-finite mean, a negative or non-finite sigma, an infinite y or a repeated decision.
    """
    q = np.asarray(quantiles, dtype=np.float64)
    rows, width = len(ticker), len(horizons)
    _check_quantiles(q, (rows, width, len(QUANTILE_COLUMNS)), model)
    implied = mean_sigma_from_quantiles(q)
    given = [default if own is None else own for own, default in zip((mean, sigma), implied, strict=True)]
    location, scale, outcome = (np.asarray(values, dtype=np.float64) for values in (*given, y))
    _check_moments(location, scale, outcome, (rows, width), model)
    decision = pl.DataFrame(
        {
            "date": pl.Series("date", date).cast(pl.Date),
            "ticker": pl.Series("ticker", ticker).cast(pl.String),
            "split": pl.Series("split", [split] * rows if isinstance(split, str) else split).cast(pl.String),
        }
    )
    if (repeated := int(decision.select("date", "ticker").is_duplicated().sum())) > 0:
        raise ValueError(f"{model}: {repeated} of {rows} decisions share date and ticker with another")
    row = decision.select(pl.arg_sort_by("date", "ticker")).to_series().to_numpy()
    cell = np.ix_(row, np.argsort(horizons))  # sorted by decision, then horizon
    columns = {
        "horizon": pl.Series(np.tile(np.sort(np.asarray(horizons, dtype=np.int32)), rows)),
        **{name: pl.Series(q[..., k][cell].ravel()) for k, name in enumerate(QUANTILE_COLUMNS)},
        "mean": pl.Series(location[cell].ravel()),
        "sigma": pl.Series(scale[cell].ravel()),
        "y": pl.Series(outcome[cell].ravel()).fill_nan(None),
    }
    table = decision[np.repeat(row, width)].with_columns(**columns, model=pl.lit(model))
    return table.select(pl.col(name).cast(dtype) for name, dtype in FORECAST_SCHEMA.items())


def quantile_array(table: pl.DataFrame) -> ForecastArrays:
    """Return the arrays of ONE model's forecast table, decisions sorted by date and ticker.

    Raises ValueError where the table holds several models, or a decision lacks a horizon or has it twice.
    """
    if (models := table["model"].n_unique()) > 1:
        raise ValueError(f"quantile_array: one model at a time, the table holds {models}")
    rows = table.filter(pl.col("horizon").is_in(list(HORIZONS))).sort("date", "ticker", "horizon")
    decisions = rows.select("date", "ticker").unique(maintain_order=True)
    expected = np.tile(HORIZONS, len(decisions))
    if not np.array_equal(rows["horizon"].to_numpy(), expected):
        raise ValueError(
            f"quantile_array: {len(decisions)} decisions need horizons {list(HORIZONS)} once each "
            f"({len(expected)} rows), the table has {len(rows)} rows of them"
        )
    shape = (len(decisions), len(HORIZONS))
    every = np.arange(len(HORIZONS))  # picking each fixes the memory layout, by which sums over the arrays round
    return ForecastArrays(
        date=decisions["date"].to_numpy(),
        ticker=decisions["ticker"].to_numpy().astype(np.str_),
        quantiles=rows.select(QUANTILE_COLUMNS).to_numpy().reshape(*shape, -1)[:, every],
        mean=rows["mean"].to_numpy().reshape(shape)[:, every],
        sigma=rows["sigma"].to_numpy().reshape(shape)[:, every],
        y=rows["y"].fill_null(float("nan")).to_numpy().reshape(shape)[:, every],
    )


def _check_quantiles(quantiles: Floats, shape: tuple[int, int, int], model: str) -> None:
    if quantiles.shape != shape:
        raise ValueError(f"{model}: quantiles have shape {quantiles.shape}, expected {shape}")
    forecasts = shape[0] * shape[1]
    not_finite = int((~np.isfinite(quantiles)).any(axis=-1).sum())
    crossing = int((quantiles[..., 1:] < quantiles[..., :-1]).any(axis=-1).sum())
    if not_finite or crossing:
        raise ValueError(
            f"{model}: of {forecasts} forecasts, {not_finite} have non-finite and {crossing} have crossing quantiles"
        )


def _check_moments(mean: Floats, sigma: Floats, y: Floats, shape: tuple[int, int], model: str) -> None:
    for name, values in (("mean", mean), ("sigma", sigma), ("y", y)):
        if values.shape != shape:
            raise ValueError(f"{model}: {name} has shape {values.shape}, expected {shape}")
    if (bad := int((~np.isfinite(mean)).sum())) > 0:
        raise ValueError(f"{model}: {bad} of {mean.size} means are not finite")
    if (bad := int((~((sigma >= 0) & np.isfinite(sigma))).sum())) > 0:
        raise ValueError(f"{model}: {bad} of {sigma.size} sigmas are negative or not finite")
    if (bad := int(np.isinf(y).sum())) > 0:
        raise ValueError(f"{model}: {bad} of {y.size} outcomes are infinite")
