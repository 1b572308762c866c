"""How widely a portfolio's returns have spread, and how far its scenarios are rescaled to that.

Each ticker's forecast is calibrated, and scenarios order them as past outcomes were ordered. By how much a portfolio's
return spreads needs more than that: draws have thin tails beyond the outer quantiles, which average out of no sum; what
each scenario draws anew of a ticker holds its correlations back; and what has gone up together moves together now more
than it did two years ago, which a book that is chosen by it feels first. So the portfolio's own past tells (historical
simulation): the returns that today's weights and sigmas would have had on the past days, with each ticker's surprise in
units of the sigma that was forecast for it. Scenarios are stretched about their median until the range between their 5
and 95 % quantiles is that of these returns, later days counting more. A range and no deviation, since it leaves a
calibrated ticker alone as it is.

Besides, volatility comes in stretches of days. The exponentially weighted mean of the latest squared returns
(RiskMetrics, J.P. Morgan 1996) predicts the next one in part; in which part is estimated by least squares on the past
days (the slope of Mincer and Zarnowitz 1969), so that a portfolio whose squares foretell nothing is left as it is. That
is filtered historical simulation (Hull and White 1998; Barone-Adesi, Giannopoulos and Vosper 1999).

Marginals stay the published ones; the quantiles of a portfolio are of rescaled returns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.joint.past import LEAST_SHARE, Days, cells_of
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles
from forecast_assets.core.specs import ScenarioSpec

OUTER = (0.05, 0.95)
"""Between these quantiles a range is measured."""
RANGE_SESSIONS = 250.0
"""Half-life, in days, of what a past day counts in the range. Chosen with the rest on 2014 to 2018: see benchmarks.joint."""
LARGEST_SQUARE = 9.0  # of a day's return, in units of the mean: a crash is no volatility of so many days
PERSISTENCE = 0.8  # a session, of the volatility that is predicted: over h sessions it counts with its mean
LEAST_VARIANCE = 0.25


class PastSurprises(NamedTuple):
    """One-session outcomes of D forecast days and N tickers; NaN where there was no forecast, or no outcome yet."""

    days: Days  # (D,) ascending
    surprise: Floats  # (D, N) log return less the forecast's median, in units of the forecast's sigma
    label_end: Days  # (D, N) day on which the outcome was known

    def known_at_end_of(self, day: np.datetime64, *, latest: int) -> "PastSurprises":
        """Return the ``latest`` days before ``day`` with the outcomes that ended up to it, which its last close shows."""
        stop = int(np.searchsorted(self.days, day))
        rows = slice(max(0, stop - latest), stop)
        ended = self.label_end[rows] <= day  # False for NaT
        return PastSurprises(self.days[rows], np.where(ended, self.surprise[rows], np.nan), self.label_end[rows])

    def of(self, columns: NDArray[np.integer]) -> "PastSurprises":
        """Return them for the tickers of ``columns``, in their order."""
        return PastSurprises(self.days, self.surprise[:, columns], self.label_end[:, columns])


def past_surprises(forecasts: pl.DataFrame, *, tickers: list[str]) -> PastSurprises:
    """Return the one-session surprises of matured forecasts of ``tickers``; ``forecasts`` as for ``past_scores``."""
    rows = forecasts.filter(pl.col("horizon") == HORIZONS[0]).drop_nulls(["y", "label_end"])
    days, cell, found = cells_of(rows, tickers=tickers)
    shape = (len(days), len(tickers))
    surprise, ends = np.full(shape, np.nan), np.full(shape, "NaT", "datetime64[D]")
    sigma = mean_sigma_from_quantiles(found.select(QUANTILE_COLUMNS).to_numpy())[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (found["y"] - found["q50"]).to_numpy() / sigma
    surprise[cell] = np.where(sigma > 0, scaled, np.nan)
    ends[cell] = found["label_end"].to_numpy().astype("datetime64[D]")
    return PastSurprises(days, surprise, ends)


def past_returns(past: PastSurprises, weights: Floats, sigma: Floats) -> Floats:
    """Return what a portfolio would have earned on past days as the sigmas are now, (T, H), oldest first.

    ``weights`` (N,), ``sigma`` (N, H) of the forecasts of today. A day of which a part of the risk is unknown counts as if
    that had spread as the rest; one of which more than half is unknown is not returned.
    """
    known = np.isfinite(past.surprise)
    exposure = sigma * weights[:, None]  # (N, H)
    size = np.abs(exposure[:, 0])
    share = known @ size / max(float(size.sum()), np.finfo(np.float64).tiny)  # (D,)
    usable = share >= LEAST_SHARE
    earned: Floats = np.where(known[usable], past.surprise[usable], 0.0) @ exposure
    return earned / np.sqrt(share[usable])[:, None]


def volatility_factors(
    drawn: NDArray[np.floating], past: Floats, *, sessions: Sequence[int], spec: ScenarioSpec
) -> Floats:
    """Return by what a portfolio's scenarios over some ``sessions`` are stretched, (S,).

    ``drawn`` (S, n): its returns in the scenarios; ``past`` (T, H): from ``past_returns``. Between two horizons the square
    of the range grows with the sessions. Ones under ``spec.least_days`` days, or where ``spec.volatility_sessions`` is 0.
    """
    if len(past) < spec.least_days or not spec.volatility_sessions:
        return np.ones(len(sessions))
    squares = np.array([0.0, *(_recent_range(column) ** 2 for column in past.T)])
    wanted = np.sqrt(np.interp(sessions, [0, *HORIZONS], squares))
    low, high = np.quantile(drawn, OUTER, axis=-1)
    factors = np.where(high > low, wanted / np.where(high > low, high - low, 1.0), 1.0)
    state = _predicted_excess(past[:, 0], half_life=spec.volatility_sessions)
    ahead = np.array(sessions)
    lasting = (1.0 - PERSISTENCE**ahead) / (1.0 - PERSISTENCE) / ahead
    stretched_by: Floats = factors * np.sqrt(np.maximum(1.0 + state * lasting, LEAST_VARIANCE))
    return stretched_by


def _recent_range(returns: Floats) -> float:
    """Return the range between the outer quantiles of returns (T,), oldest first, later ones counting more."""
    counts = 0.5 ** (np.arange(len(returns))[::-1] / RANGE_SESSIONS)
    order = np.argsort(returns)
    below = np.cumsum(counts[order])
    low, high = np.interp(OUTER, (below - counts[order] / 2) / below[-1], returns[order])
    return float(high - low)


def _predicted_excess(returns: Floats, *, half_life: float) -> float:
    """Return by what share of their mean the next squared return is predicted to lie above it, from returns (T,)."""
    squares = (returns - returns.mean()) ** 2
    cut = np.minimum(squares, LARGEST_SQUARE * squares.mean())
    if not cut.any():
        return 0.0
    relative = cut / cut.mean() - 1.0
    keeps = 0.5 ** (1.0 / half_life)
    state = np.zeros(len(relative) + 1)  # of the next day, before each and after the last
    for day, value in enumerate(relative):
        state[day + 1] = keeps * state[day] + (1.0 - keeps) * value
    past = state[:-1]
    square = float(past @ past)
    slope = float(np.clip(past @ relative / square, 0.0, 1.0)) if square > 0 else 0.0
    return slope * float(state[-1])


def stretched(returns: Floats, factors: Floats) -> Floats:
    """Return the returns (M, n) of equally likely scenarios, each of M rows stretched about its median by its factor."""
    median = np.median(returns, axis=-1, keepdims=True)
    made: Floats = median + factors[:, None] * (returns - median)
    return made
