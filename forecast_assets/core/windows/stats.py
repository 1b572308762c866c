"""Statistics of a fold, fitted on its training rows: feature scaling, vocabularies, volatility, base distribution."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import BLOCK_ROWS, fit_volatility, log_excess, volatility

UNKNOWN_ID = 0  # embedding id of a ticker, sector or exchange that is not among the training rows
CLIP = 8.0
"""Standardised features are clipped to this many standard deviations: one bad print must not saturate a network."""


@dataclass(frozen=True)
class FoldStats:
    """Statistics of one fold, from its training origins and the rows up to the last of them; H horizons."""

    mean: Tensor  # (F,) of each feature
    std: Tensor  # (F,)
    volatility_weights: Tensor  # (H, 1 + R) of the volatility forecast, see fit_volatility
    volatility_residual: Tensor  # (H,) variance of the log variance around it
    base_quantiles: Tensor  # (H, 7) pooled empirical quantiles of target / volatility forecast
    target_mean: Tensor  # (H,) of the log-return targets
    target_std: Tensor  # (H,)
    unconditional_mean: tuple[float, ...]  # (H,) mean simple return over each horizon
    ticker_ids: Tensor  # (tickers,) int64, panel code -> embedding id, UNKNOWN_ID if untrained
    sector_ids: Tensor  # (sectors,) int64
    exchange_ids: Tensor  # (exchanges,) int64

    def count(self, name: str) -> int:
        """Return the vocabulary size of ``name`` (ticker, sector or exchange), the unknown id included."""
        return int(getattr(self, f"{name}_ids").max()) + 1

    def standardise(self, window: Tensor, columns: Tensor) -> Tensor:
        """Return raw values (..., C) standardised and clipped, a new tensor."""
        return (window - self.mean[columns]).div_(self.std[columns]).clamp_(-CLIP, CLIP)

    def volatility(self, panel: PanelTensors, rows: Tensor) -> Tensor:
        """Return the volatility forecast over each horizon at rows ``rows`` (B,), log-return units, (B, H)."""
        return volatility(panel, rows, weights=self.volatility_weights)

    def log_excess(self, panel: PanelTensors, rows: Tensor, *, forecast: Tensor) -> Tensor:
        """Return log realised volatility over its ``forecast`` (B, H) at rows ``rows`` (B,), (B, H); see ``volatility``."""
        return log_excess(panel, rows, forecast=forecast, residual=self.volatility_residual)

    def to(self, device: torch.device | str) -> "FoldStats":
        """Return the same statistics with their tensors on ``device``."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return FoldStats(**{**vars(self), **moved})


def fit_stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    """Fit the statistics of ``fold``.

    Features are scaled with the members' complete rows up to the last training origin. Ids are given in alphabetical
    order, so they do not depend on tickers that list later.
    """
    seen = (panel.date <= panel.date[fold.train].max()) & panel.member & (panel.run_length > 0)
    mean, std = _moments(panel.features, torch.nonzero(seen).squeeze(1))
    weights, residual = (fitted.float() for fitted in fit_volatility(panel, fold.train))
    of_horizons = [_of_horizon(panel, fold.train, weights, k) for k in range(len(HORIZONS))]
    quantiles, means, deviations, simple_means = zip(*of_horizons, strict=True)
    return FoldStats(
        mean=mean.float(),
        std=torch.where(std > 1e-8, std, torch.ones_like(std)).float(),
        volatility_weights=weights,
        volatility_residual=residual,
        base_quantiles=torch.tensor(np.stack(quantiles)).float(),
        target_mean=torch.tensor(means).float(),
        target_std=torch.tensor(deviations).float(),
        unconditional_mean=simple_means,
        ticker_ids=_ids(panel.ticker[fold.sampled], size=len(panel.tickers)),
        sector_ids=_ids(panel.sector[fold.sampled], size=len(panel.sectors)),
        exchange_ids=_ids(panel.exchange[fold.sampled], size=len(panel.exchanges)),
    )


def _moments(features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (n - 1) of each feature over ``rows``, 2 x (F,) float64.

    Complete rows may lack macro features, whose feed may begin late; missing values are left out.
    """
    # Added up block by block: a list of the blocks' results would fragment the heap between their temporaries.
    total = torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
    squares, count = torch.zeros_like(total), torch.zeros_like(total)
    for block in rows.split(BLOCK_ROWS):
        values = features[block].double()
        total += values.nansum(dim=0)
        count += torch.isfinite(values).sum(dim=0)
    mean = total / count.clamp(min=1)
    for block in rows.split(BLOCK_ROWS):
        squares += (features[block].double() - mean).square_().nansum(dim=0)
    return mean, (squares / (count - 1).clamp(min=1)).sqrt()


def _of_horizon(
    panel: PanelTensors, rows: Tensor, weights: Tensor, horizon: int
) -> tuple[NDArray[np.float64], float, float, float]:
    """Return quantiles (7,) of target / volatility forecast, mean and deviation of the target, and mean simple return.

    Computed in place, so that only one column of the targets is copied.
    """
    known = rows[torch.isfinite(panel.targets[rows, horizon])]
    target = panel.targets[known, horizon].double().numpy()
    mean, std, simple = float(target.mean()), float(target.std()), float(np.expm1(target).mean())
    for k in range(0, len(known), BLOCK_ROWS):
        block = slice(k, k + BLOCK_ROWS)
        target[block] /= volatility(panel, known[block], weights=weights)[:, horizon].double().numpy()
    return np.quantile(target, QUANTILES, overwrite_input=True), mean, std, simple


def _ids(codes: Tensor, *, size: int) -> Tensor:
    ids = torch.full((size,), UNKNOWN_ID, dtype=torch.int64)
    seen = codes.unique().long()  # codes ascend with the names
    ids[seen] = torch.arange(1, len(seen) + 1)
    return ids
