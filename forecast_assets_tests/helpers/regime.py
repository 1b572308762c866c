"""A planted panel whose dynamics switch with VIX: momentum while it is calm, reversal under stress."""

import numpy as np
import torch
from torch import Tensor

from forecast_assets.core.panel.macro import MACRO_NAMES
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import VOLATILITY, autoregressive, panel_of, weekdays

OWN = ("log_return", "momentum", "noise")
"""The ticker's own columns; ``MACRO_NAMES`` and a calendar column follow."""

CALENDAR = "weekday"
DRIFT = 0.5 * VOLATILITY
"""Drift of the next session where momentum is strong."""


def regime_panel(*, tickers: int, sessions: int, seed: int = 0) -> tuple[PanelTensors, Tensor]:
    """Return the panel, and the true drift of each row's next session, (N,), as an oracle of the regime forecasts it.

    The drift is ``DRIFT`` x tanh(2 momentum) where VIX is at most 0.2 and the same with a minus above. VIX, the same
    for all tickers, stays on a side for weeks and is above half the time; the volatility of returns is the same throughout,
    and the other macro columns predict nothing. Without the regime, momentum predicts nothing: it cancels out on average.
    """
    rng = np.random.default_rng(seed)
    days = weekdays(sessions)
    level = autoregressive(rng, 0.95, sessions)
    change = np.concatenate([np.zeros(5), 0.3 * (level[5:] - level[:-5])])
    macro = [0.2 * np.exp(0.3 * level), change, *(autoregressive(rng, decay, sessions) for decay in (0.8, 0.95))]
    sign = np.where(level > 0, -1.0, 1.0)
    returns, columns, drifts = [], [], []
    for _ in range(tickers):
        momentum = autoregressive(rng, 0.7, sessions)
        drifts.append(DRIFT * np.tanh(2 * momentum) * sign)
        returns.append(rng.normal(0, VOLATILITY, sessions))
        returns[-1][1:] += drifts[-1][:-1]
        columns.append(np.column_stack([returns[-1], momentum, rng.normal(size=sessions), *macro, days % 7]))
    panel = panel_of(days, returns, columns, names=(*OWN, *MACRO_NAMES, CALENDAR))
    return panel, torch.from_numpy(np.concatenate(drifts)).float()
