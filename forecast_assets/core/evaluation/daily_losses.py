"""Losses of forecasts summed per day: millions of forecasts in some thousand rows, for all scores and tests."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import Floats, crps_from_quantiles, pinball
from forecast_assets.core.scores.rank import rank_ic

LOSSES = ("pinball", "crps", "inside_95", "inside_90", "squared_error", "absolute_error")
DAY = ("horizon", "date")
DAYS = {"horizon": pl.Int32, "date": pl.Date}
SCORES = {"model": pl.String, **DAYS, "n": pl.UInt32, **dict.fromkeys([*LOSSES, "rank_ic"], pl.Float64)}
FITS = {"model": pl.String, "fit": pl.String, **DAYS, "n": pl.UInt32, "loss": pl.Float64}
PAIRS = {"model": pl.String, "other": pl.String, **DAYS, "loss": pl.Float64, "reference": pl.Float64}


class DailyLosses(NamedTuple):
    """Sums over a day's matured test forecasts, in log-return units; tables are sorted by their keys.

    ``pairs``: pinball of both over the forecasts that both made; ``other`` is one of the references. Days without such a
    forecast have no row.
    """

    scores: (
        pl.DataFrame
    )  # model, horizon, date, n, the sum of each of ``LOSSES``, rank_ic (Spearman, of mean and outcome)
    pairs: pl.DataFrame  # model, other, horizon, date, loss, reference
    shared: pl.DataFrame  # horizon, date and a column per model: mean pinball over the forecasts that every model made
    fits: pl.DataFrame  # model, fit, horizon, date, n, loss (sum of pinball), see ``training_noise.fit_losses``

    @property
    def models(self) -> list[str]:
        """All models that have a matured test forecast, sorted."""
        return self.scores["model"].unique().sort().to_list()

    @property
    def references(self) -> list[str]:
        """The models that the others were paired with, sorted."""
        return self.pairs["other"].unique().sort().to_list()

    def pair(self, model: str, other: str) -> pl.DataFrame:
        """Return horizon, date, loss, reference of one model against a reference; raises ValueError for another."""
        if other not in self.references:
            raise ValueError(f"nothing was paired with {other}; have {self.references}")
        both = (pl.col("model") == model) & (pl.col("other") == other)
        return self.pairs.filter(both).select(*DAY, "loss", "reference")

    def without(self, models: Sequence[str]) -> "DailyLosses":
        """Return the losses of all other models; ``shared`` still covers the forecasts that these ``models`` made too."""
        return DailyLosses(
            scores=self.scores.filter(~pl.col("model").is_in(models)),
            pairs=self.pairs.filter(~pl.col("model").is_in(models) & ~pl.col("other").is_in(models)),
            shared=self.shared.drop(models, strict=False),
            fits=self.fits.filter(~pl.col("model").is_in(models)),
        )


def daily_losses(
    tables: Iterable[pl.DataFrame],
    *,
    references: Sequence[str],
    paired: Callable[[str, str], bool] = lambda model, reference: True,
) -> DailyLosses:
    """Sum the losses of forecast tables of one period, such as a year, by day.

    A table holds one model or several; one table is in memory at a time. ``references``: models that the others are
    paired with; ``paired(model, reference)`` leaves out pairs that nobody asks for. All is empty where no test forecast
    has matured, and so is ``fits``, whose tables are others. Raises ValueError where two tables hold one model.
    """
    scores, decisions = [pl.DataFrame(schema=SCORES)], {}
    for table in tables:
        for (name,), rows in forecast_losses(table).group_by("model", maintain_order=True):
            if name in decisions:
                raise ValueError(f"daily_losses: two tables of one period hold {name}")
            scores.append(_added_up(rows).insert_column(0, pl.lit(str(name)).alias("model")))
            decisions[str(name)] = rows.select(*DAY, "ticker", "pinball")
    names = sorted(decisions)
    if not names:
        return DailyLosses(scores[0], pl.DataFrame(schema=PAIRS), pl.DataFrame(schema=DAYS), pl.DataFrame(schema=FITS))
    days, starts, wide = _side_by_side([decisions[name] for name in names])
    return DailyLosses(
        scores=pl.concat(scores).sort("model", *DAY),
        pairs=_pairs(names, days, starts, wide, references, paired).sort("model", "other", *DAY),
        shared=_shared(names, days, starts, wide),
        fits=pl.DataFrame(schema=FITS),
    )


def join_losses(periods: Iterable[DailyLosses]) -> DailyLosses:
    """Join the losses of several periods, of which no two share a day.

    A period in which a model is missing has no forecast that every model made, and is left out of ``shared``.
    """
    scores, pairs, shared, fits = (pl.concat(tables, how="diagonal") for tables in zip(*periods, strict=True))
    return DailyLosses(
        scores=scores.sort("model", *DAY),
        pairs=pairs.sort("model", "other", *DAY),
        shared=shared.select(*DAY, *sorted(set(shared.columns) - set(DAY))).drop_nulls().sort(DAY),
        fits=fits.sort("model", "fit", *DAY),
    )


def forecast_losses(table: pl.DataFrame) -> pl.DataFrame:
    """Return model, horizon, date, ticker, mean, y and the losses of each matured test forecast.

    ``LOSSES``: pinball (mean over levels), crps, inside_95, inside_90 (between the .025-.975 and .05-.95 quantiles),
    squared_error (of the mean), absolute_error (of the median). Log-return units.
    """
    matured = table.filter((pl.col("split") == "test") & pl.col("y").is_not_null())
    y, quantiles = matured["y"].to_numpy(), matured.select(QUANTILE_COLUMNS).to_numpy()
    return matured.select(
        *("model", "horizon", "date", "ticker", "mean", "y"),
        pinball=pl.Series(pinball(y, quantiles, levels=QUANTILES).mean(axis=-1), dtype=pl.Float64),
        crps=pl.Series(crps_from_quantiles(y, quantiles, levels=QUANTILES), dtype=pl.Float64),
        inside_95=pl.col("y").is_between("q025", "q975"),
        inside_90=pl.col("y").is_between("q05", "q95"),
        squared_error=(pl.col("y") - pl.col("mean")) ** 2,
        absolute_error=(pl.col("y") - pl.col("q50")).abs(),
    )


def _added_up(rows: pl.DataFrame) -> pl.DataFrame:
    """Sum one model's losses per horizon and date, sorted."""
    rows = rows.sort(DAY, maintain_order=True)
    day = (rows["horizon"] != rows["horizon"].shift(1)) | (rows["date"] != rows["date"].shift(1))
    number = day.fill_null(value=True).cum_sum().to_numpy()
    correlation = rank_ic(rows["mean"].to_numpy(), rows["y"].to_numpy(), day=number)
    daily = rows.group_by(DAY, maintain_order=True).agg(pl.len().alias("n"), pl.col(LOSSES).cast(pl.Float64).sum())
    return daily.with_columns(rank_ic=pl.Series(correlation, dtype=pl.Float64).fill_nan(None))


