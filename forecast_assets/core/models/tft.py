"""The Temporal Fusion Transformer (Lim et al. 2021), executed by pytorch-forecasting, with a monotone quantile head."""

import warnings

import torch
from pytorch_forecasting import MultiLoss, QuantileLoss, TemporalFusionTransformer
from torch import Tensor, nn

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel, QuantileHead
from forecast_assets.core.specs import TftSpec
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats


def embedding_size(count: int) -> int:
    """Width of an embedding of ``count`` ids, the unknown one included: min(round(count ** 0.25), 32), at least 1."""
    return max(1, min(round(count**0.25), 32))


class _Network(TemporalFusionTransformer):
    """pytorch-forecasting's network, stopped at its linear output layers: scaling back is our head's part."""

    def transform_output(self, prediction: list[Tensor], target_scale: object, loss: object = None) -> list[Tensor]:
        return prediction


class TickerTft(ForecastModel):
    """B2: the TFT with the ticker as its static variable.

    The encoder shows ``lookback`` sessions of observed and known variables; the one decoder step carries the calendar
    of the sessions t+1, t+5 and t+20. Some training ids are shown as unknown, so that the unknown id is a trained one.
    """

    def __init__(self, spec: TftSpec, *, stats: FoldStats, lookback: int) -> None:
        super().__init__()
        self.columns = (*spec.observed, *spec.known)
        self.lookback = lookback
        self.unknown_share = spec.unknown_share
        with warnings.catch_warnings():
            # It keeps its loss both as a module and as a hyperparameter, and Lightning says so for every model built.
            warnings.filterwarnings("ignore", message="Attribute '(loss|logging_metrics)' is an instance of")
            self.network = self._network(spec, stats)
        for layer in self.network.output_layer:  # start from the base distribution, see QuantileHead
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.head = QuantileHead(stats.base_quantiles, location_shrink=spec.location_shrink)

    def _network(self, spec: TftSpec, stats: FoldStats) -> _Network:
        return _Network(
            hidden_size=spec.hidden,
            hidden_continuous_size=spec.hidden_continuous,
            attention_head_size=spec.heads,
            dropout=spec.dropout,
            lstm_layers=1,
            max_encoder_length=self.lookback,
            static_categoricals=["ticker"],
            time_varying_reals_encoder=list(self.columns),
            time_varying_reals_decoder=list(spec.known),
            x_reals=list(self.columns),
            x_categoricals=["ticker"],
            embedding_sizes={"ticker": (stats.ticker_count, embedding_size(stats.ticker_count))},
            output_size=[len(QUANTILES)] * len(HORIZONS),
            loss=MultiLoss([QuantileLoss(list(QUANTILES)) for _ in HORIZONS]),
            logging_metrics=nn.ModuleList(),
        )

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles of the log return, (B, 3, 7)."""
        outputs = self.network(self._inputs(batch))["prediction"]  # 3 x (B, 1, 7)
        return self.head(torch.cat(outputs, dim=1), batch.scale)  # (B, 3, 7)

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        size, lookback, _ = batch.window.shape
        ticker = batch.ticker
        if self.training and self.unknown_share > 0:
            hidden = torch.rand(size, device=ticker.device) < self.unknown_share
            ticker = torch.where(hidden, UNKNOWN_ID, ticker)
        static = ticker[:, None, None]
        lengths = torch.full((size,), lookback, dtype=torch.int64, device=ticker.device)
        return {
            "encoder_cont": batch.window,
            "decoder_cont": batch.window[:, -1:],  # the last row's known columns describe the sessions ahead
            "encoder_cat": static.expand(size, lookback, 1),
            "decoder_cat": static,
            "encoder_lengths": lengths,
            "decoder_lengths": torch.ones_like(lengths),
            "target_scale": batch.scale,
        }
