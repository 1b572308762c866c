"""A planted panel on which Europe follows the United States, one European session after it could have known."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import FIRST_DAY, VOLATILITY, panel_of

COLUMNS = ("log_return", "noise", "weekday")
EUROPE = 1  # code of the exchange

MARKET = 0.8  # share of a New York return's variance that its tickers have in common
SPILL, DELAYED = 0.4, 0.15
"""Shares of a European return's variance: what moved New York since Europe's last close, and what moved it before that."""


class LeadLag(NamedTuple):
    """The panel and what was planted in it."""

    panel: PanelTensors
    drift: Tensor  # (N,) of each row's next session, as far as it was known at the row's close; 0 in the United States


def lead_lag_panel(*, tickers: int, days: int, seed: int = 0) -> LeadLag:
    """Return a panel of ``tickers`` in New York and as many in Frankfurt, on the sessions that both have.

    New York's tickers share a factor. Frankfurt closes before New York does: its session d moves with New York's d - 1,
    which its tickers see in their own returns, and again, by less, with d - 2. So at the close of Frankfurt's d the next
    return has a part that is known, from New York's d - 1. Half of its tickers follow with the opposite sign.
    """
    rng = np.random.default_rng(seed)
    start, end = to_date(FIRST_DAY), to_date(FIRST_DAY + 2 * days)
    both = sorted(set(sessions("XNYS", start, end)) & set(sessions("XETR", start, end)))[:days]
    number = np.array([(day - to_date(0)).days for day in both])
    factor = rng.normal(size=days)
    before, earlier = np.r_[0.0, factor[:-1]], np.r_[0.0, 0.0, factor[:-2]]
    returns: list[NDArray[np.float64]] = []
    drifts = [np.zeros(days)] * tickers
    for _ in range(tickers):
        returns.append(VOLATILITY * (np.sqrt(MARKET) * factor + np.sqrt(1 - MARKET) * rng.normal(size=days)))
    for ticker in range(tickers):
        sign = (-1) ** ticker
        own = np.sqrt(1 - SPILL - DELAYED) * rng.normal(size=days)
        returns.append(VOLATILITY * (sign * (np.sqrt(SPILL) * before + np.sqrt(DELAYED) * earlier) + own))
        drifts.append(VOLATILITY * sign * np.sqrt(DELAYED) * before)
    columns = [np.column_stack([own, rng.normal(size=days), number % 7]) for own in returns]
    panel = panel_of(number, returns, columns, names=COLUMNS)
    exchange = (panel.ticker >= tickers).int()
    panel = replace(panel, exchange=exchange, exchanges=("XNYS", "XETR"))
    return LeadLag(panel, torch.from_numpy(np.concatenate(drifts)).float())
