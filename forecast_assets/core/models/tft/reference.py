"""pytorch-forecasting's ``TemporalFusionTransformer`` as the reference of ours: compare with it, export to it.

The parameters are the same numbers, stacked where we compute several networks at once. Importing pytorch-forecasting takes
seconds, so only the functions that need it do.
"""

import json
import warnings
from collections.abc import Mapping
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import ForecastModel, single_batch
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.models.tft.network import TftSizes
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

WEIGHTS, NETWORK, README = "weights.safetensors", "network.json", "README.txt"

HOW_TO_LOAD = f"""\
The Temporal Fusion Transformer of a forecast-assets model, {{parts}}, for pytorch-forecasting 1.8.
Inputs: features standardised with the fold's training rows. Outputs: raw numbers per horizon, before our quantile head.
To load it, in this folder:

    import json, pathlib
    from pytorch_forecasting import MultiLoss, QuantileLoss, TemporalFusionTransformer
    from pytorch_forecasting.data import MultiNormalizer, TorchNormalizer
    from safetensors.torch import load_file

    loss = MultiLoss([QuantileLoss({list(QUANTILES)}) for _ in range({len(HORIZONS)})])
    unscaled = MultiNormalizer([TorchNormalizer("identity") for _ in loss])
    settings = json.loads(pathlib.Path("{NETWORK}").read_text())
    network = TemporalFusionTransformer(**settings, loss=loss, output_transformer=unscaled).eval()
    network.load_state_dict(load_file("{WEIGHTS}"))
"""

WINDOWS = 64  # compared at a time


def largest_difference(model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> float:
    """Return the largest absolute difference of last hidden states, ours and pytorch-forecasting's, at rows ``ends`` (B,).

    Both have the weights of ``model``, a TFT or a model with a TFT inside (B1 to B3, B5 to B7), and get the same windows,
    on the CPU; NaN where a state of either is undefined. Raises BadInput for another model.
    """
    tft = comparable(model)
    theirs = reference_of(tft)
    last: list[Tensor] = []
    theirs.pre_output_gate_norm.register_forward_hook(lambda _module, _inputs, hidden: last.append(hidden[:, 0]))
    differences, training = [torch.zeros(())], tft.training
    tft.eval()
    with torch.no_grad():
        for part in ends.split(WINDOWS):
            inputs = tft.inputs(single_batch(tft, part, panel=panel, stats=stats))
            theirs(reference_inputs(*inputs, lookback=tft.lookback))
            differences.append((tft.network.outputs(*inputs).hidden - last.pop()).abs().max())
    tft.train(training)
    return float(torch.stack(differences).max())  # torch's, since Python's max passes over NaN


def export_network(model: ForecastModel, folder: Path) -> None:
    """Write the TFT of ``model`` to ``folder``, for pytorch-forecasting to load: weights, hyperparameters, a README.

    Raises BadInput for a model without a TFT.
    """
    tft = comparable(model)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.clone() for name, tensor in reference_of(tft).state_dict().items()}
    save_file(state, folder / WEIGHTS)
    settings = hyperparameters(tft.network.sizes, variables=tft.variables)
    (folder / NETWORK).write_text(json.dumps(settings, indent=1) + "\n")
    without = f"without the parts that {type(tft).__name__} adds"
    parts = "complete up to our quantile head" if type(tft) is Tft else without
    (folder / README).write_text(HOW_TO_LOAD.format(parts=parts))


def comparable(model: ForecastModel) -> Tft:
    """Return ``model`` if it is a TFT or has one inside; raise BadInput otherwise."""
    if not isinstance(model, Tft):
        raise BadInput(f"not comparable: {type(model).__name__} is no Temporal Fusion Transformer")
    return model


