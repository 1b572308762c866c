"""Coverage and pinball loss by cells of the forecasts - exchange, sector, volatility, liquidity, weekday - with intervals.

A year's forecasts become sums per day and cell (``cell_sums``), which join over years; the intervals of all cells of a
horizon come from the same resampled days (stationary bootstrap), since one day's forecasts depend on each other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.daily_losses import forecast_losses
from forecast_assets.core.evaluation.significance import optimal_block
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.scores.quantile import Floats
from forecast_assets.core.specs import CoverageSpec

EVERYTHING = "all"  # the group of one cell that holds every forecast
GROUPS = ("exchange", "sector", "volatility", "liquidity", "weekday")
DECILES = 10  # cells "1" to "10", the narrowest bands or the least traded tickers first
WIDTH_STEP = 0.005  # bands whose widths differ by less than about this share are of one bin

SUMS = ("n", "inside_95", "inside_90", "pinball", "reference")
KEYS = ("model", "group", "cell", "horizon", "date")
SCHEMA = {
    **dict.fromkeys(KEYS[:3], pl.String),
    "horizon": pl.Int32,
    "date": pl.Date,
    **dict.fromkeys(SUMS[:3], pl.UInt32),
    **dict.fromkeys(SUMS[3:], pl.Float64),
}
WEEKDAYS = {str(k): name for k, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), start=1)}


def origin_groups(rows: pl.DataFrame, *, traded: pl.DataFrame) -> pl.DataFrame:
    """Return date, ticker, exchange, sector, liquidity of quoted rows (date, ticker, exchange, sector).

    ``liquidity``: the decile of the ticker's mean traded value (``traded``: date, ticker, traded_value, over its sessions
    before that day) among the tickers of its exchange on that day: values in one currency, known in advance. Null where
    the exchange has fewer tickers than deciles.
    """
    of_day = ("exchange", "date")
    ranked = rows.join(traded.select("date", "ticker", "traded_value"), on=["date", "ticker"], how="left").sort(
        "ticker"
    )
    rank, known = pl.col("traded_value").rank("ordinal").over(of_day), pl.col("traded_value").count().over(of_day)
    decile = pl.when(known >= DECILES).then(((rank.cast(pl.Int64) - 1) * DECILES) // known.cast(pl.Int64) + 1)
    return ranked.select("date", "ticker", "exchange", "sector", liquidity=decile.cast(pl.String))


def cell_sums(table: pl.DataFrame, *, reference: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Return ``SCHEMA``: the sums of each day's matured test forecasts by cell, sorted by ``KEYS``.

    ``table``: forecasts of one model; ``reference``: of the model that its pinball is held against, on the same origins (a
    forecast without one is left out); ``groups``: from ``origin_groups``; a forecast without a cell in a group is in none
    of that group's. Cells of ``volatility`` are bins of the 95 % band's width; ``with_deciles`` makes deciles of them.
    """
    origin = ["date", "ticker", "horizon"]
    matured = table.filter((pl.col("split") == "test") & pl.col("y").is_not_null())
    width = (matured["q975"] - matured["q025"]).clip(lower_bound=1e-8)
    scored = forecast_losses(matured).with_columns(volatility=(width.log() / WIDTH_STEP).floor().cast(pl.Int64))
    held = forecast_losses(reference).select(*origin, reference="pinball")
    rows = scored.join(held, on=origin).join(groups, on=origin[:2], how="left").sort(origin)
    rows = rows.with_columns(
        n=pl.lit(1, pl.UInt32),
        all=pl.lit(EVERYTHING),
        volatility=pl.col("volatility").cast(pl.String),
        weekday=pl.col("date").dt.weekday().cast(pl.String).replace(WEEKDAYS),
    )
    parts = [
        _added_up(rows.with_columns(group=pl.lit(group), cell=pl.col(group)).drop_nulls("cell"))
        for group in (EVERYTHING, *GROUPS)
    ]
    return pl.concat(parts).sort(KEYS)


