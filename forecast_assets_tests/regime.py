"""A planted panel whose dynamics switch with VIX: momentum while it is calm, reversal under stress."""

import numpy as np
import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.macro import MACRO_NAMES
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors
from forecast_assets_tests.tensors import FIRST_DAY, REGRESSORS, VOLATILITY

OWN = ("log_return", "momentum", "noise")
"""The ticker's own columns; ``MACRO_NAMES`` and a calendar column follow."""

CALENDAR = "weekday"
DRIFT = 0.5 * VOLATILITY
"""Drift of the next session where momentum is strong."""


def regime_panel(*, tickers: int, sessions: int, seed: int = 0) -> tuple[PanelTensors, Tensor]:
    """The panel, and the drift of each row's next session, (N,), as who knows the regime would forecast it.

    The drift is ``DRIFT`` x tanh(2 momentum) where VIX is at most 0.2 and the same with a minus above. VIX, one for all
    names, stays on a side for weeks and is above it half the time; the volatility of returns is the same throughout, and
    the other macro columns say nothing. Without the regime, momentum is worth nothing: on average it cancels out.
    """
    rng = np.random.default_rng(seed)
    days = np.array([day for day in range(FIRST_DAY, FIRST_DAY + 2 * sessions) if (day + 3) % 7 < 5][:sessions])
    level = _autoregressive(rng, 0.95, sessions)
    change = np.concatenate([np.zeros(5), 0.3 * (level[5:] - level[:-5])])
    macro = [0.2 * np.exp(0.3 * level), change, *(_autoregressive(rng, decay, sessions) for decay in (0.8, 0.95))]
    sign = np.where(level > 0, -1.0, 1.0)
    label_end = np.full(sessions, NO_DATE)
    for horizon in HORIZONS:
        label_end[:-horizon] = np.maximum(label_end[:-horizon], days[horizon:])
    constant = np.tile(list(REGRESSORS.values()), (sessions, 1))
    features, targets, drifts = [], [], []
    for _ in range(tickers):
        momentum = _autoregressive(rng, 0.7, sessions)
        drift = DRIFT * np.tanh(2 * momentum) * sign
        returns = rng.normal(0, VOLATILITY, sessions)
        returns[1:] += drift[:-1]
        price = np.cumsum(returns)
        target = np.full((sessions, len(HORIZONS)), np.nan)
        for column, horizon in enumerate(HORIZONS):
            target[:-horizon, column] = price[horizon:] - price[:-horizon]
        features.append(np.column_stack([returns, momentum, rng.normal(size=sessions), *macro, days % 7, constant]))
        targets.append(target)
        drifts.append(drift)
    rows = tickers * sessions
    code = torch.arange(tickers, dtype=torch.int32).repeat_interleave(sessions)
    panel = PanelTensors(
        features=torch.from_numpy(np.concatenate(features)).float(),
        targets=torch.from_numpy(np.concatenate(targets)).float(),
        scale=torch.full((rows,), VOLATILITY),
        date=torch.from_numpy(np.tile(days, tickers)).int(),
        label_end=torch.from_numpy(np.tile(label_end, tickers)).int(),
        ticker=code,
        sector=code % 4,
        exchange=torch.zeros(rows, dtype=torch.int32),
        observed=torch.ones(rows, dtype=torch.bool),
        segment_start=(torch.arange(sessions) == 0).repeat(tickers),
        run_length=torch.arange(1, sessions + 1, dtype=torch.int32).repeat(tickers),
        feature_names=(*OWN, *MACRO_NAMES, CALENDAR, *REGRESSORS),
        tickers=tuple(f"T{i:02d}" for i in range(tickers)),
        sectors=("A", "B", "C", "D"),
        exchanges=("XNYS",),
    )
    return panel, torch.from_numpy(np.concatenate(drifts)).float()


def _autoregressive(rng: np.random.Generator, decay: float, sessions: int) -> np.ndarray:
    """An AR(1) of variance 1, (T,)."""
    values = rng.normal(size=sessions)
    for k in range(1, sessions):
        values[k] = decay * values[k - 1] + np.sqrt(1 - decay**2) * values[k]
    return values