def hyperparameters(sizes: TftSizes, *, variables: tuple[str, ...]) -> dict[str, Any]:
    """Return pytorch-forecasting's hyperparameters of a network of ``sizes``; ``variables``: observed, then known."""
    return {
        "hidden_size": sizes.hidden,
        "hidden_continuous_size": sizes.hidden_continuous,
        "attention_head_size": sizes.heads,
        "dropout": sizes.dropout,
        "lstm_layers": 1,
        "max_encoder_length": sizes.lookback,
        "static_categoricals": list(sizes.static),
        "time_varying_reals_encoder": list(variables),
        "time_varying_reals_decoder": list(variables[sizes.observed :]),
        "x_reals": list(variables),
        "x_categoricals": list(sizes.static),
        "embedding_sizes": {name: list(size) for name, size in sizes.static.items()},
        "output_size": [len(QUANTILES)] * len(HORIZONS),
    }


def reference_network(settings: Mapping[str, Any]) -> Any:
    """Return a ``TemporalFusionTransformer`` of pytorch-forecasting that stops at its linear output layers."""
    from pytorch_forecasting import MultiLoss, QuantileLoss, TemporalFusionTransformer

    loss = MultiLoss([QuantileLoss(list(QUANTILES)) for _ in HORIZONS])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Attribute '(loss|logging_metrics)' is an instance of")
        network = TemporalFusionTransformer(**settings, loss=loss, logging_metrics=nn.ModuleList())
    network.transform_output = lambda prediction, **_: prediction
    return network


def reference_of(tft: Tft) -> Any:
    """Return pytorch-forecasting's network with the weights of ``tft``, in evaluation mode."""
    with torch.random.fork_rng():
        network = reference_network(hyperparameters(tft.network.sizes, variables=tft.variables))
    network.load_state_dict(to_pytorch_forecasting(tft, network.state_dict()))
    return network.eval()


def reference_inputs(rows: Tensor, offsets: Tensor, ids: Tensor, *, lookback: int) -> dict[str, Tensor]:
    """Return the inputs of ``TftNetwork`` as pytorch-forecasting's dataloader would give them: each window copied out."""
    windows = torch.stack([block[end - lookback + 1 : end + 1] for block in rows for end in offsets.tolist()])
    of_window = ids.repeat_interleave(len(offsets), dim=0)[:, None]
    return {
        "encoder_cont": windows,
        "decoder_cont": windows[:, -1:],
        "encoder_cat": of_window.expand(-1, lookback, -1),
        "decoder_cat": of_window,
        "encoder_lengths": torch.full((len(windows),), lookback),
        "decoder_lengths": torch.ones(len(windows), dtype=torch.int64),
        "target_scale": torch.tensor([0.0, 1.0]).expand(len(windows), 2),  # centre and scale
    }