def with_deciles(sums: pl.DataFrame) -> pl.DataFrame:
    """Return ``cell_sums`` of one or several years with deciles in place of the bins of the volatility group.

    Deciles of the 95 % band's width per model and horizon, over all forecasts of ``sums``. A bin belongs to the decile of
    its middle forecast, so a decile's borders are exact to within half a bin (about a quarter of a percent of forecasts).
    """
    binned = sums.filter(pl.col("group") == "volatility").with_columns(pl.col("cell").cast(pl.Int64))
    of = ["model", "horizon"]
    count = binned.group_by(*of, "cell").agg(pl.col("n").sum().cast(pl.Int64)).sort(*of, "cell")
    middle = (pl.col("n").cum_sum().over(of) - pl.col("n") / 2) / pl.col("n").sum().over(of)
    place = count.select(*of, "cell", decile=((middle * DECILES).floor().cast(pl.Int64) + 1).cast(pl.String))
    deciles = binned.join(place, on=[*of, "cell"]).sort(KEYS).with_columns(cell=pl.col("decile"))
    return pl.concat([sums.filter(pl.col("group") != "volatility"), _added_up(deciles)]).sort(KEYS)


def coverage_cells(sums: pl.DataFrame, *, spec: CoverageSpec) -> pl.DataFrame:
    """Return coverage and pinball of every model, group, cell and horizon, with 95 % intervals and the contract's limits.

    ``sums``: from ``with_deciles``. Columns: model, group, cell, horizon, n, days, tickers (the most on one day);
    coverage_95, coverage_90 and pinball_ratio (to the reference's in the same cell), each with _low and _high; pinball
    (mean, log-return units), pinball_relative (to all forecasts of the horizon); limit_low, limit_high of coverage_95,
    null where the contract sets none. Days are resampled in blocks as long as the coverage of all forecasts of the
    horizon asks for (Politis and White).
    """
    parts = [_one_horizon(rows, spec=spec) for _, rows in sums.group_by("model", "horizon", maintain_order=True)]
    cells = pl.concat(parts) if parts else pl.DataFrame(schema=_CELLS)
    order = {EVERYTHING: 0, **{group: k for k, group in enumerate(GROUPS, start=1)}}
    place = pl.col("cell").replace_strict({name: k for k, name in WEEKDAYS.items()}, default=pl.col("cell"))
    numbered = place.cast(pl.Int64, strict=False).fill_null(0)
    return _with_limits(cells, spec).sort(
        "model", pl.col("group").replace_strict(order, return_dtype=pl.Int64), numbered, "cell", "horizon"
    )


def outside_limits(cells: pl.DataFrame, *, surely: bool = False) -> pl.DataFrame:
    """Return the cells whose 95 % band breaks the contract, the worst first; ``surely``: by its whole interval.

    ``beyond``: by how much the coverage (``surely``: the interval's nearer end) lies outside the limits.
    """
    low, high = ("coverage_95_high", "coverage_95_low") if surely else ("coverage_95", "coverage_95")
    beyond = pl.max_horizontal(pl.col("limit_low") - pl.col(low), pl.col(high) - pl.col("limit_high"))
    outside = cells.with_columns(beyond=beyond).filter(pl.col("beyond") > 0)
    return outside.sort("beyond", "group", "cell", "horizon", descending=[True, False, False, False])


SMALL_PANEL = 60  # tickers; a panel of so few has exchanges of few, and wider limits for all of them


def published_figures(cells: Sequence[Mapping[str, Any]], *, tickers: int, model: str) -> dict[str, list[str]]:
    """Return the cells of a published report that break the contract: exchanges at the shortest horizon, deciles at all.

    ``cells``: ``coverage_cells`` of metrics.json; ``tickers``: of the panel. Exchanges: with 20 tickers or more outside
    93 to 97 %; in a small panel, with 5 or more outside 90 to 98 %. Volatility deciles: outside 92 to 98 %. The limits
    stand here and not in a setting, so that the figures of all runs compare.
    """
    least, low, high = (5, 0.90, 0.98) if tickers <= SMALL_PANEL else (20, 0.93, 0.97)
    own = [cell for cell in cells if cell["model"] == model]
    exchanges = [c for c in own if c["group"] == "exchange" and c["horizon"] == HORIZONS[0] and c["tickers"] >= least]
    deciles = [c for c in own if c["group"] == "volatility"]
    return {
        "exchanges_outside_coverage": [c["cell"] for c in exchanges if not low <= c["coverage_95"] <= high],
        "volatility_deciles_outside_coverage": [
            f"{c['cell']} at {c['horizon']}" for c in deciles if not 0.92 <= c["coverage_95"] <= 0.98
        ],
    }


def _added_up(rows: pl.DataFrame) -> pl.DataFrame:
    """Add up rows that share ``KEYS``, in their order: the same sums to the last digit."""
    added = rows.group_by(KEYS, maintain_order=True).agg(pl.col(SUMS).cast(pl.Float64).sum())
    return added.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


