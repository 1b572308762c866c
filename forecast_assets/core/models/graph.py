"""B6: the TFT of B3 with messages of the most correlated tickers among its observed variables.

One layer of message passing (Gilmer et al., Neural Message Passing for Quantum Chemistry, 2017) over the rolling correlation
graph (``core.windows.graph``), session by session: edges run from the rows of neighbours, as known at a session's close,
into the session's own row, with the correlation of that day. The TFT treats the aggregated messages as variables: selected,
remembered and attended to like the ticker's own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.catalogue import GraphSpec
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.windows.stats import FoldStats

NO_WEIGHT = 1e-6  # keeps an edge's share defined where a row has none; negligible next to any correlation


class GraphTft(Tft):
    """The TFT with ``message_1``, ``message_2``, ... after ``observed``.

    A session without neighbours has messages of zero, so the network is B3 there, up to its response to zeros.
    """

    def __init__(self, spec: GraphSpec, *, stats: FoldStats, lookback: int, static: tuple[str, ...]) -> None:
        messages = tuple(f"message_{k}" for k in range(1, spec.message_width + 1))
        super().__init__(spec, stats=stats, lookback=lookback, static=static, derived=messages)
        self.observed = len(spec.observed)
        self.passing = SignedMessages(len(spec.messages), width=spec.message_width, hidden=spec.edge_hidden)

    def values(self, batch: Batch) -> Tensor:
        """Return observed variables, messages, known variables: (K, T, V)."""
        assert batch.neighbours is not None
        assert batch.edges is not None
        messages = self.passing(batch.neighbours.flatten(0, 1), batch.edges.flatten(0, 1))  # (K T, width)
        messages = messages.view(*batch.rows.shape[:2], -1)
        return torch.cat([batch.rows[..., : self.observed], messages, batch.rows[..., self.observed :]], dim=-1)


class SignedMessages(nn.Module):
    """Sum over edges of share x gate x (V x): share is the edge's correlation, with its sign, over the sum of the absolute
    ones; the gate, between 0 and 2, depends on the edge.

    The gate reads the size of the correlation, and the neighbour's columns with its sign: a neighbour that falls and is
    correlated negatively is the same as one that rises and is correlated positively. It starts at 1, and V's first rows as
    the identity: the first messages are the columns' signed averages.
    """

    def __init__(self, columns: int, *, width: int, hidden: int) -> None:
        super().__init__()
        self.value = nn.Linear(columns, width, bias=False)
        with torch.no_grad():
            size = min(columns, width)
            self.value.weight[:size] = torch.eye(size, columns)
        self.edge = nn.Linear(columns + 2, hidden)
        self.gate = nn.Linear(hidden, width)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, neighbours: Tensor, weight: Tensor) -> Tensor:
        """Columns (N, k, C) of the neighbours of N rows and weights (N, k) of their edges, 0 for none -> (N, width)."""
        share = weight.abs() / (weight.abs().sum(dim=1, keepdim=True) + NO_WEIGHT)
        signed = weight.sign()[..., None] * neighbours  # (N, k, C)
        edge = torch.cat([weight.abs()[..., None], share[..., None], signed], dim=-1)  # (N, k, 2 + C)
        gate = 2.0 * torch.sigmoid(self.gate(functional.gelu(self.edge(edge))))  # (N, k, width)
        messages = gate * share[..., None] * self.value(signed)
        # One edge after the other: the order in which ``Tensor.sum`` adds depends on the shape.
        return sum(messages.unbind(dim=1), start=torch.zeros_like(messages[:, 0]))
