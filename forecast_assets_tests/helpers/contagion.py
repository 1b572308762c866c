"""A planted panel with contagion: tickers of a group share signed shocks and follow each other a session later."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import VOLATILITY, autoregressive, panel_of, weekdays

OWN = ("log_return", "momentum", "noise")
"""A ticker's own columns; a calendar column follows."""

CALENDAR = "weekday"
DRIFT = 0.5 * VOLATILITY
"""Drift of the next session where a ticker's neighbours have moved strongly."""

SHARED = 0.5
"""Share of a return's variance, before the drift, that comes from the group's shock."""

GROUP = 4
"""Tickers of a group: each is a neighbour of the three others only."""


class Contagion(NamedTuple):
    """The panel and what was planted in it."""

    panel: PanelTensors
    drift: Tensor  # (N,) true drift of each row's next session, as an oracle of the graph forecasts it
    sign: Tensor  # (tickers, tickers) 1 or -1 for neighbours, 0 for others


def contagion_panel(*, tickers: int, sessions: int, seed: int = 0) -> Contagion:
    """Return a panel of ``tickers``, a multiple of ``GROUP``, with random groups and signs.

    A return is the group's shock with the ticker's sign, a shock of its own, and the drift ``DRIFT`` x tanh(2 u), where u is
    the sum of the neighbours' last returns, each with the edge's sign (the product of both ends'), standardised by its
    deviation without the drift. A ticker's own last return explains three eighths of u's variance, through the shared shock;
    the rest shows in its neighbours only. The other own columns predict nothing.
    """
    rng = np.random.default_rng(seed)
    group = rng.permutation(tickers) // GROUP
    own_sign = rng.choice([-1.0, 1.0], tickers)
    sign = np.outer(own_sign, own_sign) * (group[:, None] == group) * (1 - np.eye(tickers))
    shocks = rng.normal(size=(sessions, tickers // GROUP))
    moves = np.sqrt(SHARED) * own_sign * shocks[:, group] + np.sqrt(1 - SHARED) * rng.normal(size=(sessions, tickers))
    spread = np.sqrt((GROUP - 1) * (1 + (GROUP - 2) * SHARED))
    returns, drift = VOLATILITY * moves, np.zeros_like(moves)
    for t in range(sessions):
        if t:
            returns[t] += drift[t - 1]
        drift[t] = DRIFT * np.tanh(2 * returns[t] @ sign / (spread * VOLATILITY))
    days = weekdays(sessions)
    columns = [
        np.column_stack([own, autoregressive(rng, 0.7, sessions), rng.normal(size=sessions), days % 7])
        for own in returns.T
    ]
    panel = panel_of(days, list(returns.T), columns, names=(*OWN, CALENDAR))
    return Contagion(panel, torch.from_numpy(drift.T.ravel().copy()).float(), torch.from_numpy(sign))
