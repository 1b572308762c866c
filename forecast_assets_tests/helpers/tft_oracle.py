"""pytorch-forecasting's Temporal Fusion Transformer, the oracle of ours: same sizes, same weights, same windows."""

from typing import Any

import torch
from torch import Tensor

from forecast_assets.core.models.tft.network import TftNetwork, TftSizes
from forecast_assets.core.models.tft.reference import (
    from_pytorch_forecasting,
    hyperparameters,
    reference_inputs,
    reference_network,
)

oracle_inputs = reference_inputs


def columns(sizes: TftSizes) -> tuple[str, ...]:
    return tuple(f"x{c}" for c in range(sizes.observed + sizes.known))


def oracle(sizes: TftSizes, *, seed: int = 0) -> Any:
    """Return a network with every parameter random, none at its initial zero or one, so that each one matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = reference_network(hyperparameters(sizes, variables=columns(sizes)))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


def ours(network: Any, sizes: TftSizes) -> TftNetwork:
    """Return our network with the oracle's weights."""
    made = TftNetwork(sizes).to(network.dtype)
    made.load_state_dict(translated(dict(network.state_dict()), sizes))
    return made


def translated(state: dict[str, Tensor], sizes: TftSizes) -> dict[str, Tensor]:
    names = columns(sizes)
    return from_pytorch_forecasting(state, columns=names, known=names[sizes.observed :], static=tuple(sizes.static))


def oracle_raw(network: Any, inputs: dict[str, Any]) -> Tensor:
    """Return the output layers' numbers, (B, 3, 7)."""
    return torch.cat(network(inputs)["prediction"], dim=1)
