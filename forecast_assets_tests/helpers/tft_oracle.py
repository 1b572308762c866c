"""pytorch-forecasting's Temporal Fusion Transformer, the oracle of ours: same sizes, same weights, same windows."""

import warnings
from typing import Any

import torch
from pytorch_forecasting import MultiLoss, QuantileLoss, TemporalFusionTransformer
from torch import Tensor, nn

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.tft.interop import from_pytorch_forecasting
from forecast_assets.core.models.tft.network import TftNetwork, TftSizes


class OracleTft(TemporalFusionTransformer):
    """Returns the numbers of its linear output layers, without scaling them back."""

    def transform_output(self, prediction: list[Tensor], target_scale: object, loss: object = None) -> list[Tensor]:
        return prediction


def columns(sizes: TftSizes) -> tuple[str, ...]:
    return tuple(f"x{c}" for c in range(sizes.observed + sizes.known))


def oracle(sizes: TftSizes, *, seed: int = 0) -> OracleTft:
    """Return a network with every parameter random, none at its initial zero or one, so that each one matters."""
    reals, static = columns(sizes), list(sizes.static)
    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(seed)
        warnings.filterwarnings("ignore", message="Attribute '(loss|logging_metrics)' is an instance of")
        network = OracleTft(
            hidden_size=sizes.hidden,
            hidden_continuous_size=sizes.hidden_continuous,
            attention_head_size=sizes.heads,
            dropout=sizes.dropout,
            lstm_layers=1,
            max_encoder_length=sizes.lookback,
            static_categoricals=static,
            time_varying_reals_encoder=list(reals),
            time_varying_reals_decoder=list(reals[sizes.observed :]),
            x_reals=list(reals),
            x_categoricals=static,
            embedding_sizes=dict(sizes.static),
            output_size=[len(QUANTILES)] * len(HORIZONS),
            loss=MultiLoss([QuantileLoss(list(QUANTILES)) for _ in HORIZONS]),
            logging_metrics=nn.ModuleList(),
        )
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


def ours(network: OracleTft, sizes: TftSizes) -> TftNetwork:
    """Return our network with the oracle's weights."""
    made = TftNetwork(sizes).to(network.dtype)
    made.load_state_dict(translated(dict(network.state_dict()), sizes))
    return made


def translated(state: dict[str, Tensor], sizes: TftSizes) -> dict[str, Tensor]:
    names = columns(sizes)
    return from_pytorch_forecasting(state, columns=names, known=names[sizes.observed :], static=tuple(sizes.static))


def oracle_inputs(rows: Tensor, offsets: Tensor, ids: Tensor, *, lookback: int) -> dict[str, Tensor]:
    """Return the windows of contiguous blocks one by one, as pytorch-forecasting's dataloader builds them."""
    windows = torch.stack([block[end - lookback + 1 : end + 1] for block in rows for end in offsets.tolist()])
    of_window = ids.repeat_interleave(len(offsets), dim=0)
    size = len(windows)
    return {
        "encoder_cont": windows,
        "decoder_cont": windows[:, -1:],
        "encoder_cat": of_window[:, None].expand(size, lookback, -1),
        "decoder_cat": of_window[:, None],
        "encoder_lengths": torch.full((size,), lookback),
        "decoder_lengths": torch.ones(size, dtype=torch.int64),
        "target_scale": torch.ones(size, len(HORIZONS)),
    }


def oracle_raw(network: OracleTft, inputs: dict[str, Any]) -> Tensor:
    """Return the output layers' numbers, (B, 3, 7)."""
    return torch.cat(network(inputs)["prediction"], dim=1)
