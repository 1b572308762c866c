"""Statistics of a fold, fitted on its training rows: feature scaling, vocabularies, volatility, base distribution."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.summary import summary
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import (
    BLOCK_ROWS,
    Histories,
    fit_volatility,
    log_excess,
    predicted,
    regressors,
    volatility,
)

SHAPE_FEATURE = f"announcement_{HORIZONS[0]}d"
SHAPE_SHARES = (0.8, 0.93, 0.98)
SMALLEST_GROUP = 2_000  # forecasts of a group, forty beyond its outer quantiles
"""Forecasts with an announcement near have a shape of their own: groups of the feature, by their shares of training rows."""
MIDDLE = QUANTILES.index(0.5)

UNKNOWN_ID = 0  # embedding id of a ticker, sector or exchange that is not among the training rows
CLIP = 8.0
"""Standardised features are clipped to this many standard deviations: one bad print must not saturate a network."""
SUMMARY_CLIP = 5.0


@dataclass(frozen=True)
class FoldStats:
    """Statistics of one fold, from its training origins and the rows up to the last of them; H horizons."""

    mean: Tensor  # (F,) of each feature
    std: Tensor  # (F,)
    volatility_weights: Tensor  # (H, 1 + R) of the volatility forecast, see fit_volatility
    volatility_residual: Tensor  # (H,) variance of the log variance around it
    base_quantiles: Tensor  # (H, 7) pooled quantiles of target / volatility forecast, weighted by the forecast
    shape_borders: Tensor  # (G - 1,) of ``SHAPE_FEATURE`` between groups of forecasts; empty where there is one group
    shape_gaps: Tensor  # (G, H, 6) each group's distances between neighbouring quantiles over the pooled ones
    summary_mean: Tensor  # (S,) of each number of the summary
    summary_std: Tensor  # (S,)
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
        """Return raw values (..., C) standardised and clipped, a new tensor; a missing one counts as its mean, 0."""
        return (window - self.mean[columns]).div_(self.std[columns]).clamp_(-CLIP, CLIP).nan_to_num_(nan=0.0)

    def gap_factors(self, panel: Histories, rows: Tensor) -> Tensor:
        """Return the factors on the base distribution's distances between neighbouring quantiles: (B,) -> (B, H, 6).

        The day after an announcement is a mixture of ordinary moves and large ones, with a sharper peak and fatter tails.
        """
        if not len(self.shape_borders):
            return self.shape_gaps.expand(rows.shape[0], -1, -1)
        value = panel.features[rows, panel.feature_names.index(SHAPE_FEATURE)]
        return self.shape_gaps[torch.searchsorted(self.shape_borders, value.contiguous())]

    def base(self, panel: Histories, rows: Tensor) -> Tensor:
        """Return the quantiles that forecasts at rows ``rows`` (B,) start from, in units of their volatility, (B, H, 7)."""
        return quantiles_of(
            self.base_quantiles[:, MIDDLE], self.base_quantiles.diff(dim=-1) * self.gap_factors(panel, rows)
        )

    def harx(self, panel: Histories, rows: Tensor) -> Tensor:
        """Return HAR-X's quantiles of the log return at rows ``rows`` (B,), which the networks start from, (B, H, 7)."""
        return self.base(panel, rows) * volatility(panel, rows, weights=self.volatility_weights)[..., None]

    def volatility(self, panel: PanelTensors, rows: Tensor) -> Tensor:
        """Return the volatility forecast over each horizon at rows ``rows`` (B,), log-return units, (B, H)."""
        return volatility(panel, rows, weights=self.volatility_weights)

    def origin(self, panel: Histories, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the volatility forecasts at rows ``rows`` (B,), (B, H), and the standardised summary there, (B, S)."""
        x = regressors(panel, rows)
        forecast = predicted(x, weights=self.volatility_weights)
        numbers = summary(panel, rows, x=x, volatility=forecast)
        return forecast, standardised_summary(numbers, mean=self.summary_mean, std=self.summary_std)

    def log_excess(self, panel: PanelTensors, rows: Tensor, *, forecast: Tensor) -> Tensor:
        """Return log realised volatility over its ``forecast`` (B, H) at rows ``rows`` (B,), (B, H); see ``volatility``."""
        return log_excess(panel, rows, forecast=forecast, residual=self.volatility_residual)

    def to(self, device: torch.device | str) -> "FoldStats":
        """Return the same statistics with their tensors on ``device``."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return FoldStats(**{**vars(self), **moved})


def standardised_summary(numbers: Tensor, *, mean: Tensor, std: Tensor) -> Tensor:
    """Return the numbers of a summary (B, S) standardised and clipped; a missing covariate counts as its mean, 0."""
    return torch.nan_to_num(((numbers - mean) / std).clamp(-SUMMARY_CLIP, SUMMARY_CLIP), nan=0.0)


def quantiles_of(median: Tensor, gaps: Tensor) -> Tensor:
    """Return quantiles (..., 7) with that ``median`` (...) and those distances between neighbours (..., 6)."""
    below = median[..., None] - gaps[..., :MIDDLE].flip(-1).cumsum(-1).flip(-1)
    above = median[..., None] + gaps[..., MIDDLE:].cumsum(-1)
    return torch.cat([below, median[..., None].expand_as(above[..., :1]), above], dim=-1)


def fit_stats(panel: PanelTensors, fold: Fold, *, plain: bool = False) -> FoldStats:
    """Fit the statistics of ``fold``; ``plain``: with the plain volatility regression and one shape.

    Features are scaled with the members' complete rows up to the last training origin. Ids are given in alphabetical
    order, so they do not depend on tickers that list later.
    """
    seen = (panel.date <= panel.date[fold.train].max()) & panel.member & (panel.run_length > 0)
    mean, std = _moments(panel.features, torch.nonzero(seen).squeeze(1))
    weights, residual = (fitted.float() for fitted in fit_volatility(panel, fold.train, plain=plain))
    borders = torch.empty(0) if plain else _shape_borders(panel, fold.train)
    forecasts, summary_mean, summary_std = _origins(panel, fold.train, weights)
    of_horizons = [_of_horizon(panel, fold.train, forecasts, k, borders=borders) for k in range(len(HORIZONS))]
    quantiles, gaps, means, deviations, simple_means = zip(*of_horizons, strict=True)
    return FoldStats(
        mean=mean.float(),
        std=torch.where(std > 1e-8, std, torch.ones_like(std)).float(),
        volatility_weights=weights,
        volatility_residual=residual,
        base_quantiles=torch.tensor(np.stack(quantiles)).float(),
        shape_borders=borders,
        shape_gaps=torch.tensor(np.stack(gaps, axis=1)).float(),
        summary_mean=summary_mean,
        summary_std=summary_std,
        target_mean=torch.tensor(means).float(),
        target_std=torch.tensor(deviations).float(),
        unconditional_mean=simple_means,
        ticker_ids=_ids(panel.ticker[fold.sampled], size=len(panel.tickers)),
        sector_ids=_ids(panel.sector[fold.sampled], size=len(panel.sectors)),
        exchange_ids=_ids(panel.exchange[fold.sampled], size=len(panel.exchanges)),
    )


def _moments(features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (n - 1) of each feature over ``rows``, 2 x (F,) float64.

    Complete rows may lack macro features and the user's own, whose feed may begin late; missing values are left out.
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


def _origins(panel: PanelTensors, rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the volatility forecasts at ``rows`` (N,), (N, H), and the summary's mean and deviation there, 2 x (S,)."""
    forecasts = torch.empty(len(rows), len(HORIZONS))
    shift: Tensor | None = None  # about the mean: squares of what is left lose no precision
    for k in range(0, len(rows), BLOCK_ROWS):
        block = rows[k : k + BLOCK_ROWS]
        x = regressors(panel, block)
        forecasts[k : k + BLOCK_ROWS] = predicted(x, weights=weights)
        numbers = summary(panel, block, x=x, volatility=forecasts[k : k + BLOCK_ROWS]).double()
        known = torch.isfinite(numbers)  # but for covariates, all of them
        if shift is None:
            shift = torch.where(known, numbers, 0.0).mean(dim=0)
            total, squares, count = (torch.zeros_like(shift) for _ in range(3))
        moved = torch.where(known, numbers - shift, 0.0)
        total += moved.sum(dim=0)
        squares += moved.square().sum(dim=0)
        count += known.sum(dim=0)
    assert shift is not None  # a fold has training rows
    mean = total / count.clamp(min=1)
    std = (squares / count.clamp(min=1) - mean.square()).clamp(min=0.0).sqrt()
    return forecasts, (shift + mean).float(), torch.where(std > 1e-6, std, torch.ones_like(std)).float()


def _shape_borders(panel: PanelTensors, rows: Tensor) -> Tensor:
    """Return the borders between the groups of forecasts that have a shape of their own, (G - 1,)."""
    if SHAPE_FEATURE not in panel.feature_names:
        return torch.empty(0)
    values = panel.features[rows, panel.feature_names.index(SHAPE_FEATURE)].numpy()
    borders = torch.tensor(np.quantile(values, SHAPE_SHARES)).float()
    smallest = int(torch.searchsorted(borders, torch.from_numpy(values)).bincount(minlength=len(borders) + 1).min())
    return borders if smallest >= SMALLEST_GROUP else torch.empty(0)


def _of_horizon(
    panel: PanelTensors, rows: Tensor, forecasts: Tensor, horizon: int, *, borders: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float, float]:
    """Return the pooled quantiles (7,) of target / volatility forecast, the groups' distances over theirs (G, 6), mean and
    deviation of the target, and mean simple return; ``forecasts`` (N, H) are those at ``rows``.

    Quantiles are weighted by the volatility forecast, as the pinball loss of returns weighs their errors. Computed in place,
    so that few columns are copied.
    """
    labelled = torch.isfinite(panel.targets[rows, horizon])
    known = rows[labelled]
    target = panel.targets[known, horizon].double().numpy()
    mean, std, simple = float(target.mean()), float(target.std()), float(np.expm1(target).mean())
    scale = forecasts[labelled, horizon].double().numpy()
    target /= scale
    pooled = weighted_quantiles(target, scale)
    factors = np.ones((len(borders) + 1, len(QUANTILES) - 1))
    if len(borders) and horizon == 0:  # over more sessions an announcement is one move among others
        values = panel.features[known, panel.feature_names.index(SHAPE_FEATURE)]
        group = torch.searchsorted(borders, values.contiguous()).numpy()
        for k in range(len(factors)):
            own = weighted_quantiles(target[group == k], scale[group == k])
            factors[k] = np.diff(own) / np.diff(pooled)
    return pooled, factors, mean, std, simple


def weighted_quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quantiles (7,) of ``values`` (n,) that count by ``weights``, between midpoints of their shares."""
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    found: NDArray[np.float64] = np.interp(QUANTILES, (share - 0.5 * weights[order]) / share[-1], values[order])
    return found


def _ids(codes: Tensor, *, size: int) -> Tensor:
    ids = torch.full((size,), UNKNOWN_ID, dtype=torch.int64)
    seen = codes.unique().long()  # codes ascend with the names
    ids[seen] = torch.arange(1, len(seen) + 1)
    return ids
