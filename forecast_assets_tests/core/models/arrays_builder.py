"""A small simulated panel as the baselines read it."""

import numpy as np

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.arrays import Floats, PanelArrays


def simulated_panel(*, tickers: int, sessions: int, seed: int) -> PanelArrays:
    """Independent tickers with GARCH returns, one segment each, nothing missing; columns computed by naive means."""
    rng = np.random.default_rng(seed)
    blocks = [_ticker(rng, sessions=sessions) for _ in range(tickers)]
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return PanelArrays(
        ticker_code=np.repeat(np.arange(tickers), sessions),
        segment_start=np.tile(np.arange(sessions) == 0, tickers),
        is_missing=np.zeros(tickers * sessions, dtype=bool),
        **columns,
    )


def garch_returns(
    rng: np.random.Generator, *, sessions: int, omega: float = 4e-6, alpha: float = 0.08, beta: float = 0.9
) -> Floats:
    """Simulated GARCH(1,1) returns with Normal innovations, (sessions,)."""
    variance = omega / (1 - alpha - beta)
    returns = np.empty(sessions)
    for t, innovation in enumerate(rng.standard_normal(sessions)):
        returns[t] = np.sqrt(variance) * innovation
        variance = omega + alpha * returns[t] ** 2 + beta * variance
    return returns


def _ticker(rng: np.random.Generator, *, sessions: int) -> dict[str, Floats]:
    returns = garch_returns(rng, sessions=sessions)
    squares = np.maximum(returns**2, 1e-8)
    close = np.cumsum(returns)
    ewma = np.empty(sessions)
    ewma[0] = squares[0]
    for t in range(1, sessions):
        ewma[t] = 0.94 * ewma[t - 1] + 0.06 * squares[t]
    targets = np.full((sessions, len(HORIZONS)), np.nan)
    for column, horizon in enumerate(HORIZONS):
        targets[:-horizon, column] = close[horizon:] - close[:-horizon]
    return {
        "log_return": np.r_[np.nan, returns[1:]],
        "ewma_vol": np.sqrt(ewma),
        "volatility_20": np.sqrt(_trailing_mean(squares, 20)),
        "har_1": np.log(squares),
        "har_5": np.log(_trailing_mean(squares, 5)),
        "har_22": np.log(_trailing_mean(squares, 22)),
        "targets": targets,
    }


def _trailing_mean(values: Floats, window: int) -> Floats:
    mean = np.full(len(values), np.nan)
    for t in range(window - 1, len(values)):
        mean[t] = values[t - window + 1 : t + 1].mean()
    return mean
