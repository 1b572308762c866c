"""What a fold fits on its training rows before any network sees them: scaling, vocabularies, base distribution."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import BLOCK_ROWS, fit_volatility, log_excess, volatility

UNKNOWN_ID = 0
"""Embedding id of every ticker or sector that the fold was not trained on."""

CLIP = 8.0
"""Standardised features are clipped to this many standard deviations: one bad print must not saturate a network."""


@dataclass(frozen=True)
class FoldStats:
    """Statistics of one fold, from its training decisions and the rows up to the last of them; nothing later."""

    mean: Tensor  # (F,) of each feature
    std: Tensor  # (F,)
    volatility_weights: Tensor  # (3, 1 + R) of the volatility forecast, see fit_volatility
    volatility_residual: Tensor  # (3,) variance of the log variance around it
    base_quantiles: Tensor  # (3, 7) pooled empirical quantiles of target / volatility forecast
    target_mean: Tensor  # (3,) of the log-return targets
    target_std: Tensor  # (3,)
    unconditional_mean: tuple[float, ...]  # (3,) mean simple return over each horizon
    ticker_ids: Tensor  # (tickers,) int64, panel code -> embedding id, UNKNOWN_ID if untrained
    sector_ids: Tensor  # (sectors,) int64
    exchange_ids: Tensor  # (exchanges,) int64

    def count(self, name: str) -> int:
        """Size of the vocabulary of ``name`` (ticker, sector or exchange), the unknown id included."""
        return int(getattr(self, f"{name}_ids").max()) + 1

    def standardise(self, window: Tensor, columns: Tensor) -> Tensor:
        """(..., C) raw -> (..., C) standardised and clipped, a new tensor."""
        return (window - self.mean[columns]).div_(self.std[columns]).clamp_(-CLIP, CLIP)

    def volatility(self, panel: PanelTensors, rows: Tensor) -> Tensor:
        """Volatility forecast over each horizon at rows ``rows``, log-return units: (B,) -> (B, 3)."""
        return volatility(panel, rows, weights=self.volatility_weights)

    def log_excess(self, panel: PanelTensors, rows: Tensor, *, forecast: Tensor) -> Tensor:
        """Log of realised volatility over its ``forecast`` (B, 3) at rows ``rows`` (B,), (B, 3); see ``volatility``."""
        return log_excess(panel, rows, forecast=forecast, residual=self.volatility_residual)

    def to(self, device: torch.device | str) -> "FoldStats":
        """The same statistics with their tensors on ``device``."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return FoldStats(**{**vars(self), **moved})


def fit_stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    """Fit the statistics of ``fold``.

    Features are scaled with the complete rows up to the last training decision: those are the rows that training
    windows show. Ids are given in the order of names, so they do not depend on tickers that list later.
    """
    seen = (panel.date <= panel.date[fold.train].max()) & (panel.run_length > 0)
    mean, std = _moments(panel.features, torch.nonzero(seen).squeeze(1))
    weights, residual = (fitted.float() for fitted in fit_volatility(panel, fold.train))
    targets = panel.targets[fold.train].double().numpy()  # (T, 3)
    standardised = targets / _volatility(panel, fold.train, weights).double().numpy()
    return FoldStats(
        mean=mean.float(),
        std=torch.where(std > 1e-8, std, torch.ones_like(std)).float(),
        volatility_weights=weights,
        volatility_residual=residual,
        base_quantiles=torch.from_numpy(np.nanquantile(standardised, QUANTILES, axis=0).T.copy()).float(),
        target_mean=torch.from_numpy(np.nanmean(targets, axis=0)).float(),
        target_std=torch.from_numpy(np.nanstd(targets, axis=0)).float(),
        unconditional_mean=tuple(float(m) for m in np.nanmean(np.expm1(targets), axis=0)),
        ticker_ids=_ids(panel.ticker[fold.train], size=len(panel.tickers)),
        sector_ids=_ids(panel.sector[fold.train], size=len(panel.sectors)),
        exchange_ids=_ids(panel.exchange[fold.train], size=len(panel.exchanges)),
    )


def _moments(features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n - 1) of each feature over ``rows``, 2 x (F,) float64, a block of rows at a time."""
    blocks = rows.split(BLOCK_ROWS)
    mean = torch.stack([features[block].double().sum(dim=0) for block in blocks]).sum(dim=0) / len(rows)
    squares = torch.stack([(features[block].double() - mean).square().sum(dim=0) for block in blocks]).sum(dim=0)
    return mean, (squares / (len(rows) - 1)).sqrt()


def _volatility(panel: PanelTensors, rows: Tensor, weights: Tensor) -> Tensor:
    return torch.cat([volatility(panel, block, weights=weights) for block in rows.split(BLOCK_ROWS)])


def _ids(codes: Tensor, *, size: int) -> Tensor:
    ids = torch.full((size,), UNKNOWN_ID, dtype=torch.int64)
    seen = codes.unique().long()  # ascending codes are ascending names
    ids[seen] = torch.arange(1, len(seen) + 1)
    return ids
