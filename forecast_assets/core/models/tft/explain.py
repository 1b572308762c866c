"""What a TFT looked at: which variables it selected, and how far back it attended."""

from dataclasses import dataclass

import torch
from torch import Tensor

from forecast_assets.core.models.attribution import Neighbours
from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.tft.model import Tft


@dataclass(frozen=True)
class Explanation:
    """Weights of B decisions; each row of each of the first four tensors sums to 1, unless it has no column."""

    attention: Tensor  # (B, L) mean over heads; oldest session of the window first
    encoder: Tensor  # (B, V) selection weights, mean over the window's sessions
    decoder: Tensor  # (B, known) selection weights of what is known of the sessions ahead
    static: Tensor  # (B, S)
    encoder_names: tuple[str, ...]
    decoder_names: tuple[str, ...]
    static_names: tuple[str, ...]
    neighbours: Neighbours | None = None  # of a model that reads them, where they were asked for


@torch.no_grad()
def explain(model: Tft, batch: Batch) -> Explanation:
    """Variable importance and attention of each decision of ``batch``, as the model forecasts it (without dropout).

    The definitions are those of pytorch-forecasting's ``interpret_output(reduction="none")``, but for attention weights
    below 1e-5, which it drops.
    """
    training = model.training
    model.eval()
    outputs = model.look(batch)
    model.train(training)
    unseen = (
        batch.rows.shape[1] - outputs.encoder_weights.shape[1]
    )  # sessions before the windows, for another part's use
    steps = batch.offsets[:, None] - unseen + torch.arange(1 - batch.lookback, 1, device=batch.offsets.device)  # (M, L)
    known = model.variables[len(model.variables) - outputs.decoder_weights.shape[-1] :]
    return Explanation(
        attention=outputs.attention.mean(dim=1),
        encoder=outputs.encoder_weights[:, steps].mean(dim=2).flatten(0, 1),  # (K, M, L, V) -> (B, V)
        decoder=outputs.decoder_weights,
        static=outputs.static_weights.repeat_interleave(len(batch.offsets), dim=0),
        encoder_names=model.variables,
        decoder_names=known,
        static_names=model.static,
    )
