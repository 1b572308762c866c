"""A planted panel on which each ticker responds to a signal with a coefficient of its own."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import VOLATILITY, panel_of, weekdays

OWN = ("log_return", "signal", "noise")
"""The ticker's observed columns; a calendar column follows."""

CALENDAR = "weekday"
SPREAD = 0.5
"""Standard deviation of the coefficients over tickers, whose mean is zero."""


class Planted(NamedTuple):
    """The panel, and the best forecasts of each row's next session by two kinds of oracle."""

    panel: PanelTensors
    drift: Tensor  # (N,) the true one, from the coefficients
    bayes: Tensor  # (N,) the posterior mean, from the coefficients' distribution and the ticker's past
    new: Tensor  # (N,) bool, rows of new listings


def coefficient_panel(*, tickers: int, new: int, sessions: int, listing: int, seed: int = 0) -> Planted:
    """Return a panel of ``tickers`` over all ``sessions`` and ``new`` ones that list ``listing`` sessions before the end.

    The drift of a ticker's next session is its coefficient x the session's signal, in units of ``VOLATILITY``, the
    volatility of the rest. Coefficients are normal around zero, so that on average, and for a ticker without history, the
    signal predicts nothing. The signal is white noise: each session is one observation.
    """
    rng = np.random.default_rng(seed)
    days = weekdays(sessions)
    returns, columns, drifts, posteriors = [], [], [], []
    for ticker in range(tickers + new):
        coefficient, signal = rng.normal(0, SPREAD), rng.normal(size=sessions)
        drifts.append(VOLATILITY * coefficient * signal)
        returns.append(rng.normal(0, VOLATILITY, sessions))
        returns[-1][1:] += drifts[-1][:-1]
        columns.append(np.column_stack([returns[-1], signal, rng.normal(size=sessions), days % 7]))
        seen = slice(0 if ticker < tickers else sessions - listing, None)
        posteriors.append(np.zeros(sessions))
        posteriors[-1][seen] = VOLATILITY * _posterior_means(signal[seen], returns[-1][seen]) * signal[seen]
    whole = panel_of(days, returns, columns, names=(*OWN, CALENDAR))
    late = whole.ticker >= tickers
    panel = listed(whole, since=torch.where(late, sessions - listing, 0))
    kept = whole.run_length > torch.where(late, sessions - listing, 0)
    drift, bayes = (torch.from_numpy(np.concatenate(of)).float()[kept] for of in (drifts, posteriors))
    return Planted(panel, drift, bayes, late[kept])


def listed(panel: PanelTensors, *, since: Tensor) -> PanelTensors:
    """Return the panel without the first ``since`` (N,) sessions of each row's ticker."""
    kept = panel.run_length > since
    rest: dict[str, Any] = {name: tensor[kept] for name, tensor in panel.tensors().items()}
    length = (panel.run_length - since.int())[kept]
    return replace(panel, **{**rest, "run_length": length, "segment_start": length == 1})


def _posterior_means(signal: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """Posterior mean of the coefficient after each session, (T,): ridge regression of returns on the signal before them."""
    outcome = returns[1:] / VOLATILITY
    moment = np.concatenate([[0.0], np.cumsum(signal[:-1] * outcome)])
    square = np.concatenate([[0.0], np.cumsum(signal[:-1] ** 2)])
    return moment / (square + SPREAD**-2)
