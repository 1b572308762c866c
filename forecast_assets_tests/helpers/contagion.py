"""A planted panel with contagion: names of a group share shocks, with a sign each, and follow each other a session later."""

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
"""Tickers of a group: each is a neighbour of the three others, and of nobody else."""


class Contagion(NamedTuple):
    """What was planted."""

    panel: PanelTensors
    drift: Tensor  # (N,) drift of each row's next session, as who knows the graph would forecast it
    sign: Tensor  # (tickers, tickers) 1 or -1 for neighbours, 0 for others


def contagion_panel(*, tickers: int, sessions: int, seed: int = 0) -> Contagion:
    """Tickers, a multiple of ``GROUP``, in groups that are drawn at random, as are their signs.

    A return is the shock of the group with the ticker's sign, a rest of its own, and the drift: ``DRIFT`` x tanh(2 u), u the
    sum of the neighbours' last returns, each with the edge's sign (the product of both ends'), in units of what it varies by
    without the drift. Three eighths of u's variance are in a ticker's own last return, through the shared shock; the rest
    only its neighbours show. The other own columns say nothing.
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
