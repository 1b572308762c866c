"""Statistics of a factor: rank IC by horizon, returns and turnover of its quantiles, rank autocorrelation.

A factor is any number per ticker and date that may rank tickers by the returns that follow: a forecast's median, a feature.
Definitions are those of alphalens, against which ``benchmarks/factor.py`` compares: quantiles are cut by date with linear
interpolation between values (``pandas.qcut``), so a value on an edge belongs to the lower quantile and tickers with equal
factors share one. A date on which two edges coincide has no quantiles; its rank IC counts all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.significance import diebold_mariano
from forecast_assets.core.scores.rank import MIN_TICKERS, rank_ic

QUANTILE_COUNT = 5
KEY = ("date", "ticker")


@dataclass(frozen=True)
class HorizonStatistics:
    """A factor against the returns over one horizon; None where nothing can be computed.

    Returns are simple ones, means over dates of each date's mean. ``t`` are of means over dates, with Newey-West
    variances that allow for labels overlapping over the horizon.
    """

    horizon: int
    dates: int  # with a rank IC
    rank_ic: float | None
    rank_ic_t: float | None
    quantile_returns: tuple[float | None, ...]  # the quantile of the smallest factors first
    spread: float | None  # return of the top quantile less the bottom one's
    spread_t: float | None


@dataclass(frozen=True)
class FactorStatistics:
    """A factor's statistics; those of its own changes are from one date with quantiles, or with ranks, to the next."""

    rows: int  # with a factor
    tickers: int
    dates: int
    dates_with_quantiles: int
    horizons: tuple[HorizonStatistics, ...]
    bottom_turnover: float | None  # share of the bottom quantile's tickers that were not in it on the date before
    top_turnover: float | None
    rank_autocorrelation: float | None


def return_column(horizon: int) -> str:
    """Return the column that holds the simple return over ``horizon`` sessions from a row's date on."""
    return f"return_{horizon}d"


def forecast_factor(table: pl.DataFrame, *, horizon: int) -> tuple[pl.DataFrame, list[int]]:
    """Return date, ticker, factor and a ``return_column`` per horizon of one model's forecasts, and those horizons.

    The factor is the median over ``horizon`` sessions. ``table``: date, ticker, horizon, q50, y (log return, null until
    known).
    """
    horizons = sorted(table["horizon"].unique().to_list())
    rows = table.filter(pl.col("horizon") == horizon).select(*KEY, factor="q50")
    for each in horizons:
        outcomes = table.filter(pl.col("horizon") == each).select(
            *KEY, (pl.col("y").exp() - 1).alias(return_column(each))
        )
        rows = rows.join(outcomes, on=list(KEY), how="left")
    return rows, horizons


def factor_statistics(
    rows: pl.DataFrame, *, horizons: Sequence[int], quantiles: int = QUANTILE_COUNT
) -> FactorStatistics:
    """Return the statistics of ``rows``: date, ticker, factor and a ``return_column`` per horizon, null until known.

    Rows without a finite factor are left out. A ticker without a return is ranked with the others of its date, and is
    left out of that horizon's rank IC and means. Raises ValueError where a ticker has two rows on a date.
    """
    known = with_quantiles(rows, quantiles=quantiles)
    return FactorStatistics(
        rows=known.height,
        tickers=known["ticker"].n_unique(),
        dates=known["date"].n_unique(),
        dates_with_quantiles=known.drop_nulls("quantile")["date"].n_unique(),
        horizons=tuple(_of_horizon(known, horizon, quantiles) for horizon in horizons),
        bottom_turnover=_mean(quantile_turnover(known, 1)["turnover"]),
        top_turnover=_mean(quantile_turnover(known, quantiles)["turnover"]),
        rank_autocorrelation=_mean(rank_autocorrelation(known)["correlation"]),
    )


def statistics_by_group(
    rows: pl.DataFrame, *, group: str, horizons: Sequence[int], quantiles: int = QUANTILE_COUNT
) -> dict[str, FactorStatistics]:
    """Return the statistics within each value of the column ``group``, sorted; quantiles are cut within the group."""
    named = rows.drop_nulls(group).filter(pl.col("factor").is_finite())
    return {
        str(name): factor_statistics(part, horizons=horizons, quantiles=quantiles)
        for (name,), part in sorted(named.group_by(group), key=lambda item: str(item[0]))
    }


def with_quantiles(rows: pl.DataFrame, *, quantiles: int = QUANTILE_COUNT) -> pl.DataFrame:
    """Return the rows with a finite factor, by date and ticker, plus ``quantile`` from 1; null where edges coincide.

    Of n values, edge k lies k (n - 1) / ``quantiles`` places above the smallest, so whole numbers decide: a value above
    ``below`` others is in the first quantile k where ``below`` is at most that place. ``pandas.qcut`` rounds its edges,
    and may so tell two apart that lie on equal values, where n - 1 is a multiple of ``quantiles``.
    """
    known = rows.filter(pl.col("factor").is_finite()).sort(KEY)
    if (repeated := int(known.select(KEY).is_duplicated().sum())) > 0:
        raise ValueError(f"a factor: {repeated} of {known.height} rows share date and ticker with another")
    rank = pl.col("factor").rank
    steps = pl.col("others")  # of one place, between the smallest value and the largest
    placed = known.with_columns(
        below=rank("min").over("date").cast(pl.Int64) - 1,
        not_above=rank("max").over("date").cast(pl.Int64) - 1,
        others=pl.len().over("date").cast(pl.Int64) - 1,
    )
    first = (pl.col("below") * quantiles + steps - 1) // steps  # the first edge that is not below the value
    last = pl.col("not_above") * quantiles // steps  # the last one that is not above it
    coincide = (steps == 0) | (first < last).fill_null(value=False)  # two edges on one value
    return (
        placed.with_columns(quantile=pl.max_horizontal(first, pl.lit(1)), coincide=coincide)
        .with_columns(quantile=pl.when(~pl.col("coincide").any().over("date")).then("quantile").cast(pl.Int32))
        .drop("below", "not_above", "others", "coincide")
    )


