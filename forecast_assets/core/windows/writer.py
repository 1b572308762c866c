"""Write tensors part by part to one safetensors file, so that a panel need not fit in memory.

The format (https://github.com/huggingface/safetensors): the header's length as a little-endian uint64, a JSON header with
type, shape and byte range of every tensor, then the bytes of the tensors, row-major.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from forecast_assets.core.windows.tensors import PanelTensors

TYPES = {torch.float32: "F32", torch.int32: "I32", torch.int64: "I64", torch.bool: "BOOL"}
ALIGNMENT = 8  # the tensors' bytes begin at a multiple of this, as the format's own writer has it


class TensorFile:
    """A file for ``rows`` rows of panels like ``like`` (same features and names), for ``PanelTensors.load``.

    A context manager: after an exception the unfinished file is left for the caller to remove.
    """

    def __init__(self, path: Path, like: PanelTensors, *, rows: int) -> None:
        header: dict[str, object] = {"__metadata__": like.metadata()}
        self._row_bytes: dict[str, int] = {}
        self._next: dict[str, int] = {}  # offset of the next row of each tensor
        self._end: dict[str, int] = {}
        end = 0
        # Largest element first, as the format's own writer: no tensor is then misaligned.
        for name, tensor in sorted(like.tensors().items(), key=lambda item: (-item[1].element_size(), item[0])):
            size = tensor.element_size() * math.prod(tensor.shape[1:])
            header[name] = {
                "dtype": TYPES[tensor.dtype],
                "shape": [rows, *tensor.shape[1:]],
                "data_offsets": [end, end + rows * size],
            }
            self._row_bytes[name], self._next[name] = size, end
            end += rows * size
            self._end[name] = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % ALIGNMENT)
        self._file = path.open("wb")
        self._file.write(len(text).to_bytes(8, "little") + text)
        self._begin = self._file.tell()
        self._file.truncate(self._begin + end)

    def append(self, part: Mapping[str, Tensor]) -> None:
        """Write the next rows of every tensor. Raises ValueError where they do not fit the declared shape."""
        for name, tensor in part.items():
            size = len(tensor) * self._row_bytes[name]
            if self._next[name] + size > self._end[name] or tensor.numel() * tensor.element_size() != size:
                raise ValueError(f"{name}: {tuple(tensor.shape)} does not fit the rest of the declared rows")
            self._file.seek(self._begin + self._next[name])
            self._file.write(np.ascontiguousarray(tensor.numpy()).view(np.uint8).data)
            self._next[name] += size

    def __enter__(self) -> "TensorFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file. Raises ValueError where rows are missing, unless an exception is under way."""
        self._file.close()
        short = [name for name, end in self._end.items() if self._next[name] != end]
        if short and kind is None:
            raise ValueError(f"fewer rows were written than declared for {short}")
