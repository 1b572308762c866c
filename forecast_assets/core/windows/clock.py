"""Times of each exchange's forecast origins, and when its rows become known to other exchanges."""

from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from forecast_assets.core.panel.sessions import closes
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.tensors import PanelTensors

DAY = 86_400_000_000  # microseconds in a day


class Times(NamedTuple):
    """The days (S,) on which an exchange of a panel has rows, ascending, and two times of each, microseconds UTC.

    Both are the exchange's close, early on half days. On a day that its calendar does not have (a special session, whose
    close is unknown) the forecast origin is the day's first moment, and other exchanges know the row from its end.
    """

    day: NDArray[np.int64]  # days since 1970-01-01
    origin: NDArray[np.int64]  # of the forecast
    known: NDArray[np.int64]  # to other exchanges


def exchange_times(panel: PanelTensors) -> list[Times]:
    """Return the times of each of ``panel.exchanges``, in their order. Raises BadInput as ``sessions.closes``."""
    found = []
    for code, exchange in enumerate(panel.exchanges):
        day = torch.unique(panel.date[panel.exchange == code]).numpy().astype(np.int64)
        found.append(_times(exchange, day))
    return found


def known_at(panel: PanelTensors) -> torch.Tensor:
    """Return when each row is known to other exchanges, (N,) int64, microseconds UTC. Raises as ``exchange_times``."""
    known = torch.zeros(panel.rows, dtype=torch.int64)
    for code, times in enumerate(exchange_times(panel)):
        own = panel.exchange == code
        known[own] = torch.from_numpy(times.known[np.searchsorted(times.day, panel.date[own].numpy())])
    return known


def _times(exchange: str, day: NDArray[np.int64]) -> Times:
    if not len(day):
        return Times(day, day, day)
    calendar = closes(exchange, to_date(int(day[0])), to_date(int(day[-1])))
    session = calendar["date"].cast(pl.Int32).to_numpy().astype(np.int64)
    close = calendar["close"].cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()
    place = np.minimum(np.searchsorted(session, day), len(session) - 1) if len(session) else np.zeros_like(day)
    listed = session[place] == day if len(session) else np.zeros(len(day), dtype=bool)
    origin, known = day * DAY, (day + 1) * DAY
    origin[listed] = known[listed] = close[place[listed]]
    return Times(day, origin, known)