def to_pytorch_forecasting(tft: Tft, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of ``tft`` under the names and shapes of ``state``, a ``state_dict`` of the reference.

    The inverse of ``from_pytorch_forecasting``, by passing the positions of all elements through it. A tensor that ``state``
    has under several names has the same positions under each.
    """
    begin: dict[int, int] = {}
    total = 0
    for tensor in state.values():
        if tensor.data_ptr() not in begin:
            begin[tensor.data_ptr()] = total
            total += tensor.numel()
    place = {n: begin[t.data_ptr()] + torch.arange(t.numel()).view(t.shape) for n, t in state.items()}
    sizes = tft.network.sizes
    moved = from_pytorch_forecasting(
        place, columns=tft.variables, known=tft.variables[sizes.observed :], static=tuple(sizes.static)
    )
    flat = torch.full((total,), float("nan"))
    for name, tensor in tft.network.state_dict().items():
        flat[moved[name].flatten()] = tensor.cpu().flatten()
    assert torch.isfinite(flat).all(), "a parameter of the reference has no counterpart in ours"
    return {name: flat[at] for name, at in place.items()}


RENAMED = {
    "static_context_variable_selection": "context_selection",
    "static_context_initial_hidden_lstm": "context_hidden",
    "static_context_initial_cell_lstm": "context_cell",
    "static_context_enrichment": "context_enrichment",
    "lstm_encoder": "encoder",
    "lstm_decoder": "decoder",
    "post_lstm_gate_encoder": "post_lstm.glu",
    "post_lstm_add_norm_encoder.norm": "post_lstm.norm",
    "static_enrichment": "enrichment",
    "post_attn_gate_norm": "post_attention",
    "pos_wise_ff": "feed_forward",
    "pre_output_gate_norm": "pre_output",
    "multihead_attn.v_layer": "attention.value",
    "multihead_attn.w_h": "attention.out",
}
"""Prefix of pytorch-forecasting's names -> ours; ``add_norm`` levels are dropped, see ``from_pytorch_forecasting``."""

STACKED = {
    "fc1.weight": "fc1_weight",
    "fc1.bias": "fc1_bias",
    "fc2.weight": "fc2_weight",
    "fc2.bias": "fc2_bias",
    "gate_norm.glu.fc.weight": "glu_weight",
    "gate_norm.glu.fc.bias": "glu_bias",
    "gate_norm.add_norm.norm.weight": "norm_weight",
    "gate_norm.add_norm.norm.bias": "norm_bias",
    "resample_norm.mask": "resample_mask",
    "resample_norm.norm.weight": "resample_weight",
    "resample_norm.norm.bias": "resample_bias",
}
"""Names in a single variable's network: pytorch-forecasting's -> that of our stack over variables."""


def from_pytorch_forecasting(
    state: Mapping[str, Tensor], *, columns: tuple[str, ...], known: tuple[str, ...], static: tuple[str, ...]
) -> dict[str, Tensor]:
    """Return the ``state_dict`` of a ``TftNetwork`` from one of pytorch-forecasting's ``TemporalFusionTransformer``.

    ``columns`` are all reals in the order of the rows' columns, ``known`` the last of them; ``static`` the static
    categoricals. It only renames and stacks, so it works on a dict of gradients as well. The targets' output layers are
    stacked to one.
    """
    ours: dict[str, Tensor] = {}
    for theirs, name in RENAMED.items():
        for key, value in state.items():
            if key.startswith(f"{theirs}."):
                ours[name + key[len(theirs) :].replace(".add_norm.norm.", ".norm.")] = value
    for part in ("weight", "bias"):
        ours[f"prescaler_{part}"] = torch.stack([state[f"prescalers.{c}.{part}"].flatten() for c in columns])
        ours[f"output.{part}"] = torch.cat([state[key] for key in _numbered(state, "output_layer.{}." + part)])
        for letter, role in (("q", "query"), ("k", "key")):
            keys = _numbered(state, f"multihead_attn.{letter}_layers.{{}}.{part}")
            ours[f"attention.{role}_{part}"] = torch.stack([state[key] for key in keys])
    for side, variables in (("encoder", columns), ("decoder", known)):
        if variables:
            ours |= _selection(state, side=side, variables=variables)
    for name in static:
        ours[f"static_selection.embeddings.{name}.weight"] = state[f"input_embeddings.embeddings.{name}.weight"]
        for part in ("mask", "norm.weight", "norm.bias"):
            key = f"static_variable_selection.single_variable_grns.{name}.{part}"
            ours[f"static_selection.resample.{name}.{part}"] = state[key]
    ours |= _weigh(state, "static_variable_selection", "static_selection")
    return ours


def _selection(state: Mapping[str, Tensor], *, side: str, variables: tuple[str, ...]) -> dict[str, Tensor]:
    networks = f"{side}_variable_selection.single_variable_grns"
    ours = {
        f"{side}_selection.{stack}": torch.stack([state[f"{networks}.{name}.{part}"] for name in variables])
        for part, stack in STACKED.items()
        if f"{networks}.{variables[0]}.{part}" in state
    }
    return ours | _weigh(state, f"{side}_variable_selection", f"{side}_selection")


def _weigh(state: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    prefix = f"{theirs}.flattened_grn."
    return {
        f"{ours}.weigh.{key.removeprefix(prefix).replace('.add_norm.norm.', '.norm.')}": value
        for key, value in state.items()
        if key.startswith(prefix)
    }


def _numbered(state: Mapping[str, Tensor], pattern: str) -> list[str]:
    return list(takewhile(state.__contains__, map(pattern.format, count())))