def _side_by_side(models: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, NDArray[np.intp], Floats]:
    """Return days (horizon, date), the first row of each, and pinball (rows, models): NaN where a model made no forecast.

    Rows are sorted by one number each, which is far quicker than joining on three columns.
    """
    tickers = pl.Enum(pl.concat([rows["ticker"].unique() for rows in models]).unique().sort())
    width = np.int64(len(tickers.categories))

    def number(rows: pl.DataFrame) -> NDArray[np.int64]:
        day = rows["horizon"].to_numpy().astype(np.int64) << 32 | rows["date"].to_physical().to_numpy().astype(np.int64)
        code: NDArray[np.int64] = rows["ticker"].cast(tickers).to_physical().to_numpy().astype(np.int64)
        return day * width + code

    numbers = [number(rows) for rows in models]
    decisions = np.unique(numbers[0])
    if not all(np.array_equal(decisions, other) for other in (np.sort(each) for each in numbers[1:])):
        decisions = np.unique(np.concatenate(numbers))
    wide = np.full((len(decisions), len(models)), np.nan)
    for k, (rows, places) in enumerate(zip(models, numbers, strict=True)):
        wide[np.searchsorted(decisions, places), k] = rows["pinball"].to_numpy()
    day, starts = np.unique(decisions // width, return_index=True)
    days = {"horizon": (day >> 32).astype(np.int32), "date": (day & 0xFFFFFFFF).astype(np.int32)}
    return pl.DataFrame(days).cast({"date": pl.Date}), starts, wide


def _pairs(
    names: Sequence[str],
    days: pl.DataFrame,
    starts: NDArray[np.intp],
    wide: Floats,
    references: Sequence[str],
    paired: Callable[[str, str], bool],
) -> pl.DataFrame:
    parts = [pl.DataFrame(schema=PAIRS)]
    for other in (name for name in references if name in names):
        models = [name for name in names if paired(name, other)]
        chosen, reference = wide[:, [names.index(name) for name in models]], wide[:, [names.index(other)]]
        both = ~np.isnan(chosen) & ~np.isnan(reference)
        count = np.add.reduceat(both.astype(np.int64), starts, axis=0)
        losses = np.add.reduceat(np.where(both, chosen, 0.0), starts, axis=0)
        against = np.add.reduceat(np.where(both, reference, 0.0), starts, axis=0)
        for k, name in enumerate(models):
            sums = {"loss": losses[:, k], "reference": against[:, k]}
            table = days.with_columns(**sums, model=pl.lit(name), other=pl.lit(other))
            parts.append(table.filter(pl.Series(count[:, k] > 0)).select(parts[0].columns))
    return pl.concat(parts)


def _shared(names: Sequence[str], days: pl.DataFrame, starts: NDArray[np.intp], wide: Floats) -> pl.DataFrame:
    everyone = np.asarray(~np.isnan(wide).any(axis=1))
    count = np.add.reduceat(everyone.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(everyone[:, None], wide, 0.0), starts, axis=0)
    means = pl.DataFrame(sums / np.maximum(count, 1)[:, None], schema=list(names))
    return pl.concat([days, means], how="horizontal").filter(pl.Series(count > 0))
