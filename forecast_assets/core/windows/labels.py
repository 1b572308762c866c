"""Labels of the networks' scale: how much more volatile sessions were than forecast, beside what all tickers shared."""

from dataclasses import dataclass

import torch
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import BLOCK_ROWS

PRIOR_TICKERS = 4.0
"""Tickers without a common error that an exchange's mean is shrunk by: about the ratio of a ticker's own variance to that of
what an exchange's tickers share. On an exchange of one ticker, nearly all of an error is its own."""


@dataclass(frozen=True)
class Labels:
    """What training reads of the sessions ahead, by session and exchange: S sessions, E exchanges, H horizons.

    A volatility forecast errs on many tickers of a day at once. Of these common errors a sample has a few thousand days'
    worth, whatever its rows, and a network that is fitted to them learns when the market was calm; so they are taken off
    its labels.
    """

    origins: Tensor  # (N,) bool, rows whose outcomes may be learned from
    sessions: Tensor  # (S,) days, ascending
    common: Tensor  # (E, S, H) shrunk mean of the tickers' log realised volatility over forecast, zero without tickers

    def log_excess(self, panel: PanelTensors, rows: Tensor, *, forecast: Tensor, stats: FoldStats) -> Tensor:
        """Return the log of realised volatility over its ``forecast`` (B, H) at rows ``rows`` (B,), less the common part.

        (B, H); NaN where there is no valid label.
        """
        excess = stats.log_excess(panel, rows, forecast=forecast)
        return excess - self.common[panel.exchange[rows].long(), torch.searchsorted(self.sessions, panel.date[rows])]

    def to(self, device: torch.device | str) -> "Labels":
        """Return the same labels on ``device``."""
        return Labels(*(part.to(device) for part in (self.origins, self.sessions, self.common)))


def training_labels(panel: PanelTensors, rows: Tensor, *, stats: FoldStats) -> Labels:
    """Return the labels of forecast origins ``rows`` (n,), int64: no other row's outcome is read."""
    origins = torch.zeros(panel.rows, dtype=torch.bool)
    origins[rows] = True
    sessions = panel.date[rows].unique()  # ascending
    cells = len(panel.exchanges) * len(sessions)
    total = torch.zeros(cells, len(HORIZONS), dtype=torch.float64)
    count = torch.zeros_like(total)
    for block in rows.split(BLOCK_ROWS):
        excess = stats.log_excess(panel, block, forecast=stats.volatility(panel, block)).double()
        cell = panel.exchange[block].long() * len(sessions) + torch.searchsorted(sessions, panel.date[block])
        total.index_add_(0, cell, excess.nan_to_num(0.0))
        count.index_add_(0, cell, torch.isfinite(excess).double())
    common = (total / (count + PRIOR_TICKERS)).float()
    return Labels(origins, sessions, common.view(len(panel.exchanges), len(sessions), -1))
