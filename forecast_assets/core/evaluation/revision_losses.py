"""What revisions were worth: forecasts from the prices as known then against those as known now.

The forecast is a plain one, an EWMA of squared returns with Normal quantiles, so that each forecast origin can be made
twice. It says how much a revision moved the scale of a band and what that cost, not how the networks would have changed.
"""

import datetime as dt
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.as_of import end_of_day
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.scores.quantile import pinball

LOSSES = {
    "ticker": pl.String,
    "date": pl.Date,
    "horizon": pl.Int32,
    "sigma_then": pl.Float64,
    "sigma_now": pl.Float64,
    "pinball_then": pl.Float64,
    "pinball_now": pl.Float64,
}
WORTH = {
    "horizon": pl.Int32,
    "origins": pl.UInt32,
    "sigma_change": pl.Float64,  # mean |sigma now / sigma then - 1|
    "pinball_then": pl.Float64,
    "pinball_now": pl.Float64,
}
DECAY = 0.94  # RiskMetrics
MEMORY = 250  # returns that an average looks back on: older ones weigh less than a millionth at a decay of 0.94
NORMAL = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])

Floats = NDArray[np.float64]


def revision_losses(quotes: pl.DataFrame, revisions: pl.DataFrame) -> pl.DataFrame:
    """Return, by ``LOSSES``, both forecasts of each origin that saw a close which was revised after its night.

    ``quotes`` (ticker, date, close) as known now; ``revisions`` (ticker, date, old_close, new_arrived, old_arrived). An
    origin whose outcome is not known yet has no loss and is left out.
    """
    late = revisions.filter(
        pl.col("new_arrived").is_not_null(), (pl.col("new_close") / pl.col("old_close")).log().abs() > 0
    ).sort("ticker", "date", "new_arrived")
    found = [
        row
        for (ticker,), own in late.group_by("ticker", maintain_order=True)
        for row in _ticker_losses(str(ticker), quotes.filter(pl.col("ticker") == ticker), own)
    ]
    return pl.DataFrame(found, schema=LOSSES, orient="row")


def revision_worth(losses: pl.DataFrame) -> pl.DataFrame:
    """Return, by ``WORTH``, the means of ``revision_losses`` by horizon; no row where there is no loss."""
    means = losses.group_by("horizon").agg(
        origins=pl.len(),
        sigma_change=(pl.col("sigma_now") / pl.col("sigma_then") - 1).abs().mean(),
        pinball_then=pl.mean("pinball_then"),
        pinball_now=pl.mean("pinball_now"),
    )
    return means.select(pl.col(name).cast(kind) for name, kind in WORTH.items()).sort("horizon")


def used_before_revised(revisions: pl.DataFrame) -> int:
    """Return how many revisions came after a night had seen the old row: that of its day, or of its own arrival."""
    day_ended = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + dt.timedelta(hours=36)
    return revisions.filter(pl.col("new_arrived") > pl.max_horizontal(day_ended, "old_arrived")).height


def _ticker_losses(ticker: str, quotes: pl.DataFrame, revisions: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    quotes = quotes.sort("date")
    dates, now = quotes["date"].to_list(), quotes["close"].to_numpy()
    place = {date: k for k, date in enumerate(dates)}
    changes = [row for row in revisions.iter_rows(named=True) if row["date"] in place]
    for k in _origins(dates, changes, place):
        then, night = now.copy(), end_of_day(dates[k])
        for change in reversed(changes):  # the first revision after the night holds what the night saw
            if change["new_arrived"] > night:
                then[place[change["date"]]] = change["old_close"]
        begin = max(0, k - MEMORY)
        if k - begin < 2:
            continue
        sigmas = [_sigma(closes[begin : k + 1]) for closes in (then, now)]
        if 0.0 in sigmas:
            continue
        for horizon in HORIZONS:
            if k + horizon < len(now):
                outcome = np.log(now[k + horizon] / now[k])
                scores = [_loss(outcome, sigma * np.sqrt(horizon)) for sigma in sigmas]
                yield (ticker, dates[k], horizon, *sigmas, *scores)


def _origins(dates: list[dt.date], changes: list[dict[str, Any]], place: dict[dt.date, int]) -> list[int]:
    """Return the rows whose night saw an old value: from its own day and arrival up to the new one's arrival."""
    found = set()
    for change in changes:
        for k in range(place[change["date"]], len(dates)):
            night = end_of_day(dates[k])
            if night >= change["new_arrived"]:
                break
            if change["old_arrived"] is None or change["old_arrived"] <= night:
                found.add(k)
    return sorted(found)


def _sigma(closes: Floats) -> float:
    squares = np.diff(np.log(closes)) ** 2
    weights = DECAY ** np.arange(len(squares) - 1, -1, -1.0)
    return float(np.sqrt((weights * squares).sum() / weights.sum()))


def _loss(outcome: float, sigma: float) -> float:
    return float(pinball(outcome, sigma * NORMAL, levels=QUANTILES).mean())
