"""The panel as contiguous tensors: each row stands once, a window is an index into them.

Needs torch alone, so that a bare CUDA machine trains on shipped tensors.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

NO_DATE = -1
"""Stands for "no date" in the date tensors."""


class Edges(Protocol):
    """Who speaks to a row of a panel: a ``Graph``, or what finds one for the rows it is asked about."""

    def of(self, rows: Tensor) -> "Graph":
        """The edges into ``rows`` (...), any number of dimensions."""

    def to(self, device: torch.device | str) -> "Edges":
        """The same on ``device``."""


@dataclass(frozen=True)
class Graph:
    """Of each of N rows the k rows that speak to it, by rank; see ``core.windows.graph`` for how they are chosen."""

    neighbour: Tensor  # (N, k) int32 row of another ticker, known at the row's decision; -1 where there is none
    weight: (
        Tensor  # (N, k) float32 signed correlation of both tickers' returns up to that decision; 0 where there is none
    )

    def of(self, rows: Tensor) -> "Graph":
        """The edges into ``rows`` (...): both tensors (..., k)."""
        return Graph(self.neighbour[rows], self.weight[rows])

    def to(self, device: torch.device | str) -> "Graph":
        """The same graph on ``device``."""
        return Graph(self.neighbour.to(device), self.weight.to(device))


@dataclass(frozen=True)
class PanelTensors:
    """N rows sorted by (ticker, date), one per ticker and session; raw (unscaled) features.

    Codes index the panel-wide name lists; what a model calls a known ticker is a fold's business.
    """

    features: Tensor  # (N, F) float32, NaN where a feature is not defined yet
    targets: Tensor  # (N, 3) float32, log returns over HORIZONS, NaN where there is no valid label
    scale: Tensor  # (N,) float32, EWMA one-session volatility known at the row's close
    date: Tensor  # (N,) int32, days since 1970-01-01
    label_end: Tensor  # (N,) int32, date of the furthest valid label, NO_DATE if none
    ticker: Tensor  # (N,) int32 code into ``tickers``
    sector: Tensor  # (N,) int32 code into ``sectors``
    exchange: Tensor  # (N,) int32 code into ``exchanges``
    observed: Tensor  # (N,) bool, False on a forward-filled row
    segment_start: Tensor  # (N,) bool, first row of a ticker or of a segment
    run_length: Tensor  # (N,) int32, complete rows in a row that end here, within one segment
    feature_names: tuple[str, ...]
    tickers: tuple[str, ...]
    sectors: tuple[str, ...]
    exchanges: tuple[str, ...]
    graph: Edges | None = None  # made for the models that read one, never stored

    @property
    def rows(self) -> int:
        """Number of rows N."""
        return self.features.shape[0]

    def columns(self, names: tuple[str, ...]) -> Tensor:
        """Positions of feature ``names``, (len(names),) int64; a ValueError names the unknown ones."""
        unknown = [name for name in names if name not in self.feature_names]
        if unknown:
            raise ValueError(f"windowed_tensors: no feature {unknown}; there are {list(self.feature_names)}")
        return torch.tensor([self.feature_names.index(name) for name in names], dtype=torch.int64)

    def column(self, name: str) -> Tensor:
        """One feature, (N,) float32."""
        return self.features[:, int(self.columns((name,)))]

    def ends(self, lookback: int) -> Tensor:
        """Rows that can be decided on with ``lookback`` complete rows behind them, (M,) int64, ascending.

        A forward-filled row is never a decision.
        """
        return torch.nonzero(self.observed & (self.run_length >= lookback)).squeeze(1)

    def find(self, tickers: Sequence[str], dates: NDArray[np.datetime64]) -> Tensor:
        """Rows of ticker and date pairs, (B,) int64; -1 where the panel has none."""
        place = {name: code for code, name in enumerate(self.tickers)}
        code = np.array([place.get(name, -1) for name in tickers], dtype=np.int64)
        keys = self.ticker.numpy().astype(np.int64) << 32 | self.date.numpy().astype(np.int64)  # ascending, as rows are
        wanted = code << 32 | dates.astype("datetime64[D]").astype(np.int64)
        row = np.minimum(np.searchsorted(keys, wanted), self.rows - 1)
        return torch.from_numpy(np.where(keys[row] == wanted, row, -1))

    def rows_of(self, tickers: Sequence[str], dates: NDArray[np.datetime64]) -> Tensor:
        """As ``find``; ValueError, with counts, where the panel lacks a row."""
        rows = self.find(tickers, dates)
        if missing := int((rows < 0).sum()):
            raise ValueError(f"windowed_tensors: {missing} of {len(rows)} decisions have no row in the panel")
        return rows

    def windows(self, ends: Tensor, *, lookback: int, columns: Tensor) -> Tensor:
        """The windows that end at rows ``ends``: (B,) -> (B, lookback, len(columns))."""
        steps = torch.arange(1 - lookback, 1, device=ends.device)
        return self.features[ends[:, None] + steps][:, :, columns]  # (B, L, F) -> (B, L, C)

    def to(self, device: torch.device | str) -> "PanelTensors":
        """The same panel with its tensors on ``device``."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name in _TENSORS}
        return replace(self, **moved, graph=None if self.graph is None else self.graph.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {name: getattr(self, name) for name in _TENSORS}

    def metadata(self) -> dict[str, str]:
        """The names that the tensors' columns and codes refer to, as a safetensors file carries them."""
        return {"names": json.dumps({name: getattr(self, name) for name in _NAMES})}

    def save(self, path: Path) -> None:
        """Write everything to one safetensors file."""
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        save_file(tensors, path, metadata=self.metadata())

    @classmethod
    def load(cls, path: Path) -> "PanelTensors":
        """Read what ``save`` or ``writer`` wrote; pages come from the memory-mapped file as they are touched."""
        with safe_open(path, framework="pt") as file:
            content: dict[str, Any] = {name: file.get_tensor(name) for name in _TENSORS}
            content |= {name: tuple(of) for name, of in json.loads(file.metadata()["names"]).items()}
            return cls(**content)


_NAMES = ("feature_names", "tickers", "sectors", "exchanges")
_TENSORS = tuple(f.name for f in fields(PanelTensors) if f.name not in (*_NAMES, "graph"))
