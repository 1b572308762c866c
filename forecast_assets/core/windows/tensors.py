"""The panel as contiguous tensors: each row is stored once, and a window is an index into them.

Needs torch alone, so that a machine with nothing but CUDA trains on shipped tensors.
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

NO_DATE = -1  # no date, in the date tensors


class Edges(Protocol):
    """Neighbours of the rows of a panel: a ``Graph``, or what computes one for given rows."""

    def of(self, rows: Tensor) -> "Graph":
        """Return the edges into ``rows`` (...), any number of dimensions."""

    def to(self, device: torch.device | str) -> "Edges":
        """Return the same on ``device``."""


@dataclass(frozen=True)
class Graph:
    """The k neighbours of each of N rows, by rank; ``core.windows.graph`` says how they are chosen."""

    neighbour: Tensor  # (N, k) int32 row of another ticker, known at the row's close; -1 where there is none
    weight: Tensor  # (N, k) float32 signed correlation of both tickers' returns up to that close; 0 where there is none

    def of(self, rows: Tensor) -> "Graph":
        """Return the edges into ``rows`` (...): both tensors (..., k)."""
        return Graph(self.neighbour[rows], self.weight[rows])

    def to(self, device: torch.device | str) -> "Graph":
        """Return the same graph on ``device``."""
        return Graph(self.neighbour.to(device), self.weight.to(device))


@dataclass(frozen=True)
class PanelTensors:
    """N rows sorted by (ticker, date), one per ticker and session; raw (unscaled) features.

    Codes index the panel-wide lists of names; which tickers have an embedding is part of a fold's statistics.
    """

    features: Tensor  # (N, F) float32, NaN where a feature is not defined yet
    targets: Tensor  # (N, H) float32, log returns over HORIZONS, NaN where there is no valid label
    scale: Tensor  # (N,) float32, EWMA one-session volatility known at the row's close
    date: Tensor  # (N,) int32, days since 1970-01-01
    label_end: Tensor  # (N,) int32, date of the furthest valid label, NO_DATE if none
    ticker: Tensor  # (N,) int32 code into ``tickers``
    sector: Tensor  # (N,) int32 code into ``sectors``
    exchange: Tensor  # (N,) int32 code into ``exchanges``
    observed: Tensor  # (N,) bool, False on a forward-filled row
    member: Tensor  # (N,) bool, the ticker is in the universe on the row's day
    segment_start: Tensor  # (N,) bool, first row of a ticker or of a segment
    run_length: Tensor  # (N,) int32, consecutive complete rows that end here, within one segment
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
        """Return the positions of feature ``names``, (len(names),) int64; a ValueError names the unknown ones."""
        unknown = [name for name in names if name not in self.feature_names]
        if unknown:
            raise ValueError(f"windowed_tensors: no feature {unknown}; there are {list(self.feature_names)}")
        return torch.tensor([self.feature_names.index(name) for name in names], dtype=torch.int64)

    def column(self, name: str) -> Tensor:
        """Return one feature, (N,) float32."""
        return self.features[:, int(self.columns((name,)))]

    def ends(self, lookback: int) -> Tensor:
        """Return the rows with ``lookback`` complete rows up to them, (M,) int64, ascending: the forecast origins.

        A forward-filled row is none, nor is one of a ticker that is not in the universe then; a window may begin before its
        ticker enters.
        """
        return torch.nonzero(self.observed & self.member & (self.run_length >= lookback)).squeeze(1)

    def sequences(self) -> Tensor:
        """Return the number of each row's sequence of complete rows of one sector, (N,) int64, ascending.

        A block of windows stays within one, since its windows share their static codes.
        """
        begins = self.run_length == 1
        begins[1:] |= self.sector[1:] != self.sector[:-1]
        return begins.cumsum(0)

    def sessions(self) -> Tensor:
        """Return the union sessions, on which some member is quoted: days (S,), ascending."""
        return self.date[self.observed & self.member].unique()

    def find(self, tickers: Sequence[str], dates: NDArray[np.datetime64]) -> Tensor:
        """Return the rows of ticker and date pairs, (B,) int64; -1 where the panel has none."""
        place = {name: code for code, name in enumerate(self.tickers)}
        code = np.array([place.get(name, -1) for name in tickers], dtype=np.int64)
        keys = self.ticker.numpy().astype(np.int64) << 32 | self.date.numpy().astype(np.int64)  # ascending, as rows are
        wanted = code << 32 | dates.astype("datetime64[D]").astype(np.int64)
        row = np.minimum(np.searchsorted(keys, wanted), self.rows - 1)
        return torch.from_numpy(np.where(keys[row] == wanted, row, -1))

    def rows_of(self, tickers: Sequence[str], dates: NDArray[np.datetime64]) -> Tensor:
        """Return what ``find`` does; raise ValueError, with counts, where the panel lacks a row."""
        rows = self.find(tickers, dates)
        if missing := int((rows < 0).sum()):
            raise ValueError(f"windowed_tensors: {missing} of {len(rows)} forecast origins have no row in the panel")
        return rows

    def windows(self, ends: Tensor, *, lookback: int, columns: Tensor) -> Tensor:
        """Return the windows that end at rows ``ends``: (B,) -> (B, lookback, len(columns))."""
        steps = torch.arange(1 - lookback, 1, device=ends.device)
        return self.features[ends[:, None] + steps][:, :, columns]  # (B, L, F) -> (B, L, C)

    def take(self, rows: Tensor) -> "PanelTensors":
        """Return rows ``rows`` (M,), ascending, without the graph; names that none of them has are left out.

        The history of each ticker has to be whole up to its last row: windows are found by their last row.
        """
        taken: dict[str, Any] = {name: getattr(self, name)[rows] for name in _TENSORS}
        for codes, names in (("ticker", "tickers"), ("sector", "sectors"), ("exchange", "exchanges")):
            used, again = torch.unique(taken[codes], return_inverse=True)  # ascending, as the names are
            taken[codes] = again.to(taken[codes].dtype)
            taken[names] = tuple(getattr(self, names)[code] for code in used.tolist())
        return replace(self, **taken, graph=None)

    def to(self, device: torch.device | str) -> "PanelTensors":
        """Return the same panel with its tensors on ``device``."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name in _TENSORS}
        return replace(self, **moved, graph=None if self.graph is None else self.graph.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {name: getattr(self, name) for name in _TENSORS}

    def metadata(self) -> dict[str, str]:
        """Return the names that columns and codes refer to, as safetensors metadata."""
        return {"names": json.dumps({name: getattr(self, name) for name in _NAMES})}

    def save(self, path: Path) -> None:
        """Write everything to one safetensors file."""
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        save_file(tensors, path, metadata=self.metadata())

    @classmethod
    def load(cls, path: Path) -> "PanelTensors":
        """Read what ``save`` or ``writer`` wrote, memory-mapped: pages are read when they are used."""
        with safe_open(path, framework="pt") as file:
            content: dict[str, Any] = {name: file.get_tensor(name) for name in _TENSORS}
            content |= {name: tuple(of) for name, of in json.loads(file.metadata()["names"]).items()}
            return cls(**content)


_NAMES = ("feature_names", "tickers", "sectors", "exchanges")
_TENSORS = tuple(f.name for f in fields(PanelTensors) if f.name not in (*_NAMES, "graph"))
