"""How volatile a portfolio has lately been against its own forecasts, and how far its losses are rescaled by it.

Each ticker's forecast is calibrated over months. What all of them misjudge together for some days, a market that has just
become volatile, averages out of no long portfolio; a balanced one hardly notices. So the portfolio's own past tells: the
returns that today's weights would have had on the past days, each in units of the deviation that the forecasts of the day
gave them. The exponentially weighted mean of their squares (RiskMetrics, J.P. Morgan 1996) predicts the next one in part; in
which part is estimated by least squares on those days (the slope of Mincer and Zarnowitz 1969), so that a portfolio whose
squares foretell nothing is left as it is. Scenarios are stretched about their median by the square root of what is
predicted, as filtered historical simulation does (Hull and White 1998; Barone-Adesi, Giannopoulos and Vosper 1999).

Marginals stay the published ones; the quantiles of a portfolio are of rescaled returns.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.joint.past import LEAST_SHARE, Days, cells_of
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles
from forecast_assets.core.specs import ScenarioSpec

LONGEST = HORIZONS[-1]
LARGEST_SQUARE = 9.0  # of a day's score: a crash is no volatility of so many days
PERSISTENCE = 0.8  # a session, of the volatility that is predicted: over h sessions it counts with its mean
LEAST_VARIANCE = 0.25


class PastSurprises(NamedTuple):
    """One-session outcomes of D forecast days and N tickers; NaN where there was no forecast, or no outcome yet."""

    days: Days  # (D,) ascending
    surprise: Floats  # (D, N) log return less the forecast's median
    sigma: Floats  # (D, N) of the forecast
    label_end: Days  # (D, N) day on which the outcome was known

    def known_at_end_of(self, day: np.datetime64, *, latest: int) -> "PastSurprises":
        """Return the ``latest`` days before ``day`` with the outcomes that ended up to it, which its last close shows."""
        stop = int(np.searchsorted(self.days, day))
        rows = slice(max(0, stop - latest), stop)
        ended = self.label_end[rows] <= day  # False for NaT
        surprise, sigma = (np.where(ended, part[rows], np.nan) for part in (self.surprise, self.sigma))
        return PastSurprises(self.days[rows], surprise, sigma, self.label_end[rows])

    def of(self, columns: NDArray[np.integer]) -> "PastSurprises":
        """Return them for the tickers of ``columns``, in their order."""
        return PastSurprises(self.days, self.surprise[:, columns], self.sigma[:, columns], self.label_end[:, columns])


def past_surprises(forecasts: pl.DataFrame, *, tickers: list[str]) -> PastSurprises:
    """Return the one-session surprises of matured forecasts of ``tickers``; ``forecasts`` as for ``past_scores``."""
    rows = forecasts.filter(pl.col("horizon") == HORIZONS[0]).drop_nulls(["y", "label_end"])
    days, cell, found = cells_of(rows, tickers=tickers)
    shape = (len(days), len(tickers))
    surprise, sigma, ends = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, "NaT", "datetime64[D]")
    surprise[cell] = (found["y"] - found["q50"]).to_numpy()
    sigma[cell] = mean_sigma_from_quantiles(found.select(QUANTILE_COLUMNS).to_numpy())[1]
    ends[cell] = found["label_end"].to_numpy().astype("datetime64[D]")
    return PastSurprises(days, surprise, sigma, ends)


def portfolio_squares(past: PastSurprises, weights: Floats, scores: NDArray[np.floating]) -> Floats:
    """Return the squared scores of a portfolio on past days, (T,), oldest first.

    ``weights`` (N,); ``scores`` (S, N): one-session scores of the days that scenarios follow, whose correlation gives the
    deviation. A ticker without an outcome is left out of both sides, a day with less than half of the risk known is not
    returned.
    """
    known = np.isfinite(past.surprise)
    exposure = np.where(known, past.sigma, 0.0) * weights  # (D, N)
    usual = np.where(known, past.sigma, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)  # (N,)
    enough = np.abs(exposure).sum(axis=1) >= LEAST_SHARE * (usual @ np.abs(weights))
    centred = np.asarray(scores, dtype=np.float64) - scores.mean(axis=0)
    covariance = centred.T @ centred / len(centred)  # (N, N)
    variance = ((exposure @ covariance) * exposure).sum(axis=1)  # (D,)
    earned = np.where(known, past.surprise, 0.0) @ weights
    usable = enough & (variance > 0)
    squares: Floats = earned[usable] ** 2 / variance[usable]
    return squares


def volatility_factors(squares: Floats, *, spec: ScenarioSpec) -> Floats:
    """Return the factor of a portfolio's volatility over 1 ... ``LONGEST`` sessions, from its squared scores (T,).

    Ones under ``spec.least_days`` days, or where ``spec.volatility_sessions`` is 0.
    """
    if len(squares) < spec.least_days or not spec.volatility_sessions:
        return np.ones(LONGEST)
    cut = np.minimum(squares, LARGEST_SQUARE)
    relative = cut / cut.mean() - 1.0
    keeps = 0.5 ** (1.0 / spec.volatility_sessions)
    state = np.zeros(len(relative) + 1)  # of the next day, before each and after the last
    for day, value in enumerate(relative):
        state[day + 1] = keeps * state[day] + (1.0 - keeps) * value
    past = state[:-1]
    square = float(past @ past)
    slope = float(np.clip(past @ relative / square, 0.0, 1.0)) if square > 0 else 0.0
    lasting = np.cumsum(PERSISTENCE ** np.arange(LONGEST)) / np.arange(1, LONGEST + 1)
    factors: Floats = np.sqrt(np.maximum(1.0 + slope * state[-1] * lasting, LEAST_VARIANCE))
    return factors


def stretched(returns: Floats, factors: Floats) -> Floats:
    """Return the returns (M, n) of equally likely scenarios, each of M rows stretched about its median by its factor."""
    median = np.median(returns, axis=-1, keepdims=True)
    made: Floats = median + factors[:, None] * (returns - median)
    return made
