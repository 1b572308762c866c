"""Build tiny synthetic ``PanelTensors``: random walks of constant volatility, on weekdays."""

from collections.abc import Sequence

import numpy as np
import torch

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors

FIRST_DAY = 17_167  # 2017-01-01

VOLATILITY = 0.01
REGRESSORS = {
    **dict.fromkeys(("har_1", "har_5", "har_22", "market_variance"), 2 * np.log(VOLATILITY)),
    "market_volatility": np.log(VOLATILITY),
    "return_5": 0.0,
    "return_20": 0.0,
}
"""Constant regressors of the volatility forecast, which is then VOLATILITY at every row."""


def weekdays(sessions: int) -> np.ndarray:
    """Return the first ``sessions`` weekdays from 2017 on, days since 1970, (T,)."""
    return np.array([day for day in range(FIRST_DAY, FIRST_DAY + 2 * sessions) if (day + 3) % 7 < 5][:sessions])


def autoregressive(rng: np.random.Generator, decay: float, sessions: int) -> np.ndarray:
    """Simulate an AR(1) of variance 1, (T,)."""
    values = rng.normal(size=sessions)
    for k in range(1, sessions):
        values[k] = decay * values[k - 1] + np.sqrt(1 - decay**2) * values[k]
    return values


def panel_of(
    days: np.ndarray,
    returns: Sequence[np.ndarray],
    columns: Sequence[np.ndarray],
    *,
    names: Sequence[str],
    sectors: Sequence[str] = ("A", "B", "C", "D"),
) -> PanelTensors:
    """Return a panel of tickers that trade on the same ``days`` (T,), each with ``returns`` (T,) and ``columns`` (T, F).

    ``names`` are those of the columns; the constant regressors of the volatility forecast follow.
    """
    tickers, sessions = len(returns), len(days)
    rows = tickers * sessions
    targets = np.full((tickers, sessions, len(HORIZONS)), np.nan)
    label_end = np.full(sessions, NO_DATE)
    for column, horizon in enumerate(HORIZONS):
        label_end[:-horizon] = np.maximum(label_end[:-horizon], days[horizon:])
        for ticker, price in enumerate(np.cumsum(own) for own in returns):
            targets[ticker, :-horizon, column] = price[horizon:] - price[:-horizon]
    constant = np.tile(list(REGRESSORS.values()), (sessions, 1))
    features = np.concatenate([np.column_stack([own, constant]) for own in columns])
    code = torch.arange(tickers, dtype=torch.int32).repeat_interleave(sessions)
    return PanelTensors(
        features=torch.from_numpy(features).float(),
        targets=torch.from_numpy(targets.reshape(rows, -1)).float(),
        scale=torch.full((rows,), VOLATILITY),
        date=torch.from_numpy(np.tile(days, tickers)).int(),
        label_end=torch.from_numpy(np.tile(label_end, tickers)).int(),
        ticker=code,
        sector=code % len(sectors),
        exchange=torch.zeros(rows, dtype=torch.int32),
        observed=torch.ones(rows, dtype=torch.bool),
        member=torch.ones(rows, dtype=torch.bool),
        segment_start=(torch.arange(sessions) == 0).repeat(tickers),
        run_length=torch.arange(1, sessions + 1, dtype=torch.int32).repeat(tickers),
        feature_names=(*names, *REGRESSORS),
        tickers=tuple(f"T{i:02d}" for i in range(tickers)),
        sectors=tuple(sectors),
        exchanges=("XNYS",),
    )


def random_panel(*, tickers: int, sessions: int, features: int = 3, seed: int = 0) -> PanelTensors:
    """Return a panel of ``tickers`` over the same ``sessions`` weekdays from 2017 on; ``log_return`` is the first feature.

    ``features`` counts it and the noise features; the constant regressors of the volatility forecast follow.
    """
    generator = np.random.default_rng(seed)
    returns, columns = [], []
    for _ in range(tickers):
        returns.append(generator.normal(0, VOLATILITY, sessions))
        columns.append(np.column_stack([returns[-1], generator.normal(size=(sessions, features - 1))]))
    names = ("log_return", *(f"noise_{i}" for i in range(1, features)))
    return panel_of(weekdays(sessions), returns, columns, names=names, sectors=("Even", "Odd"))