INTERVALS = ("coverage_95", "coverage_90", "pinball_ratio")
_CELLS = {
    **dict.fromkeys(KEYS[:3], pl.String),
    "horizon": pl.Int32,
    **dict.fromkeys(("n", "days", "tickers"), pl.Int64),
    **dict.fromkeys((f"{name}{end}" for name in INTERVALS for end in ("", "_low", "_high")), pl.Float64),
    **dict.fromkeys(("pinball", "pinball_relative"), pl.Float64),
}


def _one_horizon(sums: pl.DataFrame, *, spec: CoverageSpec) -> pl.DataFrame:
    """Return the cells of one model and horizon."""
    cells = sums.select("group", "cell").unique(maintain_order=True).with_row_index("column")
    days = sums["date"].unique().sort()
    places = sums.join(cells, on=["group", "cell"], maintain_order="left")
    day, column = np.searchsorted(days.to_numpy(), places["date"].to_numpy()), places["column"].to_numpy()
    table = np.zeros((len(SUMS), len(days), len(cells)))  # (sums, T, cells)
    for k, name in enumerate(SUMS):
        table[k, day, column] = places[name].to_numpy()
    whole = table[:, :, cells["group"].to_list().index(EVERYTHING)]  # (sums, T)
    drawn = _resampled_days(whole[1:3].T / whole[0][:, None], spec=spec)
    scores = _scores(table.sum(axis=1))
    draws = _scores(np.stack([drawn @ each for each in table]))  # each (samples, cells)
    intervals = {}
    for name in INTERVALS:
        intervals[name] = scores[name]
        intervals[f"{name}_low"], intervals[f"{name}_high"] = np.nanquantile(draws[name], [0.025, 0.975], axis=0)
    count, pinball = table[0], table[3].sum(axis=0) / table[0].sum(axis=0)
    found = {
        "n": count.sum(axis=0).astype(np.int64),
        "days": (count > 0).sum(axis=0).astype(np.int64),
        "tickers": count.max(axis=0).astype(np.int64),
        **intervals,
        "pinball": pinball,
        "pinball_relative": pinball / (whole[3].sum() / whole[0].sum()),
    }
    named = cells.with_columns(
        model=pl.lit(sums["model"][0]),
        horizon=pl.lit(sums["horizon"][0], pl.Int32),
        **{k: pl.Series(v) for k, v in found.items()},
    )
    return named.select(pl.col(name).cast(dtype) for name, dtype in _CELLS.items())


def _scores(sums: Floats) -> dict[str, Floats]:
    """Return ``INTERVALS`` of summed ``SUMS`` (sums, ..., cells); NaN where a resample has no forecast of a cell."""
    n, inside_95, inside_90, pinball, reference = sums
    with np.errstate(invalid="ignore"):
        return {"coverage_95": inside_95 / n, "coverage_90": inside_90 / n, "pinball_ratio": pinball / reference}


def _resampled_days(daily: Floats, *, spec: CoverageSpec) -> Floats:
    """Return how often each of T days occurs in each resample, (samples, T); ``daily`` (T, K) sets the block length."""
    from arch.bootstrap import StationaryBootstrap

    days = np.arange(len(daily))
    resamples = StationaryBootstrap(optimal_block(daily), days, seed=np.random.default_rng(spec.seed))
    drawn = resamples.bootstrap(spec.bootstrap_samples)
    return np.stack([np.bincount(places[0], minlength=len(days)) for places, _ in drawn]).astype(np.float64)


def _with_limits(cells: pl.DataFrame, spec: CoverageSpec) -> pl.DataFrame:
    """Add limit_low and limit_high: exchanges at the shortest horizon, by their number of tickers; volatility deciles."""
    exchange = (pl.col("group") == "exchange") & (pl.col("horizon") == HORIZONS[0])
    many, few = pl.col("tickers") >= spec.many_tickers, pl.col("tickers") >= spec.few_tickers

    def limit(of_many: float, of_few: float, of_decile: float) -> pl.Expr:
        return (
            pl.when(exchange & many)
            .then(of_many)
            .when(exchange & few)
            .then(of_few)
            .when(pl.col("group") == "volatility")
            .then(of_decile)
        )

    return cells.with_columns(
        limit_low=limit(spec.many_low, spec.few_low, spec.decile_low),
        limit_high=limit(spec.many_high, spec.few_high, spec.decile_high),
    )
