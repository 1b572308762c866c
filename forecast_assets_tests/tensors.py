"""Tiny synthetic ``PanelTensors``: random walks with a constant volatility, on weekdays."""

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
"""What the volatility forecast reads, constant: the forecast is then VOLATILITY at every row."""


def random_panel(*, tickers: int, sessions: int, features: int = 3, seed: int = 0) -> PanelTensors:
    """``tickers`` names over the same ``sessions`` weekdays from 2017 on; ``log_return`` is the first feature.

    ``features`` counts it and the noise features; the constant regressors of the volatility forecast follow.
    """
    generator = np.random.default_rng(seed)
    days = np.array([day for day in range(FIRST_DAY, FIRST_DAY + 2 * sessions) if (day + 3) % 7 < 5][:sessions])
    parts: dict[str, list[np.ndarray]] = {"features": [], "targets": [], "label_end": []}
    for _ in range(tickers):
        returns = generator.normal(0, VOLATILITY, sessions)
        price = np.cumsum(returns)
        targets = np.full((sessions, len(HORIZONS)), np.nan)
        label_end = np.full(sessions, NO_DATE)
        for column, horizon in enumerate(HORIZONS):
            targets[:-horizon, column] = price[horizon:] - price[:-horizon]
            label_end[:-horizon] = np.maximum(label_end[:-horizon], days[horizon:])
        constant = np.tile(list(REGRESSORS.values()), (sessions, 1))
        noise = generator.normal(size=(sessions, features - 1))
        parts["features"].append(np.column_stack([returns, noise, constant]))
        parts["targets"].append(targets)
        parts["label_end"].append(label_end)
    rows = tickers * sessions
    code = torch.arange(tickers, dtype=torch.int32).repeat_interleave(sessions)
    return PanelTensors(
        features=torch.from_numpy(np.concatenate(parts["features"])).float(),
        targets=torch.from_numpy(np.concatenate(parts["targets"])).float(),
        scale=torch.full((rows,), VOLATILITY),
        date=torch.from_numpy(np.tile(days, tickers)).int(),
        label_end=torch.from_numpy(np.concatenate(parts["label_end"])).int(),
        ticker=code,
        sector=code % 2,
        exchange=torch.zeros(rows, dtype=torch.int32),
        observed=torch.ones(rows, dtype=torch.bool),
        segment_start=(torch.arange(sessions) == 0).repeat(tickers),
        run_length=torch.arange(1, sessions + 1, dtype=torch.int32).repeat(tickers),
        feature_names=("log_return", *(f"noise_{i}" for i in range(1, features)), *REGRESSORS),
        tickers=tuple(f"T{i:02d}" for i in range(tickers)),
        sectors=("Even", "Odd"),
        exchanges=("XNYS",),
    )
