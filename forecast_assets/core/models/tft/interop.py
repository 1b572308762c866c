"""pytorch-forecasting's parameters as ours: the same numbers, stacked where we compute several networks at once."""

from collections.abc import Mapping

import torch
from torch import Tensor

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
"""Prefix of pytorch-forecasting's names -> ours. ``add_norm`` levels vanish; see ``from_pytorch_forecasting``."""

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
"""A single variable's network: pytorch-forecasting's name -> name of our stack over variables."""


def from_pytorch_forecasting(
    state: Mapping[str, Tensor], *, columns: tuple[str, ...], known: tuple[str, ...], static: tuple[str, ...]
) -> dict[str, Tensor]:
    """``state_dict`` of a pytorch-forecasting TemporalFusionTransformer -> one of ``TftNetwork``.

    ``columns`` are all reals in the order of the rows' columns, ``known`` the last of them; ``static`` the static
    categoricals. Works on a dict of gradients as well: nothing but renaming and stacking happens. Outputs over several
    targets are stacked to one layer.
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
    keys: list[str] = []
    while (key := pattern.format(len(keys))) in state:
        keys.append(key)
    return keys
