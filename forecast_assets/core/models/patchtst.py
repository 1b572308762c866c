"""B4: PatchTST (Nie et al. 2023, arXiv 2211.14730) with a monotone quantile head, and the paper's own forecaster."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch, LocationScaleModel, QuantileHead
from forecast_assets.core.models.patchtst_layers import EncoderSizes, PatchEncoder, instance_normalise
from forecast_assets.core.models.tft.layers import dropout
from forecast_assets.core.models.tft.model import embedding_size
from forecast_assets.core.specs import PatchTstSpec
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats

STATIC = ("ticker", "sector", "exchange")
RAW = (len(HORIZONS), len(QUANTILES))


class PatchTst(LocationScaleModel):
    """B4: each observed variable is a channel; ticker, sector and exchange are its static variables.

    Some training ids are shown as unknown, so that the unknown id is a trained one.
    """

    def __init__(self, spec: PatchTstSpec, *, stats: FoldStats, lookback: int) -> None:
        super().__init__()
        self.columns = (*spec.observed, *spec.known)
        self.lookback, self.unknown_share = lookback, spec.unknown_share
        self.network = PatchTstNetwork(
            EncoderSizes(
                lookback=lookback,
                patch=spec.patch_sessions,
                stride=spec.patch_stride,
                hidden=spec.hidden,
                heads=spec.heads,
                layers=spec.layers,
                feed_forward=spec.feed_forward,
                dropout=spec.dropout,
                residual_attention=spec.residual_attention,
            ),
            observed=len(spec.observed),
            known=len(spec.known),
            static=tuple(stats.count(name) for name in STATIC),
            channel_width=spec.channel_width,
            hidden=spec.head_hidden,
        )
        self.head = QuantileHead(
            stats.base_quantiles, location_shrink=spec.location_shrink, shape_shrink=spec.shape_shrink
        )
        self.volatility_weight = spec.volatility_weight

    def raw(self, batch: Batch) -> Tensor:
        """Raw numbers of each decision, (B, 3, 7)."""
        return self.network(batch.window, self.ids(batch))

    def ids(self, batch: Batch) -> Tensor:
        """Static ids of each decision, (B, 3); in training a share of them unknown."""
        ids = torch.stack([getattr(batch, name) for name in STATIC], dim=1)
        if self.training and self.unknown_share > 0:
            hidden = torch.rand(ids.shape, device=ids.device) < self.unknown_share
            ids = torch.where(hidden, UNKNOWN_ID, ids)
        return ids


class PatchTstNetwork(nn.Module):
    """Window and ids -> raw numbers for the quantile head, zero at the start of training.

    Every channel is normalised within its window and encoded alone, with shared weights; its flattened encoding is
    reduced to ``channel_width`` numbers, by one linear map for all channels. The channels' numbers then stand side by
    side in the order of the columns, so that the joining layer knows which is which: unlike the paper's benchmarks,
    where each channel forecasts itself, here all of them forecast one return.

    Normalisation takes a window's level away, and levels matter here: a high mean of the volatility column is what makes
    tomorrow's quantiles wide, and RSI has a meaning only as a level. So each channel's mean and log deviation, in units
    of the fold's training rows, go to the joining layer as well. The scale of returns itself is not lost: the quantile
    head multiplies by the decision's own volatility forecast.

    The known columns describe the sessions ahead; only those of the window's last row are read.
    """

    def __init__(
        self,
        sizes: EncoderSizes,
        *,
        observed: int,
        known: int,
        static: tuple[int, ...],
        channel_width: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.observed, self.rate = observed, sizes.dropout
        self.encoder = PatchEncoder(sizes)
        self.reduce = nn.Linear(sizes.patches * sizes.hidden, channel_width)
        self.embeddings = nn.ModuleList(nn.Embedding(count, embedding_size(count)) for count in static)
        embedded = sum(embedding_size(count) for count in static)
        self.join = nn.Linear(observed * (channel_width + 2) + known + embedded, hidden)
        self.output = nn.Linear(hidden, RAW[0] * RAW[1])
        nn.init.zeros_(self.output.weight)  # start from the base distribution, see QuantileHead
        nn.init.zeros_(self.output.bias)

    def forward(self, window: Tensor, ids: Tensor) -> Tensor:
        """(B, L, observed + known) and (B, static) int64 -> (B, 3, 7)."""
        series = window[..., : self.observed].transpose(1, 2)  # (B, L, C) -> (B, C, L)
        series, mean, deviation = instance_normalise(series)
        encoded = self.encoder(series.flatten(0, 1))  # (B C, P, D)
        channels = self.reduce(encoded.flatten(1)).view(*series.shape[:2], -1)  # (B, C, channel_width)
        levels = torch.cat([mean, deviation.log()], dim=-1)  # (B, C, 2)
        static = [embed(ids[:, k]) for k, embed in enumerate(self.embeddings)]
        joined = torch.cat([channels.flatten(1), levels.flatten(1), window[:, -1, self.observed :], *static], dim=1)
        hidden = dropout(functional.gelu(self.join(joined)), self.rate, training=self.training)
        return self.output(hidden).view(-1, *RAW)


class PatchTstForecaster(nn.Module):
    """The paper's supervised forecaster: each channel's own future, by one linear map of its flattened encoding."""

    def __init__(self, sizes: EncoderSizes, *, horizon: int) -> None:
        super().__init__()
        self.encoder = PatchEncoder(sizes)
        self.output = nn.Linear(sizes.patches * sizes.hidden, horizon)

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) -> (B, horizon, C), in the window's own units."""
        series, mean, deviation = instance_normalise(window.transpose(1, 2))  # (B, C, L)
        future = self.output(self.encoder(series.flatten(0, 1)).flatten(1)).view(*series.shape[:2], -1)
        return (future * deviation + mean).transpose(1, 2)  # (B, C, horizon) -> (B, horizon, C)