def daily_rank_ic(rows: pl.DataFrame, *, horizon: int) -> pl.DataFrame:
    """Return date, rank_ic of each date in ``rows``: null under three tickers with a return, or where all are equal."""
    values = rank_ic(
        rows["factor"].to_numpy(),
        rows[return_column(horizon)].fill_null(float("nan")).to_numpy(),
        day=rows["date"].to_physical().to_numpy(),
    )
    dates = rows["date"].unique().sort()
    return pl.DataFrame({"date": dates, "rank_ic": pl.Series(values, dtype=pl.Float64).fill_nan(None)})


def quantile_returns(rows: pl.DataFrame, *, horizon: int) -> pl.DataFrame:
    """Return date, quantile, mean_return of rows ``with_quantiles``, sorted."""
    returns = pl.col(return_column(horizon))
    known = rows.filter(pl.col("quantile").is_not_null() & returns.is_finite())
    return (
        known.group_by("date", "quantile", maintain_order=True).agg(mean_return=returns.mean()).sort("date", "quantile")
    )


def quantile_turnover(rows: pl.DataFrame, quantile: int) -> pl.DataFrame:
    """Return date, turnover: the share of a quantile's tickers that were not in it on the date with quantiles before.

    On a date without one exchange, its tickers leave, and enter again on the next.
    """
    members = rows.filter(pl.col("quantile") == quantile).select("ticker", "date")
    now = members.with_columns(number=pl.col("date").rank("dense").cast(pl.Int64))
    stayed = now.join(now.select("ticker", pl.col("number") + 1, stayed=True), on=["ticker", "number"], how="left")
    share = pl.col("stayed").is_null().mean()
    return stayed.filter(pl.col("number") > 1).group_by("date", maintain_order=True).agg(turnover=share).sort("date")


def rank_autocorrelation(rows: pl.DataFrame) -> pl.DataFrame:
    """Return date, correlation of the ranks with the date before, over tickers of both; null under three of them.

    Ranks are among all tickers of a date, those that were not there before included.
    """
    ranked = rows.select("ticker", "date", rank=pl.col("factor").rank().over("date"))
    now = ranked.with_columns(number=pl.col("date").rank("dense").cast(pl.Int64))
    before = now.select("ticker", pl.col("number") + 1, before="rank")
    both = now.join(before, on=["ticker", "number"])
    daily = (
        both.group_by("date", maintain_order=True)
        .agg(correlation=pl.corr("rank", "before"), shared=pl.len())
        .sort("date")
    )
    defined = pl.col("correlation").is_finite() & (pl.col("shared") >= MIN_TICKERS)
    return daily.select("date", correlation=pl.when(defined).then("correlation"))


def _of_horizon(rows: pl.DataFrame, horizon: int, quantiles: int) -> HorizonStatistics:
    ic = daily_rank_ic(rows, horizon=horizon)["rank_ic"].drop_nulls()
    daily = quantile_returns(rows, horizon=horizon)
    means = dict(daily.group_by("quantile", maintain_order=True).agg(pl.col("mean_return").mean()).iter_rows())
    spread = daily_spread(daily, quantiles=quantiles)["spread"]
    return HorizonStatistics(
        horizon=horizon,
        dates=len(ic),
        rank_ic=_mean(ic),
        rank_ic_t=_t(ic, horizon),
        quantile_returns=tuple(means.get(quantile) for quantile in range(1, quantiles + 1)),
        spread=_mean(spread),
        spread_t=_t(spread, horizon),
    )


def daily_spread(daily: pl.DataFrame, *, quantiles: int = QUANTILE_COUNT) -> pl.DataFrame:
    """Return date, spread of ``quantile_returns``: the top quantile's less the bottom one's, on dates that have both."""
    top, bottom = (
        daily.filter(pl.col("quantile") == quantile).select("date", "mean_return") for quantile in (quantiles, 1)
    )
    both = top.join(bottom, on="date", suffix="_bottom").sort("date")
    return both.select("date", spread=pl.col("mean_return") - pl.col("mean_return_bottom"))


def _mean(values: pl.Series) -> float | None:
    known = values.drop_nulls().to_numpy()
    return float(known.mean()) if len(known) else None


def _t(values: pl.Series, horizon: int) -> float | None:
    """Return t of the mean of a daily series: the Diebold-Mariano statistic is just that, of any differences."""
    if len(values) <= 2 * horizon:
        return None
    statistic = diebold_mariano(values.to_numpy(), horizon_sessions=horizon).statistic
    return statistic if np.isfinite(statistic) else None
