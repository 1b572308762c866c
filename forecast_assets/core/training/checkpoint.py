"""Checkpoints of training: a fit that is killed at any time continues from its last finished epoch, bit for bit on a CPU.

A checkpoint is two files. ``<digest>.safetensors`` holds all tensors: states of model and optimiser, random number
generators, the caller's own. ``checkpoint.json`` holds all the rest (epoch, curve, schedule) and the digest, and is
replaced last: it refers to a complete file, or still to the epoch before. No pickle.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load, save
from torch import Tensor

from forecast_assets.core.errors import BadInput, CorruptArtefact

RECORD = "checkpoint.json"
TEMPORARY = ".partial"


class Stateful(Protocol):
    """A torch module, optimiser or scheduler."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


@dataclass(frozen=True)
class Checkpoint:
    """State of a fit after its last finished epoch."""

    epochs: int  # finished epochs
    record: Any  # what the caller saved beside the states
    _states: dict[str, Any]
    _generators: dict[str, Tensor]
    _random: dict[str, Any]

    def restore(self, *, states: Mapping[str, Stateful], generators: Mapping[str, torch.Generator]) -> None:
        """Restore every state, torch's global random numbers last, into objects built as for a fresh start.

        Raises ValueError where the names in either mapping are not those that were saved.
        """
        pairs = {"states": (set(states), set(self._states)), "generators": (set(generators), set(self._generators))}
        for kind, (given, saved) in pairs.items():
            if given != saved:
                raise ValueError(f"checkpoint: {kind} {sorted(given)} were asked for, {sorted(saved)} were saved")
        for name, stateful in states.items():
            stateful.load_state_dict(self._states[name])
        for name, generator in generators.items():
            generator.set_state(self._generators[name])
        torch.set_rng_state(self._random["cpu"])
        if self._random["cuda"]:
            torch.cuda.set_rng_state_all(self._random["cuda"])


def save_checkpoint(
    folder: Path,
    *,
    key: str,
    epochs: int,
    states: Mapping[str, Stateful],
    generators: Mapping[str, torch.Generator],
    record: Any,
) -> None:
    """Replace the checkpoint in ``folder`` by the state after ``epochs`` finished epochs.

    ``key`` identifies the fit (settings, data, seed): another one can't resume it. ``record`` is the caller's, any nesting
    of dicts, lists, tuples, tensors and plain values; TypeError for anything else. A kill at any moment leaves this
    checkpoint or the one before.
    """
    tensors: dict[str, Tensor] = {}
    content = {
        "key": key,
        "epochs": epochs,
        "states": {name: stateful.state_dict() for name, stateful in states.items()},
        "generators": {name: generator.get_state() for name, generator in generators.items()},
        "random": {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        },
        "record": record,
    }
    encoded = _encode(content, at="", tensors=tensors)
    data = save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    _replace(tensor_file := _tensor_file(folder, digest), data)
    _replace(folder / RECORD, json.dumps({"sha256": digest, "content": encoded}, allow_nan=False).encode())
    for old in {*folder.glob("*.safetensors"), *folder.glob(f"*{TEMPORARY}")} - {tensor_file}:
        old.unlink()


def load_checkpoint(folder: Path, *, key: str) -> Checkpoint | None:
    """Return the checkpoint in ``folder``, None where there is none yet.

    Raises BadInput where it belongs to a fit with another ``key``, CorruptArtefact where its bytes have changed.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        written = json.loads(path.read_bytes())
        tensor_file = _tensor_file(folder, written["sha256"])
        data = tensor_file.read_bytes()
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise CorruptArtefact(f"{path}: can't be read ({error}); delete {folder} to train from the start") from error
    if hashlib.sha256(data).hexdigest() != written["sha256"]:
        raise CorruptArtefact(f"{tensor_file}: was altered; delete {folder} to train from the start")
    content = _decode(written["content"], load(data))
    if content["key"] != key:
        raise BadInput(
            f"{path}: belongs to another fit ({content['key']}, not {key}); choose another folder or delete it"
        )
    return Checkpoint(content["epochs"], content["record"], content["states"], content["generators"], content["random"])


def _encode(value: Any, *, at: str, tensors: dict[str, Tensor]) -> Any:
    """Encode a nested value for JSON; tensors go to ``tensors`` under their place in the nesting.

    Every container is tagged, so that tuples, integer keys and infinite numbers are restored exactly.
    """
    match value:
        case Tensor():
            # A copy: safetensors rejects tensors that share memory (tied weights).
            name = f"{len(tensors)}{at}"
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        case Mapping():
            if odd := [type(key).__name__ for key in value if type(key) not in (str, int)]:
                raise TypeError(f"checkpoint: {at.lstrip('/')} has a key of type {odd[0]}, which can't be saved")
            return {"dict": [[k, _encode(v, at=f"{at}/{k}", tensors=tensors)] for k, v in value.items()]}
        case list() | tuple():
            items = [_encode(v, at=f"{at}/{i}", tensors=tensors) for i, v in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": items}
        case float() if not math.isfinite(value):
            return {"float": repr(float(value))}
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(f"checkpoint: {at.lstrip('/')} is a {type(value).__name__}, which can't be saved")


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    match tag:
        case "tensor":
            return tensors[content]
        case "dict":
            return {k: _decode(v, tensors) for k, v in content}
        case "float":
            return float(content)
        case _:
            items = [_decode(v, tensors) for v in content]
            return tuple(items) if tag == "tuple" else items


def _tensor_file(folder: Path, digest: str) -> Path:
    return folder / f"{digest[:16]}.safetensors"


def _replace(path: Path, data: bytes) -> None:
    """Replace ``path`` atomically and durably: a power cut after the return loses nothing."""
    partial = path.with_name(path.name + TEMPORARY)
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
