"""MLP baseline (B0): three layers on lagged returns, one Normal per horizon."""

import torch
from torch import Tensor, nn

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel
from forecast_assets.core.models.catalogue import MlpSpec
from forecast_assets.core.windows.stats import FoldStats

MIN_SIGMA = 1e-3  # in units of the target's training standard deviation: keeps the likelihood bounded


class NormalMlp(ForecastModel):
    """Lags -> hidden -> hidden -> (mean, sigma) of each horizon's log return; trained on the Normal likelihood.

    Targets are scaled by their training mean and deviation; no volatility forecast enters.
    """

    target_mean: Tensor
    target_std: Tensor
    normal_levels: Tensor

    def __init__(self, spec: MlpSpec, *, stats: FoldStats, lookback: int) -> None:
        super().__init__()
        self.reads, self.lookback = spec.reads, spec.lags
        self.layers = nn.Sequential(
            nn.Linear(spec.lags, spec.hidden),
            nn.ReLU(),
            nn.Linear(spec.hidden, spec.hidden),
            nn.ReLU(),
            nn.Linear(spec.hidden, 2 * len(HORIZONS)),
        )
        self.register_buffer("target_mean", stats.target_mean)
        self.register_buffer("target_std", stats.target_std)
        levels = torch.tensor(QUANTILES, dtype=torch.float64)
        self.register_buffer("normal_levels", torch.special.ndtri(levels).float())

    def parameters_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return mean and sigma of the standardised target, each (B, 3)."""
        mean, spread = self.layers(batch.window[..., 0]).chunk(2, dim=-1)  # (B, lags) -> 2 x (B, 3)
        return mean, nn.functional.softplus(spread) + MIN_SIGMA

    def forward(self, batch: Batch) -> Tensor:
        """Return quantiles of the Normal, (B, 3, 7)."""
        mean, sigma = self.parameters_of(batch)
        standard = mean[..., None] + sigma[..., None] * self.normal_levels  # (B, 3, 7)
        return standard * self.target_std[:, None] + self.target_mean[:, None]

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean negative log likelihood over valid labels (constants dropped)."""
        mean, sigma = self.parameters_of(batch)
        valid = torch.isfinite(batch.target)
        target = torch.where(valid, (batch.target - self.target_mean) / self.target_std, mean.detach())
        nll = torch.log(sigma) + 0.5 * ((target - mean) / sigma) ** 2  # (B, 3)
        return (nll * valid).sum() / valid.sum().clamp(min=1)
